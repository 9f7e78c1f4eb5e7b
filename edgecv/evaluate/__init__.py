"""How well a model answers, and what a difference between two models on the same samples means."""

from edgecv.evaluate.evaluating import evaluate
from edgecv.evaluate.heads import head_results, heads_of
from edgecv.evaluate.keras import KerasPredictor
from edgecv.tasks.paired import drop_between, mcnemar_p, paired_drop, paired_rise

__all__ = [
    "KerasPredictor",
    "drop_between",
    "evaluate",
    "head_results",
    "heads_of",
    "mcnemar_p",
    "paired_drop",
    "paired_rise",
]
