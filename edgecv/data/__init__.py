"""Data sets as streams of (uint8 image, targets); preprocessing lives in the model's spec, not here."""

from edgecv.data.dataset import Dataset, Split, Target
from edgecv.data.describe import DatasetSummary, Spread, TargetSummary, describe
from edgecv.data.matching import match_targets
from edgecv.data.schemes import open_dataset, schemes

__all__ = [
    "Dataset",
    "DatasetSummary",
    "Split",
    "Spread",
    "Target",
    "TargetSummary",
    "describe",
    "match_targets",
    "open_dataset",
    "schemes",
]
