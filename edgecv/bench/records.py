"""What measuring leaves behind: raw samples per launch, and the result of a case."""

from __future__ import annotations

from dataclasses import dataclass

from edgecv.bench.cases import BenchCase
from edgecv.values.kind import Kind
from edgecv.values.latency import DeviceState, Latency


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A device's state at a moment of a sustained run, in seconds since it began."""

    at_s: float
    state: DeviceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One process that ran one model: a case's or the baseline's half of a launch.

    Attributes:
        engine: Interpreter and version, as the agent says.
        cpu: Number of the CPU it was bound to; None when it was free to move.
        iterations: Inferences in each block.
        stable: Whether its warm-up ended because it got no faster.
        wall_ms: Elapsed milliseconds per inference of each block, in order of the rounds.
        cpu_ms: CPU milliseconds of the process per inference of each block.
        switches: Involuntary context switches in each block; None where the system cannot say.
        counts: Inferences of each block, and `starts_s`, when it began; of sustained runs only.
        adapter: What the accelerator calls its device; None on the CPU.
        readings: The device's state: before and after, and of sustained runs in between.
    """

    engine: str
    accelerator: str
    kind: Kind
    cpu: int | None
    iterations: int
    load_ms: float
    first_ms: float
    peak_rss_bytes: int | None
    stable: bool
    wall_ms: tuple[float, ...]
    cpu_ms: tuple[float, ...]
    switches: tuple[int | None, ...]
    counts: tuple[int, ...] = ()
    starts_s: tuple[float, ...] = ()
    readings: tuple[Reading, ...] = ()
    adapter: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One launch of a case, with the baseline's process that alternated with it. Round i is index i of both."""

    case: Run
    baseline: Run | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Everything measured of one case so far.

    Attributes:
        key: Digest of what was measured: contents of the files, case, baseline, plan and device.
        complete: Whether no further launch is needed.
    """

    key: str
    name: str
    launches: tuple[Launch, ...]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case and its latency."""

    case: BenchCase
    latency: Latency
