"""The stopwatch of a latency budget measures real files, and outlives a crash of what converts or runs them."""

from __future__ import annotations

import math
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import edgecv.bench as bench
from edgecv.core.errors import ConversionError, DeviceError
from edgecv.jobs import candidates, stopwatch
from edgecv.modelio import env
from edgecv.runtime.container import read_manifest
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.train.small import Listener

SPEC = one_input(
    name="net",
    input_shape=(32, 32, 1),
    heads=(Head(name="out", task="classification", activation="logits", labels=("a", "b", "c", "d")),),
    preprocessing=Preprocessing(color="gray"),
)


def network(filters: int) -> Any:
    keras = env.keras()
    image = keras.Input((32, 32, 1))
    x = keras.layers.Conv2D(filters, 3, activation="relu")(keras.layers.Conv2D(filters, 3)(image))
    return keras.Model(image, keras.layers.Dense(4, name="out")(keras.layers.GlobalAveragePooling2D()(x)))


@pytest.mark.slow
def test_a_candidate_is_compared_with_its_parent() -> None:
    with stopwatch.stopwatch(network(64), SPEC, wanted=True, seed=0) as measure:
        assert measure is not None
        share = measure(network(4))
    assert 0 < share < math.inf


def test_no_stopwatch_without_need() -> None:
    with stopwatch.stopwatch(None, SPEC, wanted=False, seed=0) as measure:
        assert measure is None


@pytest.mark.slow
def test_a_killed_converter_is_started_again(tmp_path: Path) -> None:
    model = network(4)
    with candidates.Converter(tmp_path, SPEC) as converter:
        first = converter.convert(model, tmp_path / "first.tflite").read_bytes()
        pid = converter.pid
        assert pid is not None
        assert converter.convert(model, tmp_path / "again.tflite").read_bytes() == first
        assert converter.pid == pid, "one process lives through the run"
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(candidates.CrashedError, match="the process that converts candidates ended by SIGKILL"):
            converter.convert(model, tmp_path / "dead.tflite")
        assert not (tmp_path / "dead.tflite").exists()
        assert converter.convert(model, tmp_path / "back.tflite").read_bytes() == first
        last = converter.pid
    assert read_manifest(tmp_path / "back.tflite") is None
    with pytest.raises(ProcessLookupError):
        os.kill(last or 0, 0)


FAKE = """
import json, os, signal, sys
for line in sys.stdin:
    request = json.loads(line)
    if os.path.basename(request["out"]) != "parent.tflite":
        with open({count!r}, "a") as file:
            file.write("x")
        if len(open({count!r}).read()) in {crashes}:
            os.kill(os.getpid(), signal.SIGSEGV)
    open(request["out"], "w").close()
    print(json.dumps({answer}), flush=True)
"""


def fake_converter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, crashes: range, answer: dict[str, str] | None = None
) -> None:
    """Put a converter in place that writes nothing, and crashes at the given conversions of candidates."""
    code = FAKE.format(count=str(tmp_path / "count"), crashes=crashes, answer=answer or {})
    settings = {"command": (sys.executable, "-c", code), "timeout_s": 60.0}
    monkeypatch.setattr(candidates.Converter.__init__, "__kwdefaults__", settings)


def watched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, crashes: range) -> tuple[Listener, list[str]]:
    """Put a fake converter in place, and time nothing; return who listens, and the files that came to be timed."""
    fake_converter(monkeypatch, tmp_path, crashes=crashes)
    timed: list[str] = []

    def share(self: Any, candidate: Any, name: str) -> float:
        timed.append(self.converted(candidate, name).name)
        return 0.5

    monkeypatch.setattr(stopwatch._Stopwatch, "share", share)
    return Listener(), timed


def test_a_candidate_is_tried_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listener, timed = watched(monkeypatch, tmp_path, crashes=range(1, 2))
    with stopwatch.stopwatch(network(2), SPEC, wanted=True, seed=0, reporter=listener) as measure:
        assert measure is not None
        assert measure(network(2)) == 0.5
    assert listener.warnings == ["the process that converts candidates ended by SIGSEGV; once more"]
    assert timed == ["candidate.tflite"]


def test_a_candidate_that_crashes_twice_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    listener, _ = watched(monkeypatch, tmp_path, crashes=range(1, 3))
    with stopwatch.stopwatch(network(2), SPEC, wanted=True, seed=0, reporter=listener) as measure:
        assert measure is not None
        assert measure(network(2)) == math.inf
        assert measure(network(2)) == 0.5
    assert listener.warnings[1] == (
        "a candidate is passed over, not timed: the process that converts candidates ended by SIGSEGV"
    )


def test_when_every_candidate_crashes_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watched(monkeypatch, tmp_path, crashes=range(1, 100))
    with stopwatch.stopwatch(network(2), SPEC, wanted=True, seed=0) as measure:
        assert measure is not None
        assert [measure(network(2)) for _ in range(2)] == [math.inf] * 2
        with pytest.raises(ConversionError, match="3 candidates in a row could not be converted and timed"):
            measure(network(2))


def test_what_the_converter_refuses_is_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refused = {"error": "no such operator", "hint": "use another"}
    fake_converter(monkeypatch, tmp_path, crashes=range(0), answer=refused)
    with (
        pytest.raises(ConversionError, match="a network cannot be converted: no such operator"),
        stopwatch.stopwatch(network(2), SPEC, wanted=True, seed=0),
    ):
        pass


def test_an_interpreter_that_crashes_is_passed_over_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise DeviceError("the agent process ended by signal 11")

    fake_converter(monkeypatch, tmp_path, crashes=range(0))
    monkeypatch.setattr(bench, "bench", crash)
    listener = Listener()
    with stopwatch.stopwatch(network(2), SPEC, wanted=True, seed=0, reporter=listener) as measure:
        assert measure is not None
        assert measure(network(2)) == math.inf
    assert listener.warnings == [
        "the agent process ended by signal 11; once more",
        "a candidate is passed over, not timed: the agent process ended by signal 11",
    ]
