"""Reading OpenCV's XML of a cascade, the format of `opencv_traincascade` and of the files that OpenCV ships."""

from __future__ import annotations

import os
from typing import Any, List, Optional, Sequence, Tuple
from xml.etree import ElementTree

import numpy as np

from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.core.files import PathLike
from edgecv.runtime.cascade.values import Array, Cascade, Features, Stage

LARGEST = 64 * 1024 * 1024
"""Bytes; the largest file that OpenCV ships has 2.7 MB."""

WIDEST = 1024
RECTANGLES = 3
SLACK = np.float32(1e-5)
"""What OpenCV takes off every stage's threshold."""


def read_cascade(path: PathLike) -> Cascade:
    """Return the cascade of a file.

    Raises:
        ConfigError: The file does not exist.
        UnsupportedModelError: It is damaged, or no boosted cascade of Haar features in the format of OpenCV 2 and
            later; the message says what it is.
    """
    name = os.fspath(path)
    root = _parsed(name)
    try:
        return _cascade(root, name)
    except EdgecvError:
        raise
    except (ValueError, IndexError, OverflowError, KeyError) as error:
        raise _damaged(name, str(error)) from error


def _parsed(name: str) -> ElementTree.Element:
    if not os.path.isfile(name):
        raise ConfigError(f"cascade {name} does not exist", hint="name an .xml file as OpenCV ships or trains it")
    if os.path.getsize(name) > LARGEST:
        raise _damaged(name, f"it has {os.path.getsize(name):,} bytes")
    with open(name, "rb") as file:
        content = file.read()
    # Entities are never needed here, and they are how a small file becomes a large one.
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise _damaged(name, "it declares a document type")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise _damaged(name, str(error)) from error


def _cascade(root: ElementTree.Element, name: str) -> Cascade:
    found = root.find("cascade")
    if root.tag != "opencv_storage" or found is None:
        old = any("haar" in (child.get("type_id") or "") for child in root)
        raise UnsupportedModelError(
            f"{name} holds no cascade" + (" of today's format: it is one of OpenCV 1" if old else ""),
            hint="use a file of OpenCV 2 or later, such as haarcascade_frontalface_default.xml",
        )
    kinds = _text(found, "stageType"), _text(found, "featureType")
    if kinds != ("BOOST", "HAAR"):
        raise UnsupportedModelError(
            f"{name} is a cascade of {kinds[0]}, {kinds[1]}: only BOOST with HAAR features is evaluated here",
            hint="OpenCV's CascadeClassifier runs cascades of local binary patterns",
        )
    window = (int(_text(found, "height")), int(_text(found, "width")))
    if not all(3 <= side <= WIDEST for side in window):
        raise _damaged(name, f"its window is {window[0]}x{window[1]}")
    features = _features(_children(found, "features"), window, name)
    stages = tuple(_stage(one, len(features), name) for one in _children(found, "stages"))
    if not stages:
        raise _damaged(name, "it has no stages")
    return Cascade(window, features, stages)


def _features(elements: Sequence[ElementTree.Element], window: Tuple[int, int], name: str) -> Features:
    boxes = np.zeros((len(elements), RECTANGLES, 4), np.int64)
    weights = np.zeros((len(elements), RECTANGLES), np.float32)
    tilted = np.zeros(len(elements), bool)
    for index, element in enumerate(elements):
        tilted[index] = int(_text(element, "tilted") if element.find("tilted") is not None else "0") != 0
        rectangles = _children(element, "rects")
        if not 0 < len(rectangles) <= RECTANGLES:
            raise _damaged(name, f"feature {index} has {len(rectangles)} rectangles")
        for place, rectangle in enumerate(rectangles):
            *box, weight = _numbers(rectangle, 5)
            boxes[index, place], weights[index, place] = box, weight
    found = Features(boxes, weights, tilted)
    _check_inside(found, window, name)
    return found


