"""The knobs a space may turn: what each is an option of, which way it is harsh, and whether it changes the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Value = str | int | float | bool | tuple[str, ...]
Harsh = Literal["less", "more", "order", "none"]
"""Which values cost more accuracy: smaller ones, larger ones, those further on in `choices`, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnobKind:
    """One knob.

    Attributes:
        what: A few words for people.
        neutral: The value that leaves the model as it is; also what a space without the knob has.
        kinds: Types of its values.
        harsh: Which way it costs accuracy.
        choices: All values of a knob that has few.
        shapes: Whether it changes what the device computes, so that it has to be timed.
        shapes_with: Likewise, beside this knob only; "" for none.
        needs: A knob that must not be neutral for this one to mean anything; "" for none.
    """

    what: str
    neutral: Value
    kinds: tuple[type, ...]
    harsh: Harsh = "none"
    choices: tuple[Value, ...] = ()
    shapes: bool = False
    shapes_with: str = ""
    needs: str = ""


NUMBER, WHOLE, TEXT, FLAG = (float, int), (int,), (str,), (bool,)
SCHEMES = ("float32", "float16", "int16x8", "dynamic", "int8", "int4")
RUNGS: dict[str, dict[str, bool]] = {
    "plain": {},
    "equalise": {"equalise": True},
    "bias": {"correct_bias": True},
    "equalise+bias": {"equalise": True, "correct_bias": True},
    "adaround": {"adaround": True},
    "equalise+adaround": {"equalise": True, "adaround": True},
}
"""Steps before quantisation after training, as the ladder of `quantize --max-drop` takes them."""

KNOBS: dict[str, KnobKind] = {
    "zoo.width": KnobKind(
        what="multiplier of the channels of the model's own architecture, trained anew; 1: those it has",
        neutral=1.0, kinds=NUMBER, harsh="less", shapes=True,
    ),
    "zoo.size": KnobKind(
        what="share of the input's height and width, the architecture trained anew", neutral=1.0, kinds=NUMBER,
        harsh="less", shapes=True,
    ),
    "zoo.epochs": KnobKind(
        what="epochs of training anew; 0: those of the architecture's recipe", neutral=0, kinds=WHOLE, harsh="less",
        needs="zoo",
    ),
    "slim.macs": KnobKind(
        what="share of the MACs that slimming leaves", neutral=1.0, kinds=NUMBER, harsh="less", shapes=True
    ),
    "slim.bytes": KnobKind(
        what="share of the weights' bytes that slimming leaves", neutral=1.0, kinds=NUMBER, harsh="less", shapes=True
    ),
    "slim.multiple": KnobKind(
        what="multiple of which channels are left", neutral=1, kinds=WHOLE, shapes=True, needs="slim"
    ),
    "slim.min_share": KnobKind(
        what="share of its channels that each layer keeps", neutral=0.1, kinds=NUMBER, shapes=True, needs="slim"
    ),
    "slim.score": KnobKind(
        what="what tells important channels", neutral="taylor", kinds=TEXT, shapes=True, needs="slim",
        choices=("taylor", "similarity", "l1", "bn", "fpgm"),
    ),
    "slim.rounds": KnobKind(what="rounds of removing and training on", neutral=3, kinds=WHOLE, needs="slim"),
    "slim.epochs": KnobKind(
        what="epochs of training after slimming, with the model as teacher", neutral=0, kinds=WHOLE, harsh="less",
        needs="slim",
    ),
    "slim.learning_rate": KnobKind(what="its rate at the start of a round", neutral=0.0, kinds=NUMBER, needs="slim"),
    "low_rank.energy": KnobKind(
        what="share of the energy that factors of dense layers keep", neutral=1.0, kinds=NUMBER, harsh="less",
        shapes=True,
    ),
    "low_rank.epochs": KnobKind(
        what="epochs of training after factoring", neutral=0, kinds=WHOLE, harsh="less", needs="low_rank.energy"
    ),
    "low_rank.learning_rate": KnobKind(
        what="its rate at the start", neutral=0.0, kinds=NUMBER, needs="low_rank.energy"
    ),
    "units.drop": KnobKind(what="residual units to drop", neutral=0, kinds=WHOLE, harsh="more", shapes=True),
    "units.epochs": KnobKind(
        what="epochs of training after dropping units", neutral=0, kinds=WHOLE, harsh="less", needs="units.drop"
    ),
    "units.learning_rate": KnobKind(what="its rate at the start", neutral=0.0, kinds=NUMBER, needs="units.drop"),
    "prune.sparsity": KnobKind(
        what="share of zero weights", neutral=0.0, kinds=NUMBER, harsh="more", shapes_with="prune.sparse"
    ),
    "prune.pattern": KnobKind(
        what="2:4 zeros", neutral="none", kinds=TEXT, choices=("none", "2:4"), harsh="order",
        shapes_with="prune.sparse",
    ),
    "prune.epochs": KnobKind(what="epochs of pruning", neutral=0, kinds=WHOLE, harsh="less", needs="prune"),
    "prune.sparse": KnobKind(
        what="leave the zeros out of a float32 file, for sparse kernels on Arm", neutral=False, kinds=FLAG, shapes=True,
        needs="prune",
    ),
    "quantize.scheme": KnobKind(
        what="type of weights and activations", neutral="float32", kinds=TEXT, choices=SCHEMES, harsh="order",
        shapes=True,
    ),
    "quantize.arithmetic": KnobKind(
        what="what a CPU that has float16 arithmetic computes a float16 file in", neutral="float32", kinds=TEXT,
        choices=("float32", "float16"), harsh="order", shapes=True,
    ),
    "quantize.method": KnobKind(
        what="calibration (ptq) or training on with quantisation (qat)", neutral="ptq", kinds=TEXT,
        choices=("ptq", "qat"),
    ),
    "quantize.epochs": KnobKind(
        what="epochs of training with quantisation", neutral=0, kinds=WHOLE, harsh="less", needs="qat"
    ),
    "quantize.rung": KnobKind(
        what="steps before calibration", neutral="plain", kinds=TEXT, choices=tuple(RUNGS),
    ),
    "quantize.calibration": KnobKind(what="how ranges are found", neutral="minmax", kinds=TEXT),
    "quantize.io": KnobKind(
        what="type of input and output", neutral="int8", kinds=TEXT, choices=("int8", "uint8", "float32"), shapes=True
    ),
    "quantize.softmax": KnobKind(
        what="where the last softmax is computed", neutral="file", kinds=TEXT, choices=("file", "runtime"), shapes=True
    ),
    "quantize.keep_float": KnobKind(
        what="layers left in float32, with wildcards; faster: those that are faster so", neutral=(), kinds=(tuple,),
        shapes=True,
    ),
    "quantize.int16": KnobKind(
        what="layers with int16 activations, with wildcards", neutral=(), kinds=(tuple,), shapes=True
    ),
    "device.threads": KnobKind(what="interpreter threads", neutral=1, kinds=WHOLE, shapes=True),
    "device.accelerator": KnobKind(
        what="what runs the file", neutral="cpu", kinds=TEXT, choices=("cpu", "gpu", "edgetpu"), shapes=True
    ),
}  # fmt: skip


def harshness(name: str, value: Any) -> float | None:
    """Return how harsh a value is, as a number that only its order matters of; None where values have no order."""
    kind = KNOBS[name]
    if kind.harsh == "less":
        return -float(value)
    if kind.harsh == "more":
        return float(value)
    if kind.harsh == "order":
        return float(kind.choices.index(value))
    return None
