"""keras models to checked TFLite and ONNX files with an embedded manifest."""

from edgecv.convert.artifact import Artifact, Preparation
from edgecv.convert.embed import embed_onnx, embed_tflite
from edgecv.convert.pipeline import convert, quantize
from edgecv.convert.request import FORMATS
from edgecv.convert.verify import Check

__all__ = ["FORMATS", "Artifact", "Check", "Preparation", "convert", "embed_onnx", "embed_tflite", "quantize"]
