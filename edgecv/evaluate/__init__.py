"""How well a model answers, and what a difference between two models on the same samples means."""

from edgecv.evaluate.classification import evaluate
from edgecv.evaluate.keras import KerasPredictor
from edgecv.evaluate.statistics import mcnemar_p, paired_drop

__all__ = ["KerasPredictor", "evaluate", "mcnemar_p", "paired_drop"]
