"""How well a model answers, and what a difference between two models on the same samples means."""

from edgecv.evaluate.assessing import assess
from edgecv.evaluate.evaluating import Judge, drop_between, evaluate, judge_of
from edgecv.evaluate.heads import head_results
from edgecv.modelio.predictor import KerasPredictor

__all__ = ["Judge", "KerasPredictor", "assess", "drop_between", "evaluate", "head_results", "judge_of"]
