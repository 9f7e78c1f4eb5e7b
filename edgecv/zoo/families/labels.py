"""Class names that several families share."""

from __future__ import annotations

from edgecv.values.specs import Head

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple(str(digit) for digit in range(10))
IMAGENET = tuple(f"imagenet_{index}" for index in range(1000))
"""By index in the usual order of the 1,000 classes."""


def numbered(count: int, *, stem: str = "class") -> tuple[str, ...]:
    """Return "class_0", "class_1", …: for a network whose data names no classes."""
    return tuple(f"{stem}_{index}" for index in range(count))


def classifier_head(labels: tuple[str, ...]) -> tuple[Head, ...]:
    """Return the one head of a softmax classifier."""
    return (Head(name="output", task="classification", activation="probabilities", labels=labels),)
