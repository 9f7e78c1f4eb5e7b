"""What the catalogue knows of an architecture before it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values.specs import Activation, Head, ModelSpec, Preprocessing, Task, one_input


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a builder is asked for.

    Attributes:
        input_shape: Without the batch: (height, width, channels), or (features,).
        units: Outputs of each head.
        width: Multiplier of the channels, for entries that are scalable.
        weights: None, "imagenet", or a path to a weights file, for entries that are pretrained.
        auxiliary: Whether to append the classifiers that only training uses, after the heads.
    """

    input_shape: tuple[int, ...]
    units: tuple[int, ...]
    width: float = 1.0
    weights: str | None = None
    auxiliary: bool = False

    @property
    def labels(self) -> int:
        """Outputs of the first head: the only one of most networks."""
        return self.units[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to build an architecture.

    Attributes:
        title: One line: what differs from the others.
        build: From what is asked for to a tf_keras functional model.
        preprocessing: What the variant's input range is; None for feature vectors.
        activation: What the outputs are, when they are not what the entry's heads say; None keeps those.
        fixed_labels: The only number of labels that it takes; None when any works.
        heads: Its outputs, where they are of another number or task than the entry's; None keeps those.
    """

    title: str
    build: Callable[[Build], Any]
    preprocessing: Preprocessing | None
    activation: Activation | None = None
    fixed_labels: int | None = None
    heads: tuple[Head, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooEntry:
    """One architecture.

    Attributes:
        name: Its id: "lenet5".
        input_shape: Without the batch, as published.
        small_shape: Smallest input that keeps every stage: what tests and the conversion matrix use.
        heads: One per output, with the labels that are used when the caller gives none.
        variants: By name; "canonical" is always there.
        notes: Target to what is hard for it there and what to do, "" when it holds everywhere.
        source: Where the architecture was published.
        scalable: Whether `width` may differ from 1.
        pretrained: Whether `weights` may be given.
        auxiliary: Whether it has auxiliary classifiers for training.
    """

    name: str
    title: str
    input_shape: tuple[int, ...]
    small_shape: tuple[int, ...]
    heads: tuple[Head, ...]
    variants: Mapping[str, Variant]
    source: str
    notes: Mapping[str, str] = field(default_factory=dict)
    scalable: bool = False
    pretrained: bool = False
    auxiliary: bool = False

    @property
    def task(self) -> Task:
        """What the first head answers."""
        return self.heads[0].task

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the first head."""
        return self.heads[0].labels

    def variant(self, name: str) -> Variant:
        """Return a variant by name. Raises ConfigError, with the nearest match, when there is none."""
        if name not in self.variants:
            raise unknown_name(f"variant of {self.name}", name, self.variants)
        return self.variants[name]

    def spec(
        self,
        variant: str = "canonical",
        *,
        labels: tuple[str, ...] | None = None,
        other_labels: Sequence[tuple[str, ...]] = (),
        input_shape: tuple[int, ...] | None = None,
    ) -> ModelSpec:
        """Return the contract of a variant.

        Args:
            variant: Its name.
            labels: One per unit of the first head; None takes the entry's own.
            other_labels: Likewise for each further head; empty takes the entry's own.
            input_shape: Another size than the published one; the number of channels stays.

        Raises:
            ConfigError: Unknown variant, too few or repeated labels, a number that the variant lacks, or a shape of
                another rank or number of channels.
        """
        chosen = self.variant(variant)
        first, *others = chosen.heads or self.heads
        names = first.labels if labels is None else tuple(labels)
        self._check_labels(variant, names, first.task)
        first = replace(first, activation=chosen.activation or first.activation, labels=names)
        if other_labels:
            pairs = zip(others, other_labels, strict=True)
            others = [replace(head, labels=tuple(own)) for head, own in pairs]
            for head in others:
                self._check_labels(variant, head.labels, head.task)
        return one_input(
            name=self.name,
            variant=variant,
            input_shape=self._shape(input_shape),
            heads=(first, *others),
            preprocessing=chosen.preprocessing,
        )

    def _shape(self, asked: tuple[int, ...] | None) -> tuple[int, ...]:
        if asked is None:
            return self.input_shape
        if len(asked) != len(self.input_shape) or asked[2:] != self.input_shape[2:]:
            raise ConfigError(
                f"{self.name} takes inputs like {self.input_shape}, got {tuple(asked)}",
                hint="change the height and width only",
            )
        return tuple(asked)

    def _check_labels(self, variant: str, names: tuple[str, ...], task: Task) -> None:
        fixed = self.variants[variant].fixed_labels
        if fixed is not None and len(names) != fixed:
            raise ConfigError(
                f"{self.name} (variant '{variant}') has exactly {fixed} outputs, got {len(names)} labels",
                hint="use the canonical variant for another number of labels",
            )
        least = 2 if task == "classification" else 1
        if len(names) < least or len(set(names)) != len(names):
            raise ConfigError(f"{self.name} needs {least} or more distinct labels, got {', '.join(names) or 'none'}")
