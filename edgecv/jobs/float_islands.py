"""Islands of float in an int8 file: layers that this machine's CPU computes faster in float, by measured time.

Integer kernels are not faster for every layer: XNNPACK's int8 depthwise convolution takes twice as long as the float
one on x86. A layer in float saves that, and costs a conversion wherever integers go in or come out. Which layers are
cheapest in float, all taken together, is a minimum cut: each layer is on the integer side or on the float side and pays
its time there, and each tensor that crosses pays for its conversion.

Source of the cut: Greig, Porteous and Seheult 1989, "Exact Maximum A Posteriori Estimation for Binary Images".
"""

from __future__ import annotations

import glob
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import edgecv.bench as bench
from edgecv.bench import BenchCase, BenchPlan
from edgecv.core.errors import ConfigError, ConversionError, MissingDependencyError
from edgecv.core.optional import require
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.core.shown import Shown
from edgecv.graphs import Graph
from edgecv.jobs.convert_plan import Plan
from edgecv.modelio.model_file import model_file
from edgecv.runtime import host
from edgecv.values import profiles
from edgecv.values.latency import OpProfile

FASTER = "faster"
"""What stands among the names of layers to keep in float for those that are found here."""
HERE = "local"
"""The device that is this machine."""
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
LOOKS = 3
"""Profiles of each file; an operator's time is its shortest."""
PLAN = BenchPlan(target_width=0.04, min_launches=5, max_launches=12, launch_seconds=0.3, max_seconds=10.0)
NONE = "no layer in float saves more time on this CPU than its conversions cost"
ALL = "every layer is faster in float on this CPU: a float32 file is what to look at; this one is all int8"
_NANO = 1e6
"""Nanoseconds in a millisecond."""
_NEVER = 1 << 30
"""A capacity that no cut pays."""

