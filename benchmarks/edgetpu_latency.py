"""Fit the Edge TPU's cost model to published times, and say how far it is off on networks that it has not seen.

    python benchmarks/edgetpu_latency.py            # fits to reference/edgetpu_latency.toml, seconds
    python benchmarks/edgetpu_latency.py --count    # first counts every network's load anew (minutes, needs tensorflow)

The overhead, the links and the clock of the array come from sweeps of one quantity each; three constants are fitted to
whole networks (depthwise taps, moved elements, streamed weights). Each network is then predicted with the three fitted
to the others: the errors that are printed, and that targets/edgetpu.toml states.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomllib

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.core import codec
from edgecv.core.files import write_text
from edgecv.graphs import read_tflite
from edgecv.targets.edgetpu_latency import Load, load, time_of
from edgecv.values import profiles

REFERENCE = Path(__file__).resolve().parent / "reference"
FITTED = ("depthwise_m_per_s", "moved_mb_per_s", "stream_mb_per_s")
START = (15_000.0, 4_000.0, 450.0)
# Cycles of one 7x7 convolution of 32 to 32 channels on 128 x 128 positions, output channels in groups of 64.
SWEEP_CYCLES = 128 * 128 * 49 * 32 * 64 / 4096


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One published time."""

    name: str
    size: int
    ms: float
    published: str = ""


def published() -> tuple[tuple[Point, ...], Mapping[str, Any]]:
    """Return the networks with their times, and the sweeps."""
    data = _reference()
    return tuple(Point(**point) for point in data["networks"]["points"]), data["sweeps"]


def _reference() -> dict[str, Any]:
    return tomllib.loads((REFERENCE / "edgetpu_latency.toml").read_text(encoding="utf-8"))


def from_sweeps(sweeps: Mapping[str, Any]) -> dict[str, float]:
    """Return the constants that one sweep tells each: least squares lines through its points."""
    input_slope, floor = np.polyfit(sweeps["input_bytes"], sweeps["input_ms"], 1)
    output_slope, _ = np.polyfit(sweeps["output_bytes"], sweeps["output_ms"], 1)
    slow_slope, _ = np.polyfit(sweeps["slow_output_bytes"], sweeps["slow_output_ms"], 1)
    layer_ms, _ = np.polyfit(sweeps["convolutions"], sweeps["convolutions_ms"], 1)
    return {
        "floor_ms": float(floor),
        "input_mb_per_s": float(1e-3 / input_slope),
        "output_mb_per_s": float(1e-3 / output_slope),
        "slow_output_mb_per_s": float(1e-3 / slow_slope),
        "fast_output_mb_per_s": float(sweeps["fast_output_mb_per_s"]),
        "array_mhz": float(SWEEP_CYCLES / layer_ms / 1e3),
    }


def fit(points: Sequence[Point], loads: Mapping[str, Load], fixed: Mapping[str, float]) -> dict[str, float]:
    """Return all constants: `fixed`, and those of FITTED that make the logarithms of the times agree best."""
    from scipy.optimize import least_squares

    def misses(logs: Any) -> list[float]:
        constants = {**fixed, **dict(zip(FITTED, np.exp(logs), strict=True))}
        return [float(np.log(predicted(loads[key(p)], constants) / p.ms)) for p in points]

    starts = [np.log(np.array(START) * scale) for scale in ((1, 1, 1), (1, 0.5, 0.8), (2, 2, 1))]
    best = min((least_squares(misses, start, loss="soft_l1", f_scale=0.1) for start in starts), key=lambda r: r.cost)
    return {**fixed, **dict(zip(FITTED, (float(x) for x in np.exp(best.x)), strict=True))}


def predicted(work: Load, constants: Mapping[str, float]) -> float:
    """Return the milliseconds of a load."""
    return sum(time_of(work, constants).values())


def key(point: Point) -> str:
    """Return a network's name among the stored loads."""
    return f"{point.name}@{point.size}"


