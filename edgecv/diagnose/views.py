"""Looking at every layer of a model on samples, alone or beside another one: maps, ranges, silent channels, noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgecv.compress.slim.useless import ALIKE, Why
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.diagnose.channel_stats import ChannelStats
from edgecv.diagnose.layer_noise import Sums
from edgecv.diagnose.layer_outputs import Array, Layer, LayerOutputs
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A channel that says nothing of its own; see `edgecv.compress.slim.useless.Useless`."""

    channel: int
    why: Why
    like: int | None = None
    correlation: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewedLayer:
    """One layer.

    Attributes:
        layer: Its name in the source.
        op: What computes it.
        shape: Of its answer, without the batch.
        range: Smallest and largest value over the samples.
        silent: Channels that are dead, constant or duplicates over the samples; of maps only.
        compared: Whether the other model has this layer, of the same shape.
        sqnr_db: Signal to noise of the other model's answer against this one, decibels; None when equal, and when not
            compared.
    """

    layer: str
    op: str
    shape: tuple[int, ...]
    range: tuple[float, float]
    silent: tuple[Silent, ...] = ()
    compared: bool = False
    sqnr_db: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What is to be seen of one layer on the image.

    Attributes:
        figures: Over all samples.
        maps: Its answer to the image, float32 (H, W, channels) or (units,).
        before: Of a pool, what it pools.
        kernel: Its weights, (height, width, inputs, outputs).
        other: The other model's answer.
        other_kernel: Likewise.
    """

    figures: ViewedLayer
    maps: Array
    before: Array | None = None
    kernel: Array | None = None
    other: Array | None = None
    other_kernel: Array | None = None


class _Tally:
    """What is summed up of one layer."""

    def __init__(self) -> None:
        self.stats, self.noise = ChannelStats(), Sums()
        self.image: Array | None = None
        self.other: Array | None = None


def look(
    models: Sequence[LayerOutputs],
    samples: Iterable[Sequence[Array]],
    spec: ModelSpec,
    *,
    total: int,
    alike: float = ALIKE,
    reporter: Reporter = QUIET,
) -> tuple[Sight, ...]:
    """Run one model, or two beside each other, on the image and then on further samples.

    Args:
        models: The one that is shown, and one that is held against it.
        samples: Tensors with batch 1 in the spec's order; the first is the image.
        spec: Of both.
        total: Of samples, for the progress bar.
        alike: Least correlation of duplicates, as a magnitude.
        reporter: Takes progress.

    Raises:
        UnsupportedModelError: Two models have no layer in common; or as they are run.
    """
    first, *others = models
    tallies = [_Tally() for _ in first.layers]
    twins = {layer.name: place for place, layer in enumerate(others[0].layers)} if others else {}
    pairs = [twins.get(layer.name) for layer in first.layers]
    with reporter.bar("look at layers", total) as advance:
        for sample in samples:
            answers = [one.run(in_order(sample, bind_inputs(spec, one.input_names, spec.name))) for one in models]
            for place, tally in enumerate(tallies):
                _add(tally, answers[0][place], None if pairs[place] is None else answers[1][int(pairs[place] or 0)])
            advance()
    if others and not any(tally.noise.count for tally in tallies):
        raise UnsupportedModelError(
            "the two models have no layer of one name and shape in common", hint="give two forms of one model"
        )
    known = {layer.name: tally.image for layer, tally in zip(first.layers, tallies, strict=True)}
    kernels = {layer.name: layer.kernel for layer in others[0].layers} if others else {}
    return tuple(
        _sight(layer, tally, known.get(layer.source or "") if layer.pools else None, kernels.get(layer.name), alike)
        for layer, tally in zip(first.layers, tallies, strict=True)
    )


def _add(tally: _Tally, answer: Array, other: Array | None) -> None:
    fits = other is not None and other.shape == answer.shape
    if tally.image is None:
        tally.image = answer.astype(np.float32)
        tally.other = other.astype(np.float32) if other is not None and fits else None
    tally.stats.add(answer)
    if other is not None and fits and answer.size:
        tally.noise.add(answer, other)


def _sight(layer: Layer, tally: _Tally, before: Array | None, other_kernel: Array | None, alike: float) -> Sight:
    assert tally.image is not None
    compared = bool(tally.noise.count)
    silent = tuple(
        Silent(channel=channel, why=why, like=like, correlation=shared)
        for channel, (why, like, shared) in sorted(tally.stats.silent(alike).items())
    )
    figures = ViewedLayer(
        layer=layer.name, op=layer.op, shape=tuple(tally.image.shape), range=(tally.stats.low, tally.stats.high),
        silent=silent, compared=compared, sqnr_db=tally.noise.sqnr_db() if compared else None,
    )  # fmt: skip
    return Sight(
        figures=figures, maps=tally.image, before=before, kernel=layer.kernel, other=tally.other,
        other_kernel=other_kernel,
    )  # fmt: skip
