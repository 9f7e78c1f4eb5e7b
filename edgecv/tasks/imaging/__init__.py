"""Pictures for pictures: style, noise removal, more pixels."""

from edgecv.tasks.imaging.prediction import Picture
from edgecv.tasks.imaging.task import ImagingSettings, ImagingTask

__all__ = ["ImagingSettings", "ImagingTask", "Picture"]
