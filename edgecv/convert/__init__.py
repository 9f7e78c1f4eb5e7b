"""keras models to checked TFLite and ONNX files with an embedded manifest."""

from edgecv.convert.artifact import Artifact, Preparation
from edgecv.convert.check.structure import Check
from edgecv.convert.convert import convert, quantize
from edgecv.convert.embed import embed_onnx, embed_tflite
from edgecv.convert.request import FORMATS

__all__ = ["FORMATS", "Artifact", "Check", "Preparation", "convert", "embed_onnx", "embed_tflite", "quantize"]
