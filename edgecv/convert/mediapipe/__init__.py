"""TFLite Metadata, by which MediaPipe Tasks, ML Kit and the like know how a .tflite is fed and read."""

from edgecv.convert.mediapipe.attaching import attach, without_metadata
from edgecv.convert.mediapipe.describing import Described, describe

__all__ = ["Described", "attach", "describe", "without_metadata"]
