"""Semantic segmentation: a class for every pixel of the image."""

from edgecv.tasks.segmentation.prediction import Segmentation
from edgecv.tasks.segmentation.task import SegmentationSettings, SegmentationTask

__all__ = ["Segmentation", "SegmentationSettings", "SegmentationTask"]
