"""Training: recipes, losses, and the one resumable loop that training, pruning and QAT share."""

from edgecv.train.augment import Augmentation
from edgecv.train.recipes import TrainRecipe, default_recipe
from edgecv.train.training import Trained, train

__all__ = ["Augmentation", "TrainRecipe", "Trained", "default_recipe", "train"]
