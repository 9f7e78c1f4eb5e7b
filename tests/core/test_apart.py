"""Native code in a process of its own: what it does to itself is an error here, and nothing is left of it."""

from __future__ import annotations

import ast
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgecv.core import apart, memory
from edgecv.core.apart import Apart, Limits, call_apart
from edgecv.core.errors import ConfigError, CrashError, MissingDependencyError, UnsupportedModelError

ROOM = Limits(seconds=20, memory_bytes=4 << 30)

# What runs in the child, as a module on its path.
SOURCE = """
import os, signal, sys, time
import numpy as np
from edgecv.core.errors import MissingDependencyError, PartialAccelerationError

class Counter:
    def __init__(self, start): self.total = start
    def add(self, values): self.total = self.total + values; return self.total
    def own(self): return os.getpid(), os.getppid()
    def blow_up(self, size): return len(np.ones(size, np.uint8))
    def chatter(self): print("INFO: on stdout"); os.write(1, b"native\\n"); return "clean"

class Stranger:
    pass

def killed(number): os.kill(os.getpid(), number)
def aborts(): os.write(2, b"INFO: here\\nCHECK failed: rank 9 of 8\\nINFO: bye\\n"); os.abort()
def exits(): os._exit(7)
def loops():
    while True: pass
def sleeps(seconds): time.sleep(seconds); return "awake"
def lacks(): raise RuntimeError("Input tensor 3 lacks data")
def missing(): raise MissingDependencyError("no 'x'", hint="pip install x")
def partial(): raise PartialAccelerationError("three of five")
def defect(): return undefined_name
def stranger(): return Stranger()
def function(): return os.system
def modules(): return sorted(sys.modules)
def limits():
    import resource
    return resource.getrlimit(resource.RLIMIT_DATA)[0]
"""


@pytest.fixture(autouse=True)
def child_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "foreign_child.py").write_text(SOURCE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def call(name: str, *arguments: object, allowed: Limits = ROOM) -> object:
    return call_apart(f"foreign_child:{name}", *arguments, about="m.tflite", allowed=allowed)


def test_an_object_keeps_its_state_in_another_process() -> None:
    with Apart("foreign_child:Counter", np.zeros((2, 3), np.float32), about="m") as held:
        pid, parent = held.call("own")
        assert (pid, parent) == (held.pid, os.getpid())
        assert pid != os.getpid()
        ones = np.ones((2, 3), np.float32)
        held.call("add", ones)
        found = held.call("add", ones)
        assert found.dtype == np.float32
        assert (found == 2).all()
        assert held.call("chatter") == "clean"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL])
def test_a_signal_is_an_error_that_names_the_file(number: signal.Signals) -> None:
    with pytest.raises(CrashError, match=rf"m\.tflite.*{number.name}") as found:
        call("killed", number)
    assert "EDGECV_MEMORY_GB" in found.value.hint


def test_a_kill_from_outside_is_called_a_lack_of_memory() -> None:
    with pytest.raises(CrashError, match="lack of memory"):
        call("killed", signal.SIGKILL)


def test_an_abort_says_why_and_an_exit_its_status() -> None:
    with pytest.raises(CrashError, match=r"SIGABRT.*rank 9 of 8"):
        call("aborts")
    with pytest.raises(CrashError, match="status 7"):
        call("exits")


@pytest.mark.parametrize("name", ["loops", "sleeps"])
def test_what_does_not_end_is_ended(name: str) -> None:
    start = time.monotonic()
    with pytest.raises(CrashError, match=r"longer than 1\.5 s") as found:
        call(name, *([30] if name == "sleeps" else []), allowed=Limits(seconds=1.5, memory_bytes=ROOM.memory_bytes))
    assert "EDGECV_TIMEOUT_S" in found.value.hint
    assert time.monotonic() - start < 15


def test_the_limit_is_of_one_call() -> None:
    allowed = Limits(seconds=3, memory_bytes=ROOM.memory_bytes)
    with Apart("edgecv.core.apart_child:Function", "foreign_child:sleeps", about="m", allowed=allowed) as held:
        assert [held.call("call", 1.2) for _ in range(3)] == ["awake"] * 3


