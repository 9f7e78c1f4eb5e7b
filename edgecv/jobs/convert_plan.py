"""What file to make: the request that conversion, ladder, recipes and searches share, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import edgecv.compress as compress
from edgecv.convert import FORMATS as CONVERTED
from edgecv.convert.check.structure import STATIC
from edgecv.convert.mediapipe import CHOICES
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values import profiles

STEPS = ("equalise", "correct_bias", "adaround")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What file to make.

    Attributes:
        scheme: "float32", "float16", "dynamic", "int8", "mixed", "int16x8" or "int4".
        method: For int8: "ptq" calibrates, "qat" trains on with quantisation. Other schemes ignore it.
        keep_float: Names of source layers, with wildcards, that an int8 file computes in float32; "faster" among them
            stands for those that this machine's CPU computes faster so, by measured time.
        int16: Likewise, that it computes with int16 activations.
        int8: Likewise, whose weights have 8 bits in an int4 file; None: the depthwise ones and the smallest.
        equalise: Before calibration: cross-layer equalisation.
        correct_bias: Likewise: bias correction.
        adaround: Likewise: learned rounding; int4 always has it.
        sparse: Leave the zeros of a pruned model out of a float32 .tflite.
        strict_int8: Refuse operators that stay in float inside a file of integers.
        exact_scale: Refuse weights that integers round: for filters.
        arithmetic: "float16" lets CPUs that have it compute a float16 .tflite in float16; "float32" does not.
        format: "tflite" or "onnx"; None goes by the suffix of the output.
        target: A deployment target's name; `further_targets` those of others that the file must run on too.
        io_dtype: Of an int8 file's input and output; None: int8 in a .tflite, float32 in an .onnx.
        softmax: Where the last softmax or sigmoid of each head is computed: "file", or "runtime": the file ends at its
            logits, and its contract says so.
        data: For calibration and training; None takes the training data when it is a bundled set.
        calibration: Recipe name or TOML path.
        epochs: Of quantisation-aware training; None takes the default recipe.
        metadata: TFLite Metadata for MediaPipe: "auto" writes it where MediaPipe takes the file as it is, "mediapipe"
            changes the model's ends until it does, or fails, "none" writes none.
    """

    scheme: str
    method: str = "ptq"
    format: str | None = None
    target: str = "cpu"
    io_dtype: str | None = None
    data: str | None = None
    calibration: str = "minmax"
    epochs: int | None = None
    seed: int = 0
    keep_float: tuple[str, ...] = ()
    int16: tuple[str, ...] = ()
    int8: tuple[str, ...] | None = None
    equalise: bool = False
    correct_bias: bool = False
    adaround: bool = False
    sparse: bool = False
    strict_int8: bool = False
    exact_scale: bool = False
    arithmetic: str = "float32"
    further_targets: tuple[str, ...] = ()
    softmax: str = "file"
    metadata: str = "auto"

    @property
    def targets(self) -> tuple[str, ...]:
        """All targets, the one that the file is made for first."""
        return tuple(dict.fromkeys((self.target, *self.further_targets)))

    @property
    def names_a_way(self) -> bool:
        """Whether it says how integers are reached, and does not leave that to the ladder."""
        own = self.keep_float or self.int16 or self.recipe.steps or self.exact_scale
        return bool(own or self.scheme != "int8" or self.method != "ptq")

    def taking(self, steps: Collection[str]) -> Plan:
        """Return the plan with just these steps before conversion, as a recipe names them."""
        return replace(
            self, equalise="equalise" in steps, correct_bias="bias correction" in steps, adaround="adaround" in steps
        )

    @property
    def recipe(self) -> compress.PtqRecipe:
        """Return the steps before conversion, but for the weights' granularity."""
        bits = 4 if self.scheme == "int4" else 8
        return compress.PtqRecipe(
            equalise=self.equalise,
            correct_bias=self.correct_bias,
            adaround=self.adaround or bits == 4,
            bits=bits,
            int8=self.int8,
            seed=self.seed,
        )


def check_plan(plan: Plan) -> None:
    """Raise ConfigError, with the nearest match, for a name that a plan has wrong."""
    made = {scheme for schemes in CONVERTED.values() for scheme in schemes}
    if plan.scheme not in made:
        raise unknown_name("scheme", plan.scheme, made)
    if plan.method not in ("ptq", "qat"):
        raise unknown_name("method", plan.method, ("ptq", "qat"))
    if plan.io_dtype not in (None, "int8", "uint8", "float32"):
        raise unknown_name("io type", plan.io_dtype, ("int8", "uint8", "float32"))
    asked = [f"--{step.replace('_', '-')}" for step in STEPS if getattr(plan, step)]
    if asked and (plan.scheme not in STATIC or plan.method == "qat"):
        how = f"{plan.scheme} by {plan.method}"
        raise ConfigError(f"{', '.join(asked)} cannot be used for {how}", hint="they prepare integer files by ptq")
    if plan.int8 is not None and plan.scheme != "int4":
        raise ConfigError(
            f"--int8 names layers of an int4 file, the scheme is {plan.scheme}",
            hint="pass --scheme int4, or leave it out",
        )
    if plan.softmax not in compress.PLACES:
        raise unknown_name("place of the softmax", plan.softmax, compress.PLACES)
    if plan.metadata not in CHOICES:
        raise unknown_name("kind of metadata", plan.metadata, CHOICES)
    for name in plan.targets:
        profiles.target(name)
    profiles.calibration(plan.calibration)