def leave_one_out(points: Sequence[Point], loads: Mapping[str, Load], fixed: Mapping[str, float]) -> dict[str, float]:
    """Return each network's relative error when the constants are fitted to all others: 0.1 is 10 % too slow."""
    errors = {}
    for point in points:
        constants = fit([p for p in points if p is not point], loads, fixed)
        errors[key(point)] = predicted(loads[key(point)], constants) / point.ms - 1
    return errors


def stored_loads() -> dict[str, Load]:
    """Return the counted loads."""
    data = json.loads((REFERENCE / "edgetpu_loads.json").read_text(encoding="utf-8"))
    return {name: codec.decode(Load, entry, where=name) for name, entry in data.items()}


def count(points: Sequence[Point]) -> dict[str, Load]:
    """Build and convert every network, in float, and count what it asks of the chip."""
    from edgecv import zoo
    from edgecv.convert.freeze import freeze
    from edgecv.convert.tflite.converter import convert_float

    profile, found = profiles.target("edgetpu"), {}
    for point in points:
        sys.stderr.write(f"{key(point)}\n")
        model, _ = zoo.build(point.name, input_shape=(point.size, point.size, 3))
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "m.tflite"
            path.write_bytes(convert_float(freeze(model), "float32"))
            graph = read_tflite(path)
        found[key(point)] = load(graph, graph.ops, profile)
    return found


def result() -> dict[str, Any]:
    """Fit, check, and return everything that is printed."""
    points, sweeps = published()
    loads, fixed = stored_loads(), from_sweeps(sweeps)
    constants, errors = fit(points, loads, fixed), leave_one_out(points, loads, fixed)
    sizes = [abs(e) for e in errors.values()]
    dense_slope, _ = np.polyfit(sweeps["dense_streamed_mib"], sweeps["dense_ms"], 1)
    return {
        "constants": constants,
        "median_error": float(np.median(sizes)),
        "largest_error": float(max(sizes)),
        "networks": [
            {
                "network": key(p),
                "published_ms": p.ms,
                "predicted_ms": predicted(loads[key(p)], constants),
                "left_out_error": errors[key(p)],
                "parts_ms": time_of(loads[key(p)], constants),
            }
            for p in points
        ],
        "other_hosts": {
            check["where"]: {
                name: predicted(loads[f"{name}@224"], constants) / ms - 1
                for name, ms in zip(check["names"], check["ms"], strict=True)
            }
            for check in _reference()["checks"]
        },
        "other_host_stream_mb_per_s": float(2**20 / 1e3 / dense_slope),
    }


def show(found: Mapping[str, Any]) -> str:
    """Return the result as text."""
    lines = [f"{'network':22} {'published':>9} {'predicted':>9}  error when left out of the fit"]
    lines += [
        f"{n['network']:22} {n['published_ms']:9.1f} {n['predicted_ms']:9.2f}  {n['left_out_error']:+.1%}"
        for n in found["networks"]
    ]
    lines.append(f"left out: median {found['median_error']:.1%}, largest {found['largest_error']:.1%}")
    for where, errors in found["other_hosts"].items():
        lines.append(f"{where}: " + ", ".join(f"{name} {error:+.1%}" for name, error in errors.items()))
    lines.append(f"weights streamed at the Jetson Nano: {found['other_host_stream_mb_per_s']:.0f} MB/s")
    lines += ["[latency]", *(f"{name} = {value:.4g}" for name, value in found["constants"].items())]
    lines += [f"{name} = {found[name]:.3f}" for name in ("median_error", "largest_error")]
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", action="store_true", help="count the loads of the networks anew and store them")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    if options.count:
        loads = {name: codec.encode(entry) for name, entry in count(published()[0]).items()}
        write_text(REFERENCE / "edgetpu_loads.json", json.dumps(loads, indent=1) + "\n")
    found = result()
    sys.stdout.write(json.dumps(found, indent=1) + "\n" if options.json else show(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
