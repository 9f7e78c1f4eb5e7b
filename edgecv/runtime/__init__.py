"""The on-device runtime: numpy, one interpreter and a model file; Python 3.9 or newer.

    from edgecv.runtime import load
    with load("model.tflite") as model:
        print(model.predict("photo.jpg").label)

Native libraries may write log lines to the process's stderr. On the GPU, what they write to stdout while a model is
loaded is kept away from it, so that a program's own output on stdout stays whole.
"""

from __future__ import annotations

from edgecv.runtime.cascade import CascadeDetector, load_cascade
from edgecv.runtime.container import read_manifest
from edgecv.runtime.engines import open_session
from edgecv.runtime.engines.base import Session
from edgecv.runtime.gallery import Gallery, Match
from edgecv.runtime.golden import GoldenDifference, GoldenResult, replay
from edgecv.runtime.image import load_image, preprocess, preprocess_batch, preprocess_sample
from edgecv.runtime.predictor import Predictor, load
from edgecv.runtime.windows import slide, windows

__all__ = [
    "CascadeDetector",
    "Gallery",
    "GoldenDifference",
    "GoldenResult",
    "Match",
    "Predictor",
    "Session",
    "load",
    "load_cascade",
    "load_image",
    "open_session",
    "preprocess",
    "preprocess_batch",
    "preprocess_sample",
    "read_manifest",
    "replay",
    "slide",
    "windows",
]
