"""The frozen values of how long a file takes to start and to answer.

What is not known is None, and a warning says why. Field names and nesting are report.json's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecv.kinds import Kind
from edgecv.timings import Conditions, OpProfile, Sustained


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
