from __future__ import annotations

import json
import math
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecv.bench import BenchCase, plan
from edgecv.bench.devices.local import LocalDevice, ProcessChannel
from edgecv.bench.link import AgentLink
from edgecv.core.errors import ConfigError, DeviceError, UnsupportedModelError
from edgecv.runtime.tensors import seeded_input


@pytest.fixture
def channel():
    opened = LocalDevice().start()
    yield opened
    opened.close()


def ask(channel: ProcessChannel, line: object) -> dict:
    channel.send(line if isinstance(line, str) else json.dumps(line))
    return json.loads(channel.receive(60))


def program(source: str) -> ProcessChannel:
    return ProcessChannel((sys.executable, "-c", source))


@pytest.mark.parametrize("fixture", ["onnx_file", "tflite_file"])
def test_a_whole_session(channel, fixture, request):
    path = request.getfixturevalue(fixture)
    hello = ask(channel, {"command": "hello"})
    assert hello["protocol"] == 1
    assert hello["pid"] == channel.pid
    assert hello["host"]["python"] == ".".join(map(str, sys.version_info[:3]))

    loaded = ask(channel, {"command": "load", "path": str(path), "accelerator": "cpu", "threads": 1})
    assert loaded["load_ms"] > 0
    assert loaded["kind"] == "measured"
    assert loaded["accelerator"] == "cpu"

    warm = ask(channel, {"command": "warmup", "min_ms": 1, "max_ms": 50, "block_ms": 0.5})
    assert warm["first_ms"] > 0
    assert warm["iteration_ns"] > 0

    block = ask(channel, {"command": "run", "iterations": 7, "settle": 1})
    assert block["iterations"] == 7
    assert block["wall_ns"] > 0
    assert block["each_ns"] is None

    each = ask(channel, {"command": "run", "iterations": 5, "each": True})["each_ns"]
    assert len(each) == 5
    assert all(value > 0 for value in each)

    timed = ask(channel, {"command": "run", "min_ms": 1})
    assert timed["iterations"] == max(1, math.ceil(1e6 / warm["iteration_ns"]))

    memory = ask(channel, {"command": "memory"})
    assert memory["peak_rss_bytes"] >= memory["rss_before_load_bytes"] > 1_000_000
    assert ask(channel, {"command": "close"}) == {"closed": True}
    with pytest.raises(DeviceError, match="ended with status 0"):
        channel.receive(10)


@pytest.mark.parametrize(
    ("line", "kind", "words"),
    [
        ("not json", "ConfigError", "not a JSON document"),
        ("[1]", "ConfigError", "expected a JSON object, got list"),
        ("{}", "ConfigError", "needs the key 'command'"),
        ({"command": "warmpu"}, "ConfigError", "unknown agent command 'warmpu'"),
        ({"command": "run", "iterations": 3}, "ConfigError", "no model is loaded"),
        ({"command": "load"}, "ConfigError", "needs the key 'path'"),
        ({"command": "load", "path": 7}, "ConfigError", "'path' must be a str, got 7"),
        ({"command": "load", "path": "/nowhere.tflite"}, "ConfigError", "nowhere.tflite"),
        ({"command": "pin", "cpu": 99999}, "ConfigError", "cannot bind to CPU 99999"),
        ({"command": "pin", "cpu": True}, "ConfigError", "'cpu' must be a int, got True"),
    ],
)
def test_a_wrong_line_is_answered_and_the_agent_lives_on(channel, line, kind, words):
    error = ask(channel, line)["error"]
    assert error["type"] == kind
    assert words in error["message"]
    assert "pid" in ask(channel, {"command": "hello"})


def test_wrong_numbers_are_refused(channel, onnx_file):
    ask(channel, {"command": "load", "path": str(onnx_file)})
    for request in ({"iterations": 0}, {"iterations": 2, "settle": -1}, {"iterations": "2"}, {"min_ms": 1}):
        assert ask(channel, {"command": "run", **request})["error"]["type"] == "ConfigError"
    assert "'max_ms' must be a number" in ask(channel, {"command": "warmup", "max_ms": -1})["error"]["message"]


