"""The frozen values of how long a file takes: starts and latencies, conditions, sustained runs, operators, failures.

Field names and nesting are report.json's. Times and energies are of the kind of the latency that they belong to. What
is not known is None, or missing from a mapping, and a warning or `missing` says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from edgecv.values.kind import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What a device said of itself at one moment.

    Attributes:
        temperatures_c: Thermal zone or sensor to degrees Celsius.
        governor: Of the CPU frequency; several, joined by a comma, where CPUs differ.
        frequency_mhz: CPU to its clock frequency now.
        throttled: Whether a cooling device or the firmware holds the CPU back now.
        energy_uj: Energy counter to microjoules since some moment in the past.
        power_mw: Power sensor to milliwatts now.
        missing: Figure to the reason why it is not known.
    """

    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    governor: str | None = None
    frequency_mhz: Mapping[str, float] = field(default_factory=dict)
    throttled: bool | None = None
    energy_uj: Mapping[str, int] = field(default_factory=dict)
    power_mw: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """The device before the first and after the last inference of a latency."""

    before: DeviceState
    after: DeviceState


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of a sustained run.

    Attributes:
        start_s: Since the run began.
        inferences: In it.
        throughput_per_s: Inferences per second of the time that they took.
        p50: Milliseconds; `p90` likewise.
    """

    start_s: float
    seconds: float
    inferences: int
    throughput_per_s: float
    p50: float
    p90: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What an energy counter, or a power sensor over time, said of a sustained run.

    Attributes:
        source: Counter or sensor: "rapl package-0". Rails of one board may contain one another: never add them up.
        joules: Over the run, what the machine takes when idle included.
        per_inference_mj: Millijoules.
    """

    source: str
    joules: float
    per_inference_mj: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sustained:
    """Inference without a pause.

    Attributes:
        seconds: How long.
        inferences: In all.
        throughput_per_s: Inferences per second of the time that they took.
        busy_share: Share of the time that was spent in inferences, 0..1; the rest is the measuring itself.
        windows: In order.
        drift: Time of an inference in the last window over that in the first; above 1 the device became slower.
        drift_ci95: Its 95 % interval.
        energy: One per counter or sensor; empty, and `energy_missing` says why, where the device has none.
    """

    seconds: float
    inferences: int
    throughput_per_s: float
    busy_share: float
    windows: tuple[Window, ...]
    drift: float | None
    drift_ci95: tuple[float, float] | None
    energy: tuple[Energy, ...] = ()
    energy_missing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpTime:
    """Time of one operator as the interpreter's profiler saw it.

    Attributes:
        name: In the profiler's words: "Convolution (NHWC, F32) IGEMM".
        op: Operator of the file that it is the work of; "" when none is known.
        index: Position of that operator in the file.
        layer: Source layer, "" when unknown.
        ms: Per inference.
        share: Of the sum over all operators, 0..1.
        certain: Whether the profiler named the operator, or only one order of operators explains the profile.
    """

    name: str
    op: str
    index: int | None
    layer: str
    ms: float
    share: float
    certain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpProfile:
    """Where the time of an inference goes. Profiling costs time of its own, so these are no latencies.

    Attributes:
        source: What profiled: "LiteRT's profiler (C API)".
        runs: Inferences averaged over (mean of the middle half).
        ops: In order of execution.
        sum_ms: Of all operators.
        inference_ms: Of a whole profiled inference.
        resolution_ms: Of the profiler's clock: shorter operators show as less than they take, down to 0.
        note: What the reader must know of this profile, "" for nothing.
    """

    source: str
    runs: int
    ops: tuple[OpTime, ...]
    sum_ms: float
    inference_ms: float
    resolution_ms: float
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """A file with one number of threads.

    Attributes:
        ratio: Its time over the reference's, interleaved in the same run; None for the reference itself.
        ci95: The ratio's 95 % interval.
    """

    threads: int
    p50: float
    ratio: float | None
    ci95: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadSweep:
    """How one file's time depends on the number of threads.

    Attributes:
        reference: What ratios are to: "1 thread", or the baseline's name.
        best: Number of threads with the lowest ratio.
        tied: Other numbers whose interval overlaps the best one's: no difference was shown.
    """

    artifact: str
    device: str
    reference: str
    points: tuple[SweepPoint, ...]
    best: int
    tied: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFailure:
    """A file that could not be measured on a device.

    Attributes:
        error: Class of the error: "DeviceError".
        attempts: Launches tried in a row, the first one included; 0 when it was not tried.
    """

    device: str
    artifact: str
    error: str
    message: str
    hint: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What one way of starting costs, in milliseconds; medians over fresh processes.

    Attributes:
        load_ms: Opening the file to a ready interpreter, importing the interpreter's package included.
        compile_ms: Of it, what the accelerator takes to compile the model.
        first_ms: The first inference.
    """

    load_ms: float
    compile_ms: float | None
    first_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Startup:
    """How long a model takes to start on an accelerator that compiles, apart from its latency.

    Attributes:
        cold: Without a cache of compiled programs.
        storing: With an empty one, which is filled.
        warm: With a filled one.
        launches: Fresh processes of each.
        from_cache: Whether the accelerator said at every warm start that it found its programs compiled.
        cache_bytes: Size of the filled cache.
        kind: "simulated" on a software renderer: its times are no GPU's.
    """

    cold: Start
    storing: Start
    warm: Start
    launches: int
    from_cache: bool
    cache_bytes: int
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Steady-state time of one inference on one device, in milliseconds, with what it cost to get there.

    Attributes:
        samples: Milliseconds of each timed block per inference, in order of measurement.
        ratio_to_baseline: This file's time over the baseline's, interleaved in the same run; None without a baseline.
        load_ms: Opening the file to a ready interpreter.
        first_ms: The first inference.
        peak_rss_bytes: Of the agent process.
        adapter: What the accelerator calls its device; None on the CPU.
        precision: The float type that the accelerator computes in, found out on it; None on the CPU and where unknown.
        startup: On an accelerator that compiles; None elsewhere.
        mode: "burst": short blocks with pauses, alternating with the baseline; "sustained": one run without a pause.
        conditions: The device before and after; None when nothing was read.
        sustained: Windows, drift and energy of a sustained run; None for bursts.
        profile: Time per operator, when it was asked for and could be had.
    """

    device: str
    engine: str
    accelerator: str
    threads: int
    kind: Kind
    load_ms: float | None
    first_ms: float | None
    p50: float
    p90: float
    p99: float
    samples: tuple[float, ...]
    ratio_to_baseline: float | None = None
    ratio_ci95: tuple[float, float] | None = None
    peak_rss_bytes: int | None = None
    arena_bytes: int | None = None
    warnings: tuple[str, ...] = ()
    adapter: str | None = None
    precision: str | None = None
    startup: Startup | None = None
    mode: Literal["burst", "sustained"] = "burst"
    conditions: Conditions | None = None
    sustained: Sustained | None = None
    profile: OpProfile | None = None
