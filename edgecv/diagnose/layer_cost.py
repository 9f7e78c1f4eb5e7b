"""Which layers cost an int8 file its accuracy, and what would help: measured by rounding one layer at a time.

The task's metric, on labelled samples, of the float file in which a single layer rounds as in the int8 file says what
that layer costs alone; of the file in which all but one round, what leaving that one in float would win back. For the
worst layers, remedies are tried in the same way, cheapest first. All of these figures are simulated (`rounding`); the
int8 file itself is measured beside them, and `Ranking.simulated` tells whether the simulation agrees with it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from edgecv import runtime
from edgecv.core.apart import Apart, limits
from edgecv.core.errors import DataError
from edgecv.core.progress import QUIET, Reporter
from edgecv.diagnose import remedies
from edgecv.diagnose.layer_noise import Sums
from edgecv.diagnose.quantised_layers import Matched, QuantisedLayer, match
from edgecv.diagnose.rounding import Edit
from edgecv.evaluate import drop_between
from edgecv.graphs import read_tflite
from edgecv.values.evaluation import HeadEvaluation
from edgecv.values.kind import Kind
from edgecv.values.scores import Drop

Array = np.ndarray[Any, Any]
ENOUGH = 0.8
"""Share of a layer's cost that a remedy must win back to be recommended."""
SAMPLES_PER_LIMIT = 8
"""Samples that may take as long as one call of a process apart may."""