def _check_inside(features: Features, window: Tuple[int, int], name: str) -> None:
    x, y, width, height = np.moveaxis(features.boxes, -1, 0)
    used, tilted = features.weights != 0, features.tilted[:, None]
    left, right = np.where(tilted, x - height, x), x + width
    bottom = np.where(tilted, y + width + height, y + height)
    # Numbers near the end of int64 would come back from below in the sums.
    small = (np.abs(features.boxes) <= WIDEST).all(axis=-1)
    inside = (
        small & (left >= 0) & (y >= 0) & (right <= window[1]) & (bottom <= window[0]) & (width >= 0) & (height >= 0)
    )
    wrong = np.flatnonzero((used & ~(small & inside)).any(axis=1))
    if len(wrong):
        raise _damaged(name, f"feature {int(wrong[0])} lies outside the window of {window[0]}x{window[1]}")
    if not np.isfinite(features.weights).all():
        raise _damaged(name, "a weight is not finite")


def _stage(element: ElementTree.Element, features: int, name: str) -> Stage:
    trees = [_tree(one, features, name) for one in _children(element, "weakClassifiers")]
    if not trees:
        raise _damaged(name, "a stage has no trees")
    most = max(len(nodes) for nodes, _ in trees)
    nodes = np.zeros((len(trees), most, 4), np.float64)
    leaves = np.zeros((len(trees), most + 1), np.float32)
    for index, (own, values) in enumerate(trees):
        nodes[index, : len(own)], leaves[index, : len(values)] = own, values
    left, right, feature = (nodes[..., place].astype(np.int64) for place in (0, 1, 2))
    threshold = np.float32(float(_text(element, "stageThreshold"))) - SLACK
    if not np.isfinite(threshold):
        raise _damaged(name, "a stage's threshold is not finite")
    return Stage(float(threshold), feature, nodes[..., 3].astype(np.float32), left, right, leaves)


def _tree(element: ElementTree.Element, features: int, name: str) -> Tuple[Array, Array]:
    """Return nodes (m, 4) of left, right, feature, threshold, and the leaves."""
    leaves = np.array(_numbers(_child(element, "leafValues")))
    nodes = np.array(_numbers(_child(element, "internalNodes"))).reshape(-1, 4)
    own = np.arange(len(nodes))[:, None]
    ways, feature = nodes[:, :2], nodes[:, 2]
    # A way leads on to a later node, or to a leaf: a walk from the first node always ends.
    onwards = ((ways > own) & (ways < len(nodes))) | ((ways <= 0) & (-ways < len(leaves)))
    whole = (nodes[:, :3] == np.rint(nodes[:, :3])).all()
    if not (len(nodes) and len(leaves) == len(nodes) + 1 and onwards.all() and whole):
        raise _damaged(name, "a tree has nodes that lead nowhere")
    if not ((feature >= 0) & (feature < features)).all():
        raise _damaged(name, f"a tree asks for a feature beyond the {features} that there are")
    if not (np.isfinite(nodes).all() and np.isfinite(leaves).all()):
        raise _damaged(name, "a tree holds a number that is not finite")
    return nodes, leaves


def _children(element: ElementTree.Element, name: str) -> List[ElementTree.Element]:
    return _child(element, name).findall("_")


def _child(element: ElementTree.Element, name: str) -> ElementTree.Element:
    found: Optional[ElementTree.Element] = element.find(name)
    if found is None:
        raise KeyError(f"<{element.tag}> has no <{name}>")
    return found


def _text(element: ElementTree.Element, name: str) -> str:
    return (_child(element, name).text or "").strip()


def _numbers(element: ElementTree.Element, count: Optional[int] = None) -> List[float]:
    found = [float(part) for part in (element.text or "").split()]
    if count is not None and len(found) != count:
        raise ValueError(f"<{element.tag}> has {len(found)} numbers, expected {count}")
    return found


def _damaged(name: str, why: Any) -> UnsupportedModelError:
    return UnsupportedModelError(f"{name} is no cascade that can be read: {why}", hint="get the file again")
