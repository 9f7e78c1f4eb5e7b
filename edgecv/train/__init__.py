"""Training: recipes, losses, and the one resumable loop that training, pruning and QAT share."""

from edgecv.train.augment import Augmentation
from edgecv.train.recipe_files import default_recipe, recipe, recipe_names
from edgecv.train.recipes import Plateau, Stage, TrainRecipe
from edgecv.train.training import Trained, train

__all__ = [
    "Augmentation",
    "Plateau",
    "Stage",
    "TrainRecipe",
    "Trained",
    "default_recipe",
    "recipe",
    "recipe_names",
    "train",
]
