"""Data sets as streams of (uint8 image, label); preprocessing lives in the model's spec, not here."""

from edgecv.data.dataset import Dataset, DatasetSummary, Split, describe
from edgecv.data.schemes import open_dataset, schemes

__all__ = ["Dataset", "DatasetSummary", "Split", "describe", "open_dataset", "schemes"]
