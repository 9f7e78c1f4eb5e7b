"""What a user says of a keras model that its file does not say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values.specs import ModelSpec

OPEN_HINT = (
    "give the size with --input-size 224 (or 224x320 for height x width), or a --spec whose input has "
    "shape = [224, 224, 3]"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """How a keras model is opened.

    Attributes:
        unsafe: Allow what can run code: Lambda layers, foreign modules.
        spec: The contract; its shapes fill the open dimensions of inputs.
        input_size: Height and width for the open dimensions of image inputs; goes before the contract.
        architecture: Builds the network of a file that holds weights only.
        custom_objects: A Python file that is run, and whose classes and functions the model may name.
        signature: Which function of a SavedModel without layers is meant, where it serves several.
    """

    unsafe: bool = False
    spec: ModelSpec | None = None
    input_size: tuple[int, int] | None = None
    architecture: Callable[[], Any] | None = None
    custom_objects: Path | None = None
    signature: str | None = None

    def shape(self, name: str, shape: Sequence[int | None], *, names: Sequence[str], where: str) -> tuple[int, ...]:
        """Return the shape of an input without the batch, its open dimensions filled.

        Args:
            name: Of the input.
            shape: Without the batch; None where it is open. Channels may come first.
            names: Of all inputs of the model.
            where: The file, for the message.

        Raises:
            UnsupportedModelError: A dimension stays open.
            ConfigError: The model's images have another size than the one that is asked for.
        """
        declared = self._declared(name, names)
        filled = list(shape)
        first = is_channels_first(shape)
        if len(shape) == 3 and self.input_size and None not in shape and self.input_size not in (shape[:2], shape[1:]):
            raise ConfigError(
                f"{where}: input '{name}' has the fixed shape {tuple(shape)}, and --input-size says "
                f"{self.input_size[0]}x{self.input_size[1]}",
                hint="leave --input-size out: it is for inputs that leave their size open",
            )
        if len(shape) == 3:
            channels = (declared[2],) if declared else (None,)
            size = self.input_size or (declared[:2] if declared else (None, None))
            declared = (*channels, *size) if first else (*size, *channels)
        for axis, own in enumerate(shape):
            if own is None and declared:
                filled[axis] = declared[axis]
        if any(size is None for size in filled):
            raise UnsupportedModelError(
                f"{where}: input '{name}' has the dynamic shape {(None, *shape)}, expected fixed sizes besides the "
                "batch",
                hint=OPEN_HINT,
            )
        return tuple(int(size) for size in filled if size is not None)

    def _declared(self, name: str, names: Sequence[str]) -> tuple[int | None, ...]:
        inputs = self.spec.inputs if self.spec else ()
        found = [only.shape for only in inputs if only.name == name or len(names) == len(inputs) == 1]
        return found[0] if found else ()


def is_channels_first(shape: Sequence[int | None]) -> bool:
    """Say whether the shape of an image input, without the batch, has open sizes behind its channels."""
    return len(shape) == 3 and shape[0] is not None and None in shape[1:] and shape[2] is None


def input_size(text: str) -> tuple[int, int]:
    """Return height and width of "224" or "224x320". Raises ConfigError for anything else."""
    parts = text.lower().split("x")
    if len(parts) not in (1, 2) or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(
            f"'{text}' is no input size", hint="give one number, or height and width: --input-size 224x320"
        )
    return int(parts[0]), int(parts[-1])
