"""The steps of post-training quantisation that change weights: float model in, float model of other weights out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgecv.compress.adaround import RoundingRecipe, adaround
from edgecv.compress.bias_correction import correct_bias
from edgecv.compress.dead_channels import without_dead_channels
from edgecv.compress.equalise import equalise
from edgecv.compress.layer_graph import flattened, read
from edgecv.compress.rewrite import standardised
from edgecv.core.errors import DataError
from edgecv.core.patterns import matching
from edgecv.core.progress import QUIET, Reporter

Array = np.ndarray[Any, Any]
SHRINK = {8: 1.0, 4: 0.5}
"""How far a grid may be narrower than the largest weight: 255 steps have none to spare for it, 15 gain by it."""

SMALL = 0.22
"""Share of the weights in the smallest layers that keep 8 bits in a file of 4, which has up to 22 % more bytes for it.
Measured on an EfficientNet-Lite0 by `benchmarks/quantisers.py --way int4`, with this changed: the file puts the same
class first as float on 0.949 of 900 images; with a share of 0.15, on 0.941, of 0.3, on 0.951."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PtqRecipe:
    """Which steps are taken before conversion.

    Attributes:
        equalise: Cross-layer equalisation.
        correct_bias: Empirical bias correction; learned rounding has its own.
        adaround: Learned rounding.
        bits: Of the weights in the file: 8 or 4.
        int8: Names of layers, with wildcards, whose weights have 8 bits in a file of 4; None: the depthwise
            ones and the smallest.
        per_channel: Whether weights have a scale per output channel there.
        samples: Calibration images that the steps see.
        iterations: Of learned rounding, per layer.
        seed: Of the choice of samples and positions.
    """

    equalise: bool = False
    correct_bias: bool = False
    adaround: bool = False
    bits: int = 8
    int8: tuple[str, ...] | None = None
    per_channel: bool = True
    samples: int = 128
    iterations: int = 400
    seed: int = 0

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the steps that are taken, in order."""
        asked = {"equalise": self.equalise, "bias correction": self.correct_bias, "adaround": self.adaround}
        return tuple(name for name, wanted in asked.items() if wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class PtqModel:
    """A float model ready to be converted.

    Attributes:
        model: In canonical form.
        integers: Chosen integers of kernels, by layer, in keras' layout: the converted file must hold them.
        left: Layers whose rounding or bias was left to the converter, because their form is not known.
        facts: What the steps report of themselves.
    """

    model: Any
    integers: Mapping[str, Array] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def prepare(model: Any, inputs: Array, recipe: PtqRecipe, *, reporter: Reporter = QUIET) -> PtqModel:
    """Return a float model after the recipe's steps, in canonical form.

    Equalisation keeps the answers; the other two keep them as well as rounded weights allow.

    Args:
        model: A trained float model.
        inputs: Calibration samples, preprocessed, float32 (samples, …).
        recipe: Which steps.
        reporter: Gets a step per layer, and a warning about layers that were left alone.

    Raises:
        UnsupportedModelError: The model is subclassed, or a layer gives several tensors.
        DataError: There are no samples.
    """
    if len(inputs) == 0:
        raise DataError("post-training quantisation got no samples", hint="check the data set")
    cleaned = without_dead_channels(standardised(flattened(model)).model, [inputs], reporter=reporter)
    current, facts = cleaned.model, dict[str, Any](cleaned.facts)
    if recipe.equalise:
        even = equalise(current, inputs, reporter=reporter)
        current = even.model
        facts["equalise"] = {
            "pairs": len(even.pairs), "spread_before": even.spread_before, "spread_after": even.spread_after,
        }  # fmt: skip
    if not (recipe.correct_bias or recipe.adaround):
        return PtqModel(model=current, facts=facts)
    if recipe.adaround:
        rounding = _rounding(recipe, current)
        walked = adaround(current, inputs, rounding, reporter=reporter)
        if rounding.wide:
            facts["int8"] = sorted(rounding.wide)
            reporter.info(f"8 bits for the weights of {', '.join(facts['int8'])}")
    else:
        walked = correct_bias(
            current, inputs, bits=recipe.bits, per_channel=recipe.per_channel, seed=recipe.seed, reporter=reporter
        )
    if walked.left:
        reporter.warn(f"rounded to the nearest, without correction: {', '.join(walked.left)}")
    return PtqModel(model=walked.model, integers=walked.integers, left=walked.left, facts=facts)


def _rounding(recipe: PtqRecipe, model: Any) -> RoundingRecipe:
    return RoundingRecipe(
        bits=recipe.bits,
        per_channel=recipe.per_channel,
        iterations=recipe.iterations,
        shrink=SHRINK[recipe.bits],
        wide=_wide(recipe, model) if recipe.bits < 8 else frozenset(),
        seed=recipe.seed,
    )


def _wide(recipe: PtqRecipe, model: Any) -> frozenset[str]:
    """Return the layers whose weights keep 8 bits: those that are named, else the depthwise ones and the smallest.

    A depthwise kernel has nine weights or so for each scale, and no sum over channels in which the errors of rounding
    would cancel. A small layer saves next to no bytes, and all that comes after it sees its errors: first layers are
    small.
    """
    kernels = {call.name: call for call in read(model).calls if call.weights}
    if recipe.int8 is not None:
        return frozenset(matching(recipe.int8, kernels, kind="layer with weights"))
    found = {name for name, call in kernels.items() if call.kind == "DepthwiseConv2D"}
    left = SMALL * sum(call.weights[0].size for call in kernels.values())
    for name in sorted(kernels.keys() - found, key=lambda name: (kernels[name].weights[0].size, name)):
        left -= kernels[name].weights[0].size
        if left < 0:
            break
        found.add(name)
    return frozenset(found)
