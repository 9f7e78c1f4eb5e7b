"""Any number of labels for each sample."""

from edgecv.tasks.multilabel.task import Multilabel, MultilabelTask

__all__ = ["Multilabel", "MultilabelTask"]
