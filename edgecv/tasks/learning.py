"""What training asks of a task; tasks answer in their `training.py`, where tensorflow is imported inside functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.frame import Frame

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """A target tensor of one sample, for training: shape without the batch; None for a size that differs."""

    shape: Tuple[Optional[int], ...]
    dtype: str


@dataclass(frozen=True)
class LossOptions:
    """What a recipe says of losses; a task takes what concerns it.

    Attributes:
        label_smoothing: 0 <= x < 1.
        regression: "mse", "mae" or "huber".
        class_weights: float32 (classes,); None weighs all alike.
        temperature: Of distillation, > 0.
    """

    label_smoothing: float = 0.0
    regression: str = "mse"
    class_weights: Optional[Array] = None
    temperature: float = 1.0


class TrainingTask(Protocol):
    """What training asks of a task, for one head; made by `Task.training`. Tensors are tensorflow's."""

    @property
    def targets(self) -> Tuple[TensorSpec, ...]:
        """The tensors that `encode` gives for one sample."""
        ...

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        """Return the target tensors of one truth, which `frame` takes from image to input coordinates."""
        ...

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        """Return float32 (classes,), so that every class counts alike; None where there are no classes."""
        ...

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the scalar float32 training loss of a batch: targets and outputs (n, …), in `Head.outputs`' order."""
        ...

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return a float32 vector that adds up over batches, and from which `value` makes the validation value."""
        ...

    def value(self, sums: Array) -> float:
        """Return the validation value, in the task's metric or one that orders models alike."""
        ...

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        """Return the scalar loss of following a teacher's outputs."""
        ...

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        """Return the order of the samples of an epoch, int64; tasks that learn from pairs put partners together."""
        ...
