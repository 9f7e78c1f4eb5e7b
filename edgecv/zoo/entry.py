"""What the catalogue knows of an architecture before it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from edgecv.errors import ConfigError, unknown_name
from edgecv.specs import Activation, Head, ModelSpec, Preprocessing, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to build an architecture.

    Attributes:
        title: One line: what differs from the others.
        build: From the number of labels to an untrained tf_keras functional model.
        preprocessing: What the variant's input range is.
        activation: What the outputs are.
        fixed_labels: The only number of labels that it takes; None when any works.
    """

    title: str
    build: Callable[[int], Any]
    preprocessing: Preprocessing
    activation: Activation = "probabilities"
    fixed_labels: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooEntry:
    """One architecture.

    Attributes:
        name: Its id: "lenet5".
        input_shape: (height, width, channels).
        labels: Class names when the caller gives none.
        variants: By name; "canonical" is always there.
        notes: Target to what is hard for it there, "" when it holds everywhere; empty when nothing is known.
        source: Where the architecture was published.
    """

    name: str
    title: str
    task: Task
    input_shape: tuple[int, int, int]
    labels: tuple[str, ...]
    variants: Mapping[str, Variant]
    source: str
    notes: Mapping[str, str] = field(default_factory=dict)

    def variant(self, name: str) -> Variant:
        """Return a variant by name. Raises ConfigError, with the nearest match, when there is none."""
        if name not in self.variants:
            raise unknown_name(f"variant of {self.name}", name, self.variants)
        return self.variants[name]

    def spec(self, variant: str = "canonical", *, labels: tuple[str, ...] | None = None) -> ModelSpec:
        """Return the contract of a variant.

        Args:
            variant: Its name.
            labels: One per output unit; None takes the entry's own.

        Raises:
            ConfigError: Unknown variant, fewer than 2 labels, a repeated label, or a number that the variant lacks.
        """
        chosen = self.variant(variant)
        names = self.labels if labels is None else tuple(labels)
        self._check_labels(variant, names)
        head = Head(name="output", task=self.task, activation=chosen.activation, labels=names)
        return ModelSpec(
            name=self.name,
            variant=variant,
            input_shape=self.input_shape,
            heads=(head,),
            preprocessing=chosen.preprocessing,
        )

    def _check_labels(self, variant: str, names: tuple[str, ...]) -> None:
        fixed = self.variants[variant].fixed_labels
        if fixed is not None and len(names) != fixed:
            raise ConfigError(
                f"{self.name} (variant '{variant}') has exactly {fixed} outputs, got {len(names)} labels",
                hint="use the canonical variant for another number of labels",
            )
        if len(names) < 2 or len(set(names)) != len(names):
            raise ConfigError(f"{self.name} needs 2 or more distinct labels, got {', '.join(names) or 'none'}")