class Judge(Protocol):
    """`evaluating.judge_of`: from the answers of all heads to their figures."""

    def __call__(self, answers: Sequence[Array], /) -> tuple[HeadEvaluation, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a layer would cost alone after a remedy."""

    remedy: str
    drop: Drop


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What rounding one layer costs.

    Attributes:
        layer: Source layer.
        op: Its operator in the int8 file: the one with weights, else the last.
        ops: All of its operators in the int8 file, by index.
        drop: Of the metric, when this layer alone rounds, against the float file on the same samples.
        answer_sqnr_db: Signal to noise ratio of the network's first output then, in decibels; None: not a bit changes.
        regained: What the metric gains when all layers round but this one, against all rounding; None where it was not
            tried.
        trials: Remedies that were tried, in order.
        action: "none", "clip_outliers", "per_channel", "equalise", "int16" or "keep_float".
        reason: Of the action, in a sentence.
    """

    layer: str
    op: str
    ops: tuple[int, ...]
    drop: Drop
    answer_sqnr_db: float | None
    regained: Drop | None = None
    trials: tuple[Trial, ...] = ()
    action: str = "none"
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking:
    """The layers of an int8 file by what they cost, dearest first.

    Attributes:
        metric: Of the first head; `value` of the float file, `int8_value` of the int8 file, both measured here.
        simulated: Value of the float file in which all layers round.
        simulated_drop: Of that, against the float file.
        cured: Value when each layer is rounded as its action says, and all others as in the int8 file.
        n: Samples.
        layers: By `drop`, then by the noise in the network's answer.
        left_out: Layers that could not be simulated, with the reason.
        kind: Of the layers' figures.
    """

    metric: str
    value: float
    int8_value: float
    simulated: float
    simulated_drop: Drop
    cured: float
    n: int
    layers: tuple[LayerCost, ...]
    left_out: Mapping[str, str]
    kind: Kind = "simulated"


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What one variant of the file answered."""

    figures: HeadEvaluation
    answers: Array


def layer_costs(
    float_file: Path,
    int8_file: Path,
    inputs: Sequence[Sequence[Array]],
    judge: Judge,
    *,
    top: int = 5,
    reporter: Reporter = QUIET,
) -> Ranking:
    """Rank the layers of an int8 file by what they cost.

    Args:
        float_file: The float32 .tflite that it was made from.
        int8_file: An int8 .tflite of edgecv.
        inputs: Preprocessed samples, a float32 tensor with batch 1 for each input of the file.
        judge: Turns the answers to all of them into figures; the first head's decide.
        top: Layers for which remedies are tried and the gain in float is measured.
        reporter: Told of each variant that was run.

    Raises:
        UnsupportedModelError: The files do not belong together; see `quantised_layers.match`.
        DataError: There are no inputs, or an answer is not finite.
    """
    if not inputs:
        raise DataError("there is nothing to compare on", hint="give a data set with samples")
    matched = match(float_file, int8_file)
    with _Bench(float_file, inputs, judge) as bench:
        return _ranking(bench, matched, _measured(int8_file, inputs, judge), top, reporter)


def _ranking(bench: _Bench, matched: Matched, measured: HeadEvaluation, top: int, reporter: Reporter) -> Ranking:
    plain = bench.run(())
    everything = bench.run([layer.edit for layer in matched.layers])
    with reporter.bar("round one layer at a time", len(matched.layers)) as advance:
        costs = []
        for layer in matched.layers:
            costs.append(_cost(layer, plain, bench.run([layer.edit])))
            advance()
    order = sorted(range(len(costs)), key=lambda i: _badness(costs[i]))
    edits = [layer.edit for layer in matched.layers]
    with reporter.bar("try remedies", min(top, len(order))) as advance:
        for i in order[:top]:
            others = bench.run([other.edit for other in matched.layers if other is not matched.layers[i]])
            regained = drop_between(others.figures, everything.figures)
            costs[i], edits[i] = _examined(replace(costs[i], regained=regained), matched.layers[i], bench, plain)
            advance()
    return Ranking(
        metric=plain.figures.metric.name,
        value=plain.figures.value,
        int8_value=measured.value,
        simulated=everything.figures.value,
        simulated_drop=drop_between(plain.figures, everything.figures),
        cured=bench.run(edits).figures.value,
        n=bench.n,
        layers=tuple(costs[i] for i in order),
        left_out=matched.left_out,
    )


def dearest(
    float_file: Path,
    int8_file: Path,
    inputs: Sequence[Sequence[Array]],
    judge: Judge,
    *,
    among: Collection[str],
    reporter: Reporter = QUIET,
) -> tuple[LayerCost, ...]:
    """Return what some layers cost, alone and beside the others, in the order of execution; remedies are not tried.

    Args:
        float_file: As `layer_costs`.
        int8_file: Likewise.
        inputs: Likewise.
        judge: Likewise.
        among: The layers; those that cannot be simulated are left out.
        reporter: Told of each layer.

    Raises:
        UnsupportedModelError, DataError: As `layer_costs`.
    """
    matched = match(float_file, int8_file)
    with _Bench(float_file, inputs, judge) as bench:
        plain, everything = bench.run(()), bench.run([layer.edit for layer in matched.layers])
        asked = [layer for layer in matched.layers if layer.layer in among]
        costs = []
        with reporter.bar("rank layers by the metric", len(asked)) as advance:
            for layer in asked:
                without = bench.run([other.edit for other in matched.layers if other is not layer])
                cost = _cost(layer, plain, bench.run([layer.edit]))
                costs.append(replace(cost, regained=drop_between(without.figures, everything.figures)))
                advance()
        return tuple(costs)


def beside(cost: LayerCost) -> tuple[float, float]:
    """Return what orders layers by what leaving them in float wins, the most first, then by the noise in the answer.

    The first is the mean of what a layer costs alone and of what it wins back beside the others: the first and the last
    term of its Shapley value, since two layers may lose the same samples, or lose some only together.

    Source: Shapley 1953, "A value for n-person games"; Castro et al. 2009 for sampling its terms.
    """
    regained = cost.regained.value if cost.regained is not None else cost.drop.value
    return -(cost.drop.value + regained) / 2, _badness(cost)[1]


class _Bench:
    """Runs variants of one file on the same samples, in a process of its own; a context manager that ends it."""

    def __init__(self, file: Path, inputs: Sequence[Sequence[Array]], judge: Judge) -> None:
        self.n, self._judge = len(inputs), judge
        data = file.read_bytes()
        self.graph = read_tflite(data)
        allowed = limits()
        # A call runs all samples.
        allowed = replace(allowed, seconds=allowed.seconds * max(1, len(inputs) / SAMPLES_PER_LIMIT))
        given = [list(sample) for sample in inputs]
        self._child = Apart("edgecv.diagnose.variants:Variants", data, given, about=file, allowed=allowed)

    def __enter__(self) -> _Bench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._child.close(at_once=error is not None)

    def run(self, edits: Iterable[Edit]) -> _Outcome:
        answers: list[Array] = self._child.call("run", list(edits))
        if not all(np.isfinite(answer).all() for answer in answers):
            raise DataError("a variant of the network answers NaN or infinity", hint="check the data and weights")
        return _Outcome(self._judge(answers)[0], answers[0])

    def observe(self, tensors: Sequence[int]) -> dict[int, remedies.Seen]:
        found: dict[int, remedies.Seen] = self._child.call("observe", list(tensors))
        return found


def _cost(layer: QuantisedLayer, plain: _Outcome, alone: _Outcome) -> LayerCost:
    drop, noise = drop_between(plain.figures, alone.figures), Sums()
    noise.add(plain.answers.astype(np.float64), alone.answers.astype(np.float64))
    return LayerCost(
        layer=layer.layer,
        op=layer.op,
        ops=layer.int8_ops,
        drop=drop,
        answer_sqnr_db=noise.sqnr_db(),
        reason="costs nothing on these samples" if drop.value <= 0 else "not among the dearest: nothing was tried",
    )


def _badness(cost: LayerCost) -> tuple[float, float]:
    return -cost.drop.value, np.inf if cost.answer_sqnr_db is None else cost.answer_sqnr_db


def _examined(cost: LayerCost, layer: QuantisedLayer, bench: _Bench, plain: _Outcome) -> tuple[LayerCost, Edit]:
    """Return the cost with its action, and how the layer rounds after that."""
    if cost.drop.ci95[0] <= 0:
        return replace(cost, reason=_excuse(cost, bench.n)), layer.edit
    trials: list[Trial] = []
    seen = bench.observe(tuple(layer.edit.outputs))
    for name, edit in remedies.remedies(layer, bench.graph, seen):
        trials.append(Trial(remedy=name, drop=drop_between(plain.figures, bench.run([edit]).figures)))
        if trials[-1].drop.value <= (1 - ENOUGH) * cost.drop.value:
            reason = f"{remedies.MEANING[name]}: alone it then costs {trials[-1].drop.value:.4g}"
            return replace(cost, trials=tuple(trials), action=name, reason=reason), edit
    reason = f"{remedies.MEANING['keep_float']}: no remedy tried wins back {ENOUGH:.0%} of what it costs"
    return replace(cost, trials=tuple(trials), action="keep_float", reason=reason), Edit()


def _excuse(cost: LayerCost, n: int) -> str:
    """Say why a layer needs nothing."""
    if cost.drop.value > 0:
        return f"{n} samples cannot tell what it costs from nothing"
    beside = cost.regained.value if cost.regained else 0.0
    return f"costs nothing alone, {beside:.4g} beside the other layers" if beside > 0 else cost.reason


def _measured(int8_file: Path, inputs: Sequence[Sequence[Array]], judge: Judge) -> HeadEvaluation:
    with runtime.load(int8_file, apart=True) as predictor:
        rows = [predictor.run([sample[place] for place in predictor.bound_inputs]) for sample in inputs]
    answers = [np.concatenate([np.asarray(out, np.float32) for out in column]) for column in zip(*rows, strict=True)]
    return judge(answers)[0]
