"""One class of several for each sample."""

from edgecv.tasks.classification.task import Classification, ClassificationTask

__all__ = ["Classification", "ClassificationTask"]
