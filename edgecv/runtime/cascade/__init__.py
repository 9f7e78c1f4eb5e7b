"""Boosted cascades of Haar features, as OpenCV writes them, without OpenCV: a detector in numpy alone.

    from edgecv.runtime import load_cascade
    found = load_cascade("haarcascade_frontalface_default.xml", label="face").predict("group.jpg")

Source: Viola, Jones 2001, "Rapid Object Detection using a Boosted Cascade of Simple Features"; Lienhart, Maydt 2002,
"An Extended Set of Haar-like Features for Rapid Object Detection". Files, pyramid and grouping are those of OpenCV's
`CascadeClassifier`.
"""

from __future__ import annotations

from edgecv.runtime.cascade.detector import CascadeDetector, load_cascade
from edgecv.runtime.cascade.grouping import grouped
from edgecv.runtime.cascade.haar import FEATURE_SHAPES, feature_count
from edgecv.runtime.cascade.values import Cascade

__all__ = ["FEATURE_SHAPES", "Cascade", "CascadeDetector", "feature_count", "grouped", "load_cascade"]
