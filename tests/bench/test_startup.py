"""Starting apart from latency: cold, filling a cache of compiled programs, and with one."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.bench import BenchCase, measure_startup
from edgecv.bench.devices.fake import FakeDevice, FakeModel


def started(tmp_path: Path, model: FakeModel, launches: int = 2):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"x")
    device = FakeDevice({"m.tflite": model})
    case = BenchCase(name="m", path=str(path), accelerator="gpu")
    return measure_startup(case, device, launches=launches), device


def test_the_three_ways_are_told_apart(tmp_path):
    found, device = started(tmp_path, FakeModel(compile_ms=50.0, load_ms=60.0, median_ms=2.0, first_factor=4.0))
    startup = found.startup
    assert (startup.cold.compile_ms, startup.storing.compile_ms, startup.warm.compile_ms) == (50.0, 50.0, 5.0)
    assert startup.cold.load_ms == 60.0
    assert startup.cold.first_ms == pytest.approx(8.0)
    assert startup.cache_bytes == len(b"programs")
    assert (startup.launches, startup.from_cache) == (2, True)
    assert (found.adapter, found.precision) == ("fake", "float16")
    assert device.launches == 2 * 3 + 1, "a fresh process for each start, and one to ask the precision"


def test_every_round_starts_with_an_empty_cache(tmp_path):
    found, _ = started(tmp_path, FakeModel(compile_ms=50.0), launches=3)
    assert found.startup.storing.compile_ms == 50.0


def test_a_software_renderer_is_simulated(tmp_path):
    found, _ = started(tmp_path, FakeModel(compile_ms=1.0, kind="simulated"))
    assert found.startup.kind == "simulated"
