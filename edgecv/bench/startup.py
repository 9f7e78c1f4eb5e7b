"""How long a model takes to start on an accelerator that compiles it, with and without a cache of compiled programs.

Apart from latency: a fresh process loads the model and runs it once, then ends. The three ways take turns, so that
what changes on the host meanwhile changes all of them.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.link import AgentLink, Loaded
from edgecv.core.progress import QUIET, Reporter
from edgecv.values.kind import Kind
from edgecv.values.latency import Start, Startup

LAUNCHES = 3
# A warm-up that is over after its shortest: the first inference, and one more.
_ONE_RUN = BenchPlan(warmup_ms=1e-3, max_warmup_ms=1e-3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """How a model starts, and what an accelerator says of itself.

    Attributes:
        adapter: What it calls its device.
        precision: The float type that it computes in; None where it cannot be found out.
    """

    startup: Startup
    adapter: str | None
    precision: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    loaded: Loaded
    first_ms: float


def measure_startup(
    case: BenchCase, device: Device, *, launches: int = LAUNCHES, reporter: Reporter = QUIET
) -> Started:
    """Start a case cold, with an empty cache, and with a filled one, `launches` times each.

    Args:
        case: What to start; its accelerator must keep compiled programs (LiteRT on a GPU).
        device: One that shares this host's file system: the cache lies in a temporary folder.
        launches: Fresh processes of each way.
        reporter: Told of each launch.

    Raises:
        DeviceError, UnsupportedModelError, MissingDependencyError: The accelerator does not take it, or has no cache.
    """
    path = device.put(Path(case.path))
    runs: dict[str, list[_Run]] = {"cold": [], "storing": [], "warm": []}
    sizes: list[int] = []
    with tempfile.TemporaryDirectory(prefix="edgecv-programs-") as folder:
        cache = Path(folder) / "cache"
        with reporter.bar(f"start {case.name}", launches * len(runs)) as advance:
            for _ in range(launches):
                shutil.rmtree(cache, ignore_errors=True)
                for way, used in (("cold", None), ("storing", cache), ("warm", cache)):
                    runs[way].append(_launch(case, device, path, used))
                    advance(1, note=way)
                sizes.append(sum(file.stat().st_size for file in _files(cache)))
    kinds: set[Kind] = {run.loaded.kind for each in runs.values() for run in each}
    startup = Startup(
        cold=_start(runs["cold"]),
        storing=_start(runs["storing"]),
        warm=_start(runs["warm"]),
        launches=launches,
        from_cache=all(run.loaded.from_cache for run in runs["warm"]),
        cache_bytes=max(sizes),
        kind="measured" if kinds == {"measured"} and device.kind == "measured" else "simulated",
    )
    return Started(startup=startup, adapter=runs["cold"][0].loaded.adapter, precision=_precision(case, device, path))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _launch(case: BenchCase, device: Device, path: str, cache: Path | None) -> _Run:
    with AgentLink(device.start(), case.name) as agent:
        agent.hello()
        loaded = agent.load(case, path, 0, program_cache=None if cache is None else str(cache))
        return _Run(loaded=loaded, first_ms=agent.warm_up(_ONE_RUN).first_ms)


def _precision(case: BenchCase, device: Device, path: str) -> str | None:
    """Ask in a process of its own: finding out compiles another model."""
    with AgentLink(device.start(), case.name) as agent:
        agent.hello()
        agent.load(case, path, 0)
        return agent.precision()


def _start(runs: Sequence[_Run]) -> Start:
    compiled = [run.loaded.compile_ms for run in runs if run.loaded.compile_ms is not None]
    return Start(
        load_ms=float(np.median([run.loaded.load_ms for run in runs])),
        compile_ms=float(np.median(compiled)) if compiled else None,
        first_ms=float(np.median([run.first_ms for run in runs])),
    )
