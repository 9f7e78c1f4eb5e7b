"""What is measured and how long: cases and plans."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgecv.core.errors import ConfigError, unknown_name


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCase:
    """One model file on one engine.

    Attributes:
        name: For tables and messages.
        path: The model file, on this host.
        engine: "litert", "tflite-runtime" or "onnxruntime"; None: whichever fits the file and is there.
        accelerator: "cpu", "gpu", …
        threads: Of the interpreter on the CPU.
        precision: On a GPU, "float16" or "float32"; None leaves it to the accelerator.
        partial: On a GPU, run refused operators on the CPU instead of refusing the file.
    """

    name: str
    path: str
    engine: str | None = None
    accelerator: str = "cpu"
    threads: int = 1
    precision: str | None = None
    partial: bool = False

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ConfigError(f"{self.name}: threads must be 1 or more, got {self.threads}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPlan:
    """How long to measure one case, and when its result is good enough.

    Attributes:
        target_width: Stop when the ratio's 95 % interval is at most so wide, relative to the ratio.
        min_launches: Fresh pairs of processes before the first look at the interval, at least 3.
        max_launches: And at most.
        launch_seconds: Time of the rounds of one launch.
        min_rounds: Rounds of one launch, also when they take longer than `launch_seconds`.
        max_rounds: Bounds the raw samples kept.
        max_seconds: Budget of one case, starting processes included. `min_launches` are made even beyond it; rounds
            stop at an equal share of it, so that slow models get as few as three each.
        block_ms: Length of a timed block, in whole inferences. The shorter, the closer in time are the two halves of a
            round, and the fewer blocks are interrupted; but many times the clock's resolution.
        warmup_ms: Shortest warm-up of a process; `max_warmup_ms` the longest.
        pin: Bind single-threaded CPU cases and their baseline to one and the same CPU, the idlest at that moment.
        seed: Of everything random: order, inputs, bootstrap.
        sustained_s: None: bursts, interleaved with the baseline. A number: each case alone, so many seconds without a
            pause; only `block_ms`, the warm-up, `pin` and `seed` matter then.
        window_s: Length of the windows of a sustained run.
    """

    target_width: float = 0.04
    min_launches: int = 6
    max_launches: int = 24
    launch_seconds: float = 0.6
    min_rounds: int = 15
    max_rounds: int = 500
    max_seconds: float = 25.0
    block_ms: float = 0.5
    warmup_ms: float = 40.0
    max_warmup_ms: float = 600.0
    pin: bool = True
    seed: int = 0
    sustained_s: float | None = None
    window_s: float = 5.0

    def __post_init__(self) -> None:
        if self.sustained_s is not None and not 0 < 2 * self.window_s <= self.sustained_s:
            raise ConfigError(
                f"bench plan: a sustained run needs two windows at least, got {self.sustained_s:g} s in windows of "
                f"{self.window_s:g} s",
                hint="run longer (--seconds), or with shorter windows (--window)",
            )
        positive = ("target_width", "launch_seconds", "max_seconds", "block_ms", "warmup_ms", "max_warmup_ms")
        for name in positive:
            if not getattr(self, name) > 0:
                raise ConfigError(f"bench plan: {name} must be above 0, got {getattr(self, name)}")
        if not 3 <= self.min_launches <= self.max_launches:
            raise ConfigError(
                f"bench plan: needs 3 <= min_launches <= max_launches, got {self.min_launches} and {self.max_launches}"
            )
        if not 3 <= self.min_rounds <= self.max_rounds:
            raise ConfigError(
                f"bench plan: needs 3 <= min_rounds <= max_rounds, got {self.min_rounds} and {self.max_rounds}"
            )


PLANS: dict[str, BenchPlan] = {
    "quick": BenchPlan(target_width=0.06, min_launches=5, max_launches=12, launch_seconds=0.3, max_seconds=7.0),
    "default": BenchPlan(),
    "thorough": BenchPlan(target_width=0.02, min_launches=10, max_launches=60, launch_seconds=1.0, max_seconds=120.0),
}


def plan(name: str, *, seed: int = 0) -> BenchPlan:
    """Return the plan called `name`: "quick", "default" or "thorough". Raises ConfigError for another name."""
    if name not in PLANS:
        raise unknown_name("bench plan", name, PLANS)
    return replace(PLANS[name], seed=seed)