Build = Callable[[str, tuple[str, ...], Path], object]
"""Writes a file of a scheme, "float32" or "int8", with some layers in float."""
Times = Mapping[str, float]
"""Layer's name to nanoseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Islands(Shown):
    """Layers that an int8 file has in float because they are faster there.

    Attributes:
        layers: Their names, sorted; none where no choice of them was shown to be faster.
        ratio: Time of the file with them over that of plain int8, interleaved in one run; None when none was timed.
        ratio_ci95: Its 95 % interval.
        bound: Share of plain int8's time that no choice of layers goes below: each in its shorter time, conversions
            free, by the operators' times. None when they were not taken.
    """

    layers: tuple[str, ...]
    ratio: float | None = None
    ratio_ci95: tuple[float, float] | None = None
    bound: float | None = None


def are_of(target: str) -> bool:
    """Say whether a target is the CPU of this machine: times here say nothing of another one."""
    profile = profiles.target(target)
    return profile.accelerator == "cpu" and profile.isa in ("", "host", host.cpu_isa())


def check(targets: Sequence[str]) -> None:
    """Raise ConfigError unless every target is the CPU of this machine."""
    for name in targets:
        if not are_of(name):
            raise ConfigError(
                f"--keep-float {FASTER} goes by times on this machine's CPU, and {name} is something else",
                hint="run it on the device itself, or name the layers: --keep-float 'block*_depthwise'",
            )


def resolved(
    plan: Plan, build: Callable[[Plan, Path], object], *, format_: str, reporter: Reporter = QUIET
) -> tuple[Plan, Islands | None]:
    """Return a plan with the names of the layers that "faster" stands for, and what was measured; others as they are.

    Args:
        plan: Of the file.
        build: Writes the file of a plan.
        format_: Of the file.
        reporter: Told of the outcome.

    Raises:
        ConfigError: The file is no int8 .tflite, or is not for this machine's CPU.
        MissingDependencyError: Nothing here profiles operators.
    """
    if FASTER not in plan.keep_float:
        return plan, None
    if format_ != "tflite" or plan.scheme not in ("int8", "mixed") or plan.method != "ptq":
        raise ConfigError(
            f"--keep-float {FASTER} is of int8 .tflite files by ptq, not of {plan.scheme} {format_} by {plan.method}",
            hint="leave it out",
        )
    check(plan.targets)
    named = tuple(name for name in plan.keep_float if name != FASTER)
    plain = plan.taking(())

    def of_scheme(scheme: str, kept: tuple[str, ...], out: Path) -> object:
        if scheme == "int8":
            return build(replace(plain, scheme="int8", keep_float=(*named, *kept)), out)
        return build(replace(plain, scheme=scheme, keep_float=(), int16=()), out)

    islands = found(of_scheme, seed=plan.seed, reporter=reporter)
    return replace(plan, scheme="int8", keep_float=(*named, *islands.layers)), islands


def found(build: Build, *, seed: int = 0, reporter: Reporter = QUIET) -> Islands:
    """Return the layers to keep in float.

    Args:
        build: Makes the files that are timed.
        seed: Of the inputs.
        reporter: Told of the outcome.

    Raises:
        MissingDependencyError: Nothing here profiles operators.
        ConversionError, UnsupportedModelError: As `build`, of a plain file.
    """
    with tempfile.TemporaryDirectory() as folder, reporter.bar("islands", 4) as advance:
        plain, real, mixed = (Path(folder) / f"{name}.tflite" for name in ("int8", "float32", "islands"))
        build("int8", (), plain)
        build("float32", (), real)
        costs = measured(plain, real, seed=seed)
        bound = costs.least / costs.in_integers if costs.in_integers else None
        advance(2)
        # What a conversion costs shows in a file that has some: with each layer where it alone is faster.
        chosen = cheapest(costs, 0.0)
        try:
            if chosen and len(chosen) < costs.count:
                build("int8", chosen, mixed)
                advance(1)
                first, chosen = chosen, cheapest(costs, _price(mixed, _profile(mixed, seed)))
                if chosen and chosen != first and len(chosen) < costs.count:
                    build("int8", chosen, mixed)
        except ConversionError as error:
            # The quantiser does not leave every operator in float that is named to it.
            reporter.info(f"layers that are faster in float cannot all stay there: {error.message.splitlines()[0]}")
            return Islands(layers=(), bound=bound)
        advance(1)
        if not chosen or len(chosen) == costs.count:
            reporter.info(NONE if not chosen else ALL)
            return Islands(layers=(), bound=bound)
        return replace(_timed(plain, mixed, chosen, bound, reporter), bound=bound)


def _timed(plain: Path, mixed: Path, chosen: tuple[str, ...], bound: float | None, reporter: Reporter) -> Islands:
    """Hold the file with islands against the plain one; without them where it is not shown to be faster."""
    case, base = (BenchCase(name=name, path=str(file), engine="litert") for name, file in
                  (("islands", mixed), ("int8", plain)))  # fmt: skip
    device = bench.open_device(HERE, None)
    _, timed = bench.bench([case], baseline=base, device=device, plan=PLAN, retries=1, reporter=Unseen(reporter))
    ratio, interval = timed.latency.ratio_to_baseline, timed.latency.ratio_ci95
    words = f"{ratio:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]" if ratio and interval else "an unknown share"
    if ratio is None or interval is None or interval[1] >= 1:
        reporter.info(f"with {len(chosen)} layers in float the file takes {words} of plain int8's time: left in int8")
        return Islands(layers=(), ratio=ratio, ratio_ci95=interval)
    least = f"; no choice of layers takes less than {bound:.2f}" if bound else ""
    reporter.info(
        f"{len(chosen)} layers in float, which this CPU computes faster so: the file takes {words} of plain int8's "
        f"time{least}"
    )
    return Islands(layers=chosen, ratio=ratio, ratio_ci95=interval)


def _profile(file: Path, seed: int) -> list[OpProfile]:
    case = BenchCase(name=file.name, path=str(file), engine="litert")
    looks = [bench.profile(case, bench.open_device(HERE, None), seed=seed) for _ in range(LOOKS)]
    for look in looks:
        if look.profile is None:
            raise MissingDependencyError(f"the layers cannot be timed here: {look.reason}")
    return [look.profile for look in looks if look.profile is not None]


def _shortest(looks: Sequence[OpProfile]) -> list[tuple[str, str, float]]:
    """Return op, layer and shortest time in nanoseconds of each row; the rows are the same in each look."""
    rows = zip(*(look.ops for look in looks), strict=True)
    return [(row[0].op, row[0].layer, min(one.ms for one in row) * _NANO) for row in rows]


def _by_layer(looks: Sequence[OpProfile]) -> Times:
    times: dict[str, float] = {}
    for _, layer, spent in _shortest(looks):
        times[layer] = times.get(layer, 0.0) + spent
    return times


def _price(mixed: Path, looks: Sequence[OpProfile]) -> float:
    """Return the nanoseconds that an element's conversion takes, by a file that has some."""
    graph = model_file(mixed).graph
    elements = sum(graph.tensors[op.outputs[0]].elements for op in graph.ops if op.op in CONVERSIONS)
    spent = sum(time for op, _, time in _shortest(looks) if op in CONVERSIONS)
    return spent / elements if elements else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What layers cost in int8 and in float.

    Attributes:
        graph: Of the float file.
        layers: Its operators' layers, "" where an operator has none.
        integer: Nanoseconds of each layer in int8; `real` in float. A layer that is not there costs nothing.
    """

    graph: Graph
    layers: Sequence[str]
    integer: Times
    real: Times

    @property
    def names(self) -> list[str]:
        """The layers, sorted."""
        return sorted({layer for layer in self.layers if layer})

    @property
    def in_integers(self) -> float:
        """Nanoseconds of all layers in int8."""
        return sum(self.integer.values())

    @property
    def in_float(self) -> float:
        """Nanoseconds of all layers in float."""
        return sum(self.real.values())

    @property
    def least(self) -> float:
        """Nanoseconds of all layers, each in the kind of numbers that it is faster in, conversions not counted."""
        return sum(min(self.integer.get(name, 0.0), self.real.get(name, 0.0)) for name in {*self.integer, *self.real})

    @property
    def count(self) -> int:
        """How many layers there are."""
        return len(self.names)


def measured(plain: Path, real: Path, *, seed: int = 0) -> Costs:
    """Return what each layer costs, by profiles of an int8 file and of the float file of the same network.

    Raises:
        MissingDependencyError: Nothing here profiles operators.
    """
    opened = model_file(real)
    integer, floats = _by_layer(_profile(plain, seed)), _by_layer(_profile(real, seed))
    return Costs(graph=opened.graph, layers=opened.layers, integer=integer, real=floats)


def cheapest(costs: Costs, price: float) -> tuple[str, ...]:
    """Return the layers that cost least in float, all of them together, as patterns that name them; sorted.

    Args:
        costs: Of the layers.
        price: Nanoseconds that an element's conversion takes.
    """
    names = costs.names
    cut = _Cut(len(names))
    place = {name: cut.first + index for index, name in enumerate(names)}
    for name, node in place.items():
        cut.edge(cut.integer, node, costs.real.get(name, 0.0))
        cut.edge(node, cut.real, costs.integer.get(name, 0.0))
    graph = costs.graph
    maker = {index: place.get(costs.layers[op.index], cut.integer) for op in graph.ops for index in op.outputs}
    takers: dict[int, set[int]] = {}
    for op in graph.ops:
        for index in op.inputs:
            if index >= 0 and not graph.tensors[index].is_constant:
                takers.setdefault(index, set()).add(place.get(costs.layers[op.index], cut.integer))
    for index in graph.outputs:
        takers.setdefault(index, set()).add(cut.integer)
    for index, nodes in takers.items():
        # What goes in and out of the file has integers.
        cut.tensor(maker.get(index, cut.integer), nodes, price * graph.tensors[index].elements)
    return tuple(glob.escape(name) for name in names if place[name] in cut.float_side())


class _Cut:
    """A graph whose minimum cut parts layers into those in int8, on the source's side, and those in float."""

    integer, real, first = 0, 1, 2

    def __init__(self, layers: int) -> None:
        self._count = self.first + layers
        self._edges: dict[tuple[int, int], int] = {}
        self._found: Collection[int] | None = None

    def edge(self, start: int, end: int, capacity: float) -> None:
        """Let a cut pay `capacity` when `start` is in int8 and `end` in float."""
        if start != end:
            known = self._edges.get((start, end), 0)
            self._edges[start, end] = min(_NEVER, known + round(capacity))

    def tensor(self, maker: int, takers: Collection[int], price: float) -> None:
        """Let a cut pay once for a tensor that is made on one side and taken, however often, on the other."""
        others = [node for node in takers if node != maker]
        if not others:
            return
        dequantised, quantised = self._count, self._count + 1
        self._count += 2
        self.edge(maker, dequantised, price)
        self.edge(quantised, maker, price)
        for node in others:
            self.edge(dequantised, node, _NEVER)
            self.edge(node, quantised, _NEVER)

    def float_side(self) -> Collection[int]:
        """Return the nodes that the minimum cut leaves without a way from the source."""
        if self._found is None:
            self._found = self._solved()
        return self._found

    def _solved(self) -> Collection[int]:
        sparse: Any = require("scipy.sparse", why="to choose the layers that stay in float")
        csgraph: Any = require("scipy.sparse.csgraph", why="to choose the layers that stay in float")
        starts, ends = zip(*self._edges, strict=True)
        shape = (self._count, self._count)
        capacity = sparse.csr_array((list(self._edges.values()), (starts, ends)), shape=shape, dtype="int32")
        flow = csgraph.maximum_flow(capacity, self.integer, self.real).flow
        left = (capacity - flow).tocsr()
        left.eliminate_zeros()
        reached = csgraph.breadth_first_order(left, self.integer, return_predecessors=False)
        return set(range(self._count)) - {int(node) for node in reached}