def test_memory_is_limited() -> None:
    with Apart("foreign_child:Counter", 0, about="m.tflite", allowed=Limits(20, 1 << 30)) as held:
        assert held.call("blow_up", 100 << 20) == 100 << 20
        with pytest.raises(CrashError, match=r"m\.tflite.*more memory than 1 GB"):
            held.call("blow_up", 2 << 30)
        # An allocation that was refused is no crash: the child goes on.
        assert held.call("add", 1) == 1


def test_the_limits_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert apart.limits().seconds == 120
    assert 0 < apart.limits().memory_bytes <= 0.8 * memory.machine_bytes() + 1
    monkeypatch.setenv("EDGECV_TIMEOUT_S", "7.5")
    monkeypatch.setenv("EDGECV_MEMORY_GB", "1.5")
    assert apart.limits() == Limits(7.5, 3 << 29)
    assert call_apart("foreign_child:limits", about="m") == 3 << 29


@pytest.mark.parametrize("variable", ["EDGECV_TIMEOUT_S", "EDGECV_MEMORY_GB"])
@pytest.mark.parametrize("text", ["", "many", "0", "-1", "nan", "inf"])
def test_a_limit_that_is_no_number_is_refused(variable: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(ConfigError, match=variable):
        call_apart("foreign_child:lacks", about="m")


def test_what_native_code_refuses_is_an_unsupported_model() -> None:
    with pytest.raises(UnsupportedModelError, match=r"m\.tflite.*lacks data") as found:
        call("lacks")
    assert not isinstance(found.value, CrashError)


def test_our_errors_come_through_as_they_are() -> None:
    with pytest.raises(MissingDependencyError) as found:
        call("missing")
    assert (found.value.message, found.value.hint) == ("no 'x'", "pip install x")
    with pytest.raises(Exception, match="three of five") as partial:
        call("partial")
    assert type(partial.value).__name__ == "PartialAccelerationError"


def test_a_defect_of_ours_is_not_called_the_files_fault() -> None:
    with pytest.raises(RuntimeError, match="undefined_name"):
        call("defect")


@pytest.mark.parametrize("name", ["stranger", "function"])
def test_a_child_that_was_taken_over_cannot_name_code(name: str) -> None:
    with pytest.raises(pickle.UnpicklingError):
        call(name)


def test_the_child_imports_no_more_than_it_is_asked_for() -> None:
    heavy = {"tensorflow", "tf_keras", "typer", "rich", "edgecv.jobs", "edgecv.runtime", "PIL"}
    assert not heavy & set(call("modules"))


def test_nothing_is_left_after_crashes() -> None:
    psutil = pytest.importorskip("psutil")

    def held() -> tuple[int, set[int]]:
        return len(os.listdir("/proc/self/fd")), {child.pid for child in psutil.Process().children()}

    before = held()
    for name in ("exits", "lacks", "aborts"):
        with pytest.raises(UnsupportedModelError):
            call(name)
    assert held() == before


def test_an_orphan_ends_by_itself(tmp_path: Path) -> None:
    """Killed, a parent cannot end its child, not even one that is deep in native code."""
    code = (
        "import os\nfrom edgecv.core.apart import Apart, Limits\nallowed = Limits(1, 1 << 32)\n"
        "held = Apart('edgecv.core.apart_child:Function', 'foreign_child:loops', about='m', allowed=allowed)\n"
        "print(held.pid, flush=True)\n"
        "import threading; threading.Timer(0.5, lambda: os.kill(os.getpid(), 9)).start()\nheld.call('call')\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    pid = ast.literal_eval(done.stdout.strip())
    for _ in range(150):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        # A container without an init keeps ended orphans as zombies.
        if "State:\tZ" in Path(f"/proc/{pid}/status").read_text():
            return
        time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    raise AssertionError("the child outlived its parent by 15 s")
