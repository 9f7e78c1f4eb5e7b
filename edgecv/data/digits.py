"""The bundled data set: scikit-learn's optical recognition of handwritten digits, real scans of 43 writers.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998
(scikit-learn ships its test part: 1,797 images of 8x8 pixels with 17 grey levels).
"""

from __future__ import annotations

import numpy as np

from edgecv.core.optional import require
from edgecv.data.columns import classes
from edgecv.data.dataset import Dataset, Split
from edgecv.data.sources import ArrayImages
from edgecv.data.splits import TEST_SHARE, VALIDATION_SHARE, stratified

LEVELS = 16


def open_digits(seed: int) -> Dataset:
    """Return the digits as uint8 (8, 8), round(level * 255 / 16), split 0.68 / 0.12 / 0.2."""
    bunch = require("sklearn.datasets", why="for the bundled digits").load_digits()
    images = np.rint(bunch.images * 255.0 / LEVELS).astype(np.uint8)
    labels = bunch.target.astype(np.int64)
    names = tuple(str(n) for n in range(10))
    shares = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
    parts = stratified(labels, names, shares, seed=seed, where="digits")
    splits = {
        name: Split(name=name, images=ArrayImages(images, index), targets=(labels[index],))
        for name, index in parts.items()
    }
    return Dataset(name="digits", uri="digits", targets=classes(names), splits=splits)
