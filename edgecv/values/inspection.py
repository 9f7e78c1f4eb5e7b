"""The frozen values of what a target does with a file: operators, memory, predicted time, advice, compilation.

`Unmapped` and `MappingSummary` are what a report keeps of it: their field names and nesting are report.json's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgecv.core.shown import Shown
from edgecv.values.kind import Kind

Certainty = Literal["certain", "likely", "unknown", "accelerator"]
"""How sure a mapping verdict is: "accelerator" means the accelerator, or its vendor's compiler, said so; the others
grade our op table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpVerdict:
    """What a target does with one operator of a file.

    Attributes:
        index: Position in the file's first subgraph.
        op: Builtin name: "CONV_2D".
        layer: Source layer's name, "" when unknown.
        status: Short status in the target's own words.
        mapped: Whether it runs on the accelerator.
        reason: Why not; "" when mapped, unless the certainty is "unknown": then why.
    """

    index: int
    op: str
    layer: str
    status: str
    mapped: bool
    certainty: Certainty
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterBytes:
    """Weights of the mapped part on an Edge TPU, in bytes; None where unknown.

    Attributes:
        on_chip: Sent once and kept on chip: the parameters that the compiled file caches.
        streamed: Sent at each inference.
        on_chip_memory: What those kept on chip occupy there, with padding: the log's "On-chip memory used".
    """

    on_chip: int | None
    streamed: int | None
    on_chip_memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedLatency:
    """A cost model's time for the part of a file that a target maps, in milliseconds; the CPU's part is not in it.

    Attributes:
        low_ms: Lower end of the band, `high_ms` the upper one; None where the model states no error.
        parts_ms: What `ms` is made of, by name.
        median_error: Of the model, on networks that it was not fitted to: 0.08 is 8 %; None when unknown.
    """

    ms: float
    low_ms: float | None = None
    high_ms: float | None = None
    parts_ms: Mapping[str, float] = field(default_factory=dict)
    median_error: float | None = None
    kind: Kind = "predicted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """A change of the model with which a target would map more of it.

    Attributes:
        op: Builtin name of the operators that it is about; `ops` their indices.
        cause: Name of what stands in their way, as in the target's data.
        text: What to do.
        would_map: Operators of the whole file that would map then; None when that cannot be tried out.
    """

    op: str
    ops: tuple[int, ...]
    cause: str
    text: str
    would_map: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Float16Tensor:
    """An operator's output that comes near the largest float16, 65504, or beyond it.

    Attributes:
        layer: Source layer, "" when unknown; `op` and `index` of the operator.
        largest: Largest absolute value that was seen, real units.
        overflows: Whether that is beyond float16.
    """

    layer: str
    op: str
    index: int
    largest: float
    overflows: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Float16Audit:
    """The activations of a model, computed in float32 on the CPU, against float16's range.

    Attributes:
        samples: How many samples it ran on; `source` says which.
        margin: `near` lists what is above 65504 over this, largest first.
        largest: Of all activations.
    """

    samples: int
    source: str
    margin: float
    largest: float
    near: tuple[Float16Tensor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compilation:
    """What a vendor's compiler made of a file.

    Attributes:
        tool: Name and version.
        path: The compiled file; `log` what the compiler said.
        figures: The compiler's own figures, by name with units.
        disagreements: A sentence for each operator that edgecv's prediction places differently.
    """

    tool: str
    path: str
    log: str
    size_bytes: int
    figures: Mapping[str, float] = field(default_factory=dict)
    disagreements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection(Shown):
    """`edgecv inspect FILE --target T --json`; `float16` is known for targets that compute in it."""

    target: str
    n_ops: int
    n_mapped: int
    ops: tuple[OpVerdict, ...]
    parameter_bytes: ParameterBytes
    size_bytes: int
    arena_bytes: int | None
    kind: Kind
    notes: tuple[str, ...] = ()
    float16: Float16Audit | None = None
    latency: PredictedLatency | None = None
    advice: tuple[Advice, ...] = ()
    compilation: Compilation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """An operator that a target leaves to the CPU, in a report."""

    index: int
    op: str
    layer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetVerdict:
    """What a target does with a file that was just made, as its data predict it.

    Attributes:
        unmapped: Every operator that it does not run, with the reason.
        doubts: Why it is not known whether some of the others, or the whole file, run there.
        advice: What would map more.
        notes: Remarks on the whole file.
    """

    target: str
    n_ops: int
    n_mapped: int
    unmapped: tuple[Unmapped, ...]
    kind: Kind
    doubts: tuple[str, ...] = ()
    advice: tuple[Advice, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingSummary:
    """An Inspection, as a report keeps it.

    Attributes:
        latency: What a cost model says of the mapped part; None where the target has none.
    """

    target: str
    n_ops: int
    n_mapped: int
    unmapped: tuple[Unmapped, ...]
    kind: Kind
    latency: PredictedLatency | None = None
