"""Training: recipes, losses, and the one resumable loop that training, pruning and QAT share."""

from edgecv.train.augment import Augmentation
from edgecv.train.features import split_at, split_specs
from edgecv.train.recipe_files import default_recipe, recipe, recipe_names
from edgecv.train.recipes import Plateau, Stage, TrainRecipe, adjusted
from edgecv.train.training import Trained, train
from edgecv.train.transfer import NewHead, backbone_recipe, take_backbone, transfer_recipe, with_new_head

__all__ = [
    "Augmentation",
    "NewHead",
    "Plateau",
    "Stage",
    "TrainRecipe",
    "Trained",
    "adjusted",
    "backbone_recipe",
    "default_recipe",
    "recipe",
    "recipe_names",
    "split_at",
    "split_specs",
    "take_backbone",
    "train",
    "transfer_recipe",
    "with_new_head",
]
