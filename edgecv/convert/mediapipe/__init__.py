"""TFLite Metadata, by which MediaPipe Tasks, ML Kit and the like know how a .tflite is fed and read."""

from edgecv.convert.mediapipe.attaching import attach, has_metadata, without_metadata
from edgecv.convert.mediapipe.describing import Described, describe
from edgecv.convert.mediapipe.telling import CHOICES, Mediapipe, asked, told

__all__ = [
    "CHOICES",
    "Described",
    "Mediapipe",
    "asked",
    "attach",
    "describe",
    "has_metadata",
    "told",
    "without_metadata",
]
