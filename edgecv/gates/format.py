"""GATES.toml: the format, parsed strictly into frozen values.

report = "demo/report.json"            # relative to the gates file

[[gate]]
artifact = "lenet5-int8*"              # a name, or a glob over names
metric = {reference = 0.986, tolerance_down = 0.006, tolerance_up = 0.006}
size_bytes = {reference = 71000, tolerance_down = 700, tolerance_up = 700, explained = "narrower head"}
mapped_ops.edgetpu = {reference = 9, tolerance_down = 0, tolerance_up = 0}
latency_ratio = [{reference = 0.6, tolerance_down = 0.1, tolerance_up = 0.1, device = "local"}]
figures.r2 = {reference = 0.9, tolerance_down = 0.05, tolerance_up = 0.1, head = "age", better = "higher"}
per_label.car.iou = {reference = 0.8, tolerance_down = 0.05, tolerance_up = 0.05}
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.core.files import PathLike
from edgecv.values.kind import Kind
from edgecv.values.profiles import read_toml


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The figure that is expected, and how far it may be off, all in the figure's own unit.

    Attributes:
        reference: The figure when the gate was written.
        tolerance_down: How far below the reference still passes, >= 0.
        tolerance_up: How far above the reference still passes, >= 0.
        explained: Why a gain beyond the tolerance is right; lets gains pass, never regressions.
    """

    reference: float
    tolerance_down: float
    tolerance_up: float
    explained: str = ""

    @property
    def low(self) -> float:
        """Smallest figure that passes."""
        return self.reference - self.tolerance_down

    @property
    def high(self) -> float:
        """Largest figure that passes."""
        return self.reference + self.tolerance_up


@dataclass(frozen=True, slots=True, kw_only=True)
class RatioBound(Bound):
    """A bound on the latency as a ratio to the baseline (smaller is faster); absolute times do not travel.

    Attributes:
        device: Name or glob; every latency of the artifact that matches all four selectors is checked.
        accelerator: Name or glob.
        threads: None for any number.
        kind: Of the figure.
    """

    device: str = "*"
    accelerator: str = "*"
    threads: int | None = None
    kind: Kind = "measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureBound(Bound):
    """A bound on a further figure of a head.

    Attributes:
        head: Its name; "" for the first one.
        better: Which way the figure is good; None as the head's metric.
    """

    head: str = ""
    better: Literal["higher", "lower"] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What is expected of the artifacts of one name or glob.

    Attributes:
        artifact: Name in the report; when no artifact has it, a glob over names.
        metric: Of the first head, in the metric's unit: 0..1 for shares.
        size_bytes: Of the file.
        mapped_ops: Target name to the number of operators that run on its accelerator.
        latency_ratio: Latency over the baseline's.
        figures: Name of a figure of a head, its metric's name included, to its bound.
        per_label: Label to the names of its figures to their bounds.
    """

    artifact: str
    metric: Bound | None = None
    size_bytes: Bound | None = None
    mapped_ops: Mapping[str, Bound] = field(default_factory=dict)
    latency_ratio: tuple[RatioBound, ...] = ()
    figures: Mapping[str, FigureBound] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, FigureBound]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """A gates file.

    Attributes:
        gate: The `[[gate]]` entries, in order.
        report: Path of report.json relative to the gates file; None when the report is given some other way.
    """

    gate: tuple[Gate, ...]
    report: str | None = None


def bounds(gate: Gate) -> Iterator[tuple[str, Bound]]:
    """Yield the name of each figure of a gate, as messages spell it, and its bound."""
    if gate.metric is not None:
        yield "metric", gate.metric
    if gate.size_bytes is not None:
        yield "size_bytes", gate.size_bytes
    for target, bound in gate.mapped_ops.items():
        yield f"mapped_ops.{target}", bound
    for i, bound in enumerate(gate.latency_ratio):
        yield f"latency_ratio[{i}]", bound
    for name, bound in figure_bounds(gate):
        yield ".".join(name), bound


def figure_bounds(gate: Gate) -> Iterator[tuple[tuple[str, ...], FigureBound]]:
    """Yield where each further figure stands in a head's result, ("figures", name) or ("per_label", label, name)."""
    for name, bound in gate.figures.items():
        yield ("figures", name), bound
    for label, named in gate.per_label.items():
        for name, bound in named.items():
            yield ("per_label", label, name), bound


def load(path: PathLike) -> Gates:
    """Read a gates file.

    Raises:
        ConfigError: It is missing or not TOML, has an unknown key (with the nearest match), a wrong type, a
            non-finite number or a negative tolerance, or would check nothing.
    """
    source = Path(path)
    gates = codec.decode(Gates, read_toml(source, what="gates file"), where=str(source))
    if not gates.gate:
        raise ConfigError(
            f"{source} has no [[gate]], so it would check nothing", hint="edgecv check --record makes one"
        )
    for i, gate in enumerate(gates.gate):
        _validate(gate, f"{source}: gate[{i}] ('{gate.artifact}')")
    return gates


def _validate(gate: Gate, where: str) -> None:
    found = list(bounds(gate))
    if not found:
        raise ConfigError(
            f"{where} has no figure to check",
            hint="give metric, size_bytes, mapped_ops.TARGET, latency_ratio, figures.NAME or per_label.LABEL.NAME",
        )
    for name, bound in found:
        numbers = (bound.reference, bound.tolerance_down, bound.tolerance_up)
        if not all(map(math.isfinite, numbers)) or min(numbers[1:]) < 0:
            raise ConfigError(f"{where}: {name}: expected finite numbers and tolerances >= 0, got {numbers}")
