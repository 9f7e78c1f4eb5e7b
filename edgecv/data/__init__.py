"""Data sets as streams of (uint8 images, truths); preprocessing lives in the model's spec, not here."""

from edgecv.data.dataset import ALL, Column, Dataset, Record, Split, Target
from edgecv.data.describe import DatasetSummary, TargetSummary, describe
from edgecv.data.joining import with_more_identities
from edgecv.data.matching import check_labelled, fitted, match_targets
from edgecv.data.pairs import as_pairs, as_triplets
from edgecv.data.schemes import open_dataset, open_divided, schemes
from edgecv.data.sheet import contact_sheet
from edgecv.data.truths import MaskFiles, ObjectColumn
from edgecv.tasks.description import Spread

__all__ = [
    "ALL",
    "Column",
    "Dataset",
    "DatasetSummary",
    "MaskFiles",
    "ObjectColumn",
    "Record",
    "Split",
    "Spread",
    "Target",
    "TargetSummary",
    "as_pairs",
    "as_triplets",
    "check_labelled",
    "contact_sheet",
    "describe",
    "fitted",
    "match_targets",
    "open_dataset",
    "open_divided",
    "schemes",
    "with_more_identities",
]