def test_what_native_code_prints_does_not_reach_the_answers():
    source = """
import os
from edgecv.runtime import agent
class Session:
    engine, accelerator, adapter, is_software_adapter, inputs = "noisy 1", "gpu", "SwiftShader", True, ()
    def __init__(self, path, **options): os.write(1, b"native noise\\n"); print("python noise", flush=True)
    def set_inputs(self, arrays): pass
    def invoke(self): os.write(1, b"more noise\\n")
    def close(self): pass
agent.main(Session)
"""
    channel = program(source)
    try:
        loaded = ask(channel, {"command": "load", "path": "any", "accelerator": "gpu"})
        assert loaded["engine"] == "noisy 1"
        assert loaded["kind"] == "simulated", "a software adapter's times are no measurements"
        assert ask(channel, {"command": "run", "iterations": 2})["iterations"] == 2
    finally:
        channel.close()


def test_an_interpreter_that_raises_anything_is_an_answer():
    source = """
from edgecv.runtime import agent
def broken(path, **options): raise KeyError("surprise")
agent.main(broken)
"""
    channel = program(source)
    try:
        error = ask(channel, {"command": "load", "path": "any"})["error"]
        assert error["type"] == "DeviceError"
        assert "KeyError: 'surprise'" in error["message"]
    finally:
        channel.close()


def test_the_agent_ends_with_its_input(channel):
    ask(channel, {"command": "hello"})
    channel.close()
    with pytest.raises(ProcessLookupError):
        os.kill(channel.pid, 0)
    channel.close()


def test_a_killed_agent_is_a_device_error_that_names_case_and_stage(channel, onnx_file):
    link = AgentLink(channel, "lenet5-int8")
    link.hello()
    link.load(BenchCase(name="lenet5-int8", path=str(onnx_file)), str(onnx_file), seed=0)
    os.kill(channel.pid, signal.SIGKILL)
    with pytest.raises(DeviceError, match=r"lenet5-int8: while warming up: the agent process ended by signal 9"):
        link.warm_up(plan("quick"))


def test_a_hung_agent_is_a_device_error():
    channel = program(
        "import sys, time; print('stuck', file=sys.stderr, flush=True); sys.stdin.readline(); time.sleep(60)"
    )
    try:
        with pytest.raises(DeviceError, match=r"x: while measuring: the agent did not answer within 0.5 s") as raised:
            AgentLink(channel, "x").ask("measuring", 0.5, command="run")
        assert raised.value.exit_code == 3
        assert "stuck" in raised.value.hint
    finally:
        channel.close()


def test_a_program_that_dies_shows_its_last_words():
    channel = program("raise SystemExit('no numpy on this board')")
    try:
        with pytest.raises(DeviceError, match="ended with status 1") as raised:
            AgentLink(channel, "x").hello()
        assert "no numpy on this board" in raised.value.hint
    finally:
        channel.close()


def test_a_program_that_is_not_there():
    with pytest.raises(DeviceError, match="cannot start the agent"):
        ProcessChannel(("/nowhere/python",))


@pytest.mark.parametrize(("answer", "words"), [("hi", "not JSON"), ("[]", "not an object"), ("{}", "lacks 'load_ms'")])
def test_nonsense_answers_are_device_errors(answer, words):
    channel = program(f"input(); print({answer!r}, flush=True)")
    try:
        with pytest.raises(DeviceError, match=words):
            AgentLink(channel, "x").load(BenchCase(name="x", path="x"), "x", 0)
    finally:
        channel.close()


def test_errors_keep_their_type_over_the_wire(channel, onnx_file, tmp_path: Path):
    damaged = tmp_path / "damaged.onnx"
    damaged.write_text("this is text")
    link = AgentLink(channel, "damaged")
    with pytest.raises(UnsupportedModelError, match="damaged: while loading"):
        link.load(BenchCase(name="damaged", path=str(damaged)), str(damaged), 0)
    with pytest.raises(ConfigError, match="damaged: while loading: unknown engine 'litre'"):
        link.load(BenchCase(name="x", path="x", engine="litre"), str(onnx_file), 0)


def test_seeded_inputs():
    first = seeded_input((1, 50, 50), "int8", 0)
    assert first.dtype == np.int8
    assert first.min() < -100
    assert first.max() > 100
    assert (first == seeded_input((1, 50, 50), "int8", 0)).all()
    assert (first != seeded_input((1, 50, 50), "int8", 1)).any()
    floats = seeded_input((1000,), "float32", 0)
    assert floats.dtype == np.float32
    assert 0 <= floats.min() < 0.1
    assert 0.9 < floats.max() <= 1
