"""Training: recipes, losses, and the one resumable loop that training, pruning and QAT share."""

from edgecv.train.augment import Augmentation
from edgecv.train.features import split_at, split_specs
from edgecv.train.recipe_files import default_recipe, recipe, recipe_names
from edgecv.train.recipes import Plateau, Stage, TrainRecipe, adjusted
from edgecv.train.training import Trained, train
from edgecv.train.transfer import NewHead, transfer_recipe, with_new_head

__all__ = [
    "Augmentation",
    "NewHead",
    "Plateau",
    "Stage",
    "TrainRecipe",
    "Trained",
    "adjusted",
    "default_recipe",
    "recipe",
    "recipe_names",
    "split_at",
    "split_specs",
    "train",
    "transfer_recipe",
    "with_new_head",
]
