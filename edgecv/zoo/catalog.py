"""The catalogue: every architecture by name. A new family is one file and one line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.core.registry import Registry
from edgecv.modelio import env
from edgecv.modelio.boundary import output_names
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import ModelSpec
from edgecv.zoo.entry import Build, ZooEntry
from edgecv.zoo.families import (
    alexnet,
    applications,
    darknet,
    deeplab,
    facenet,
    fashion,
    fcn,
    filters,
    first_cnns,
    imaging,
    inception,
    lenet,
    localisation,
    mlps,
    rcnn,
    resnet,
    siamese,
    small,
    ssd,
    transfer,
    unet,
    unet_small,
    yolo,
    yolo_small,
    yolo_v1,
)

_ENTRIES: Registry[ZooEntry] = Registry("architecture")
_FAMILIES = (
    mlps,
    lenet,
    fashion,
    first_cnns,
    alexnet,
    inception,
    resnet,
    small,
    ssd,
    rcnn,
    applications,
    transfer,
    localisation,
    unet_small,
    unet,
    fcn,
    deeplab,
    imaging,
    siamese,
    facenet,
    darknet,
    yolo_v1,
    yolo,
    yolo_small,
    filters,
)
for _family in _FAMILIES:
    for _entry in _family.ENTRIES:
        _ENTRIES.add(_entry.name, _entry)


def names() -> tuple[str, ...]:
    """Return the name of every architecture."""
    return _ENTRIES.names()


def entries() -> tuple[ZooEntry, ...]:
    """Return every architecture."""
    return tuple(entry for _, entry in _ENTRIES)


def get(name: str) -> ZooEntry:
    """Return an architecture by name. Raises ConfigError, with the nearest match, when there is none."""
    return _ENTRIES.get(name)


def build(
    name: str,
    *,
    variant: str = "canonical",
    labels: tuple[str, ...] | None = None,
    other_labels: Sequence[tuple[str, ...]] = (),
    input_shape: tuple[int, ...] | None = None,
    width: float = 1.0,
    weights: str | None = None,
    auxiliary: bool = False,
    seed: int = 0,
) -> tuple[Any, ModelSpec]:
    """Build a model.

    Args:
        name: Of the architecture.
        variant: Of it.
        labels: One per unit of the first head; None takes the architecture's own.
        other_labels: Likewise for each further head; empty takes the architecture's own.
        input_shape: Another height and width than the published ones.
        width: Multiplier of the channels, for architectures that scale.
        weights: None for random ones, "imagenet", or a weights file, for architectures that come pretrained.
        auxiliary: Whether to append the classifiers that only training uses: see `inference`.
        seed: Of the weights: the same seed gives the same ones. Seeds python, numpy and tensorflow.

    Returns:
        The tf_keras functional model, not compiled, and its contract.

    Raises:
        ConfigError: Unknown name or variant, labels or a shape that do not fit, an input too small for its stages, or
            an option that it does not have.
    """
    entry = get(name)
    spec = entry.spec(variant, labels=labels, other_labels=other_labels, input_shape=input_shape)
    _check_options(entry, width=width, weights=weights, auxiliary=auxiliary)
    request = Build(
        input_shape=spec.input_shape,
        units=tuple(len(head.labels) for head in spec.heads),
        width=width,
        weights=weights,
        auxiliary=auxiliary,
    )
    env.keras().utils.set_random_seed(seed)
    model, told = _built(entry, variant, request), entry.variant(variant).told
    return model, told(model, spec) if told else spec


def inference(model: Any, spec: ModelSpec) -> Any:
    """Return the model that ends at the outputs of `spec`: the one that came in unless it has auxiliary outputs.

    The weights are shared, so training the one trains the other.
    """
    names = output_names(model)
    read = [place for places in bind_outputs(spec, names, spec.name) for place in places]
    if len(read) == len(names):
        return model
    return env.keras().Model(model.inputs, [model.outputs[place] for place in read], name=model.name)


def _built(entry: ZooEntry, variant: str, request: Build) -> Any:
    try:
        with env.first_names():
            return entry.variant(variant).build(request)
    except ValueError as error:
        raise ConfigError(
            f"{entry.name} (variant '{variant}') cannot be built for inputs of {request.input_shape}: "
            f"{str(error).splitlines()[0]}",
            hint=f"every stage of it fits into {entry.small_shape} and larger",
        ) from error


def _check_options(entry: ZooEntry, *, width: float, weights: str | None, auxiliary: bool) -> None:
    asked = {"width": width != 1.0, "weights": weights is not None, "auxiliary": auxiliary}
    has = {"width": entry.scalable, "weights": entry.pretrained, "auxiliary": entry.auxiliary}
    missing = [name for name, wanted in asked.items() if wanted and not has[name]]
    if missing:
        able = [other.name for other in entries() if _has(other, missing[0])]
        raise ConfigError(
            f"{entry.name} has no option '{missing[0]}'", hint=f"these have it: {', '.join(able) or 'none'}"
        )
    if not 0 < width <= 4:
        raise ConfigError(f"width must be > 0 and <= 4, got {width}")


def _has(entry: ZooEntry, option: str) -> bool:
    return {"width": entry.scalable, "weights": entry.pretrained, "auxiliary": entry.auxiliary}[option]
