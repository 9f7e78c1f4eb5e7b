"""Whether a file that is written has TFLite Metadata, and if not, why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgecv.convert.mediapipe.describing import Described, describe
from edgecv.core.errors import UnsupportedModelError
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import ModelSpec

CHOICES = ("auto", "mediapipe", "none")
"""Metadata where MediaPipe takes the file as it is; metadata or an error; no metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mediapipe:
    """What MediaPipe makes of a file.

    Attributes:
        kind: The task that reads it by its metadata: "image_classifier", …; "" where the file has none.
        reason: Why it has none; "" where it has.
        labels: Lines of its label files.
        limits: What MediaPipe does otherwise than edgecv's runtime.
    """

    kind: str = ""
    reason: str = ""
    labels: int = 0
    limits: tuple[str, ...] = ()


def asked(
    metadata: str, spec: ModelSpec, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]
) -> tuple[Described | None, Mediapipe | None]:
    """Return the metadata of a file, None where it has none, and what is told of it, None where nobody asked.

    Args:
        metadata: One of `CHOICES`.
        spec: The file's contract.
        inputs: Its tensors, in its order.
        outputs: Likewise.

    Raises:
        UnsupportedModelError: It was asked for, and MediaPipe cannot take the file.
    """
    if metadata == "none":
        return None, None
    try:
        found = describe(spec, inputs, outputs)
    except UnsupportedModelError as error:
        if metadata == "mediapipe":
            raise
        hint = f" ({error.hint})" if error.hint else ""
        return None, Mediapipe(reason=f"{error.message}{hint}")
    return found, told(found)


def told(found: Described) -> Mediapipe:
    """Return what is told of a file with metadata."""
    labels = sum(len(text.splitlines()) for name, text in found.files.items() if name.startswith("labels"))
    return Mediapipe(kind=found.kind, labels=labels, limits=found.limits)
