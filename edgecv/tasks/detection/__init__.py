"""Detection: many objects an image, their boxes and classes."""

from edgecv.tasks.detection.settings import DetectionSettings
from edgecv.tasks.detection.task import DetectionTask

__all__ = ["DetectionSettings", "DetectionTask"]
