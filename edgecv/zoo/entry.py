"""What the catalogue knows of an architecture before it is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.tasks import registry
from edgecv.values.specs import Activation, Head, InputSpec, ModelSpec, Preprocessing

Settings = Callable[[tuple[int, ...], tuple[str, ...]], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a builder is asked for.

    Attributes:
        input_shape: Without the batch: (height, width, channels), or (features,).
        units: Outputs of each head: one per label; 0 for heads without labels, whose size is the network's own.
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
        inputs: Names of its inputs, all of the entry's shape; feature vectors are called "features" whatever it says.
        settings: From the input's shape and the first head's labels to settings of that head which hang on them, such
            as the anchors of a detector; they go over the head's own. None where none do.
        further: From the image's shape to further inputs that are none: what a second network takes of the first one's
            answers. None where there are none.
        input_shape: Its published one, where that is not the entry's.
        told: From the network that was built, and its contract, to the contract with what the network's weights decide.
            None where they decide nothing.
    """

    title: str
    build: Callable[[Build], Any]
    preprocessing: Preprocessing | None
    activation: Activation | None = None
    fixed_labels: int | None = None
    heads: tuple[Head, ...] | None = None
    inputs: tuple[str, ...] = ("image",)
    settings: Settings | None = None
    further: Callable[[tuple[int, ...]], tuple[InputSpec, ...]] | None = None
    input_shape: tuple[int, ...] | None = None
    told: Callable[[Any, ModelSpec], ModelSpec] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ZooEntry:
    """One architecture.

    Attributes:
        name: Its id: "lenet5".
        input_shape: Without the batch, as published.
        small_shape: Smallest input that keeps every stage: what tests and the conversion matrix use.
        heads: One per output, with the labels that are used when the caller gives none. Heads of tasks without labels,
            such as embeddings, have none and take none.
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
    def task(self) -> str:
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
            labels: One per unit of the first head; None takes the entry's own. A head without labels takes none.
            other_labels: Likewise for each further head; empty takes the entry's own.
            input_shape: Another size than the published one; the number of channels stays.

        Raises:
            ConfigError: Unknown variant, too few or repeated labels, a number that the variant lacks, or a shape of
                another rank or number of channels.
        """
        chosen = self.variant(variant)
        first, *others = chosen.heads or self.heads
        first = self._labelled(variant, first, labels)
        first = replace(first, activation=chosen.activation or first.activation)
        if other_labels:
            pairs = zip(others, other_labels, strict=True)
            others = [self._labelled(variant, head, own) for head, own in pairs]
        shape = self._shape(input_shape or chosen.input_shape)
        if chosen.settings:
            first = replace(first, settings={**first.settings, **chosen.settings(shape, first.labels)})
        names = chosen.inputs if chosen.preprocessing else ("features",)
        return ModelSpec(
            name=self.name,
            variant=variant,
            inputs=(
                *(InputSpec(name, shape, chosen.preprocessing) for name in names),
                *(chosen.further(shape) if chosen.further else ()),
            ),
            heads=(first, *others),
        )

    def _labelled(self, variant: str, head: Head, labels: tuple[str, ...] | None) -> Head:
        if not head.labels:
            return head
        names = head.labels if labels is None else tuple(labels)
        self._check_labels(variant, names, head.task)
        return replace(head, labels=names)

    def _shape(self, asked: tuple[int, ...] | None) -> tuple[int, ...]:
        if asked is None:
            return self.input_shape
        if len(asked) != len(self.input_shape) or asked[2:] != self.input_shape[2:]:
            raise ConfigError(
                f"{self.name} takes inputs like {self.input_shape}, got {tuple(asked)}",
                hint="change the height and width only",
            )
        return tuple(asked)

    def _check_labels(self, variant: str, names: tuple[str, ...], task: str) -> None:
        fixed = self.variants[variant].fixed_labels
        if fixed is not None and len(names) != fixed:
            raise ConfigError(
                f"{self.name} (variant '{variant}') has exactly {fixed} outputs, got {len(names)} labels",
                hint="use the canonical variant for another number of labels",
            )
        least = registry.task(task).least_labels
        if len(names) < least or len(set(names)) != len(names):
            raise ConfigError(f"{self.name} needs {least} or more distinct labels, got {', '.join(names) or 'none'}")
