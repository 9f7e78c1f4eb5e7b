"""Input ranges that several families share, as preprocessing of 0..255 pixels."""

from __future__ import annotations

from edgecv.values.specs import Preprocessing

GRAY = Preprocessing(color="gray", mean=(0.0,), std=(255.0,))
"""0..1."""

UNIT = Preprocessing(color="rgb", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0))
"""0..1."""

RAW = Preprocessing(color="rgb", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""0..255, as they are."""

SYMMETRIC = Preprocessing(color="rgb", mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))
"""-1..1: keras_applications' mode "tf"."""

CAFFE = Preprocessing(color="bgr", mean=(103.939, 116.779, 123.68), std=(1.0, 1.0, 1.0))
"""BGR minus ImageNet's channel means: keras_applications' mode "caffe"."""

TORCH = Preprocessing(color="rgb", mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))
"""ImageNet's means and deviations: keras_applications' mode "torch"."""

CIFAR10 = Preprocessing(color="rgb", mean=(125.3, 123.0, 113.9), std=(63.0, 62.1, 66.7))
"""Mean 0, deviation 1 over CIFAR-10's training pixels."""
