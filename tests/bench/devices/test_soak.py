"""Hours of use in half an hour (`make soak`): nothing is lost, nothing leaks.

Each part takes its share of EDGECV_SOAK_SECONDS, and measures memory, descriptors, children and temporary files after
it is warm and at its end. Limits leave room for allocators; a leak of one object a round exceeds them.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edgecv import runtime
from edgecv.bench import BenchCase, BenchPlan, ResultsFile, bench, open_device
from edgecv.bench.devices.local import LocalDevice
from edgecv.bench.link import AgentLink
from edgecv.core import files
from edgecv.core.errors import ConfigError, DeviceError, EdgecvError

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(0),
    pytest.mark.skipif("EDGECV_SOAK_SECONDS" not in os.environ, reason="a soak: make soak runs it"),
]
ROOT = Path(__file__).parents[3]
SHARES = {"runtime": 0.25, "apart": 0.1, "agent": 0.15, "ssh": 0.35, "writers": 0.08, "disk": 0.07}
CUTS = 50
GROWTH_BYTES = 24 << 20
"""Of resident memory, from the end of the first quarter of a part to its end."""
PLAN = BenchPlan(
    min_launches=4, max_launches=4, launch_seconds=0.05, min_rounds=5, max_rounds=10, warmup_ms=1.0, max_warmup_ms=50.0
)


def seconds(part: str) -> float:
    return float(os.environ["EDGECV_SOAK_SECONDS"]) * SHARES[part]


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    rss: int
    descriptors: int
    threads: int
    children: int
    temporary: int


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that temporary files of this process and its children go to."""
    import tempfile

    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def held(temporary: Path, pid: int | None = None) -> Held:
    import psutil

    gc.collect()
    process = psutil.Process(pid)
    return Held(
        rss=process.memory_info().rss,
        descriptors=process.num_fds(),
        threads=process.num_threads(),
        children=len(process.children(recursive=True)),
        temporary=sum(1 for _ in temporary.rglob("*")),
    )


def soak(part: str, temporary: Path, step: object, *, pid: int | None = None, at_least: int = 8) -> int:
    """Repeat a step for the part's time; hold what the process has at the end against its first quarter."""
    start, rounds, warm = time.monotonic(), 0, None
    while time.monotonic() - start < seconds(part) or rounds < at_least:
        step(rounds)
        rounds += 1
        if warm is None and time.monotonic() - start >= seconds(part) / 4 and rounds >= at_least // 2:
            warm = held(temporary, pid), rounds
    assert warm is not None
    (before, first), after = warm, held(temporary, pid)
    grown = (after.rss - before.rss) / (1 << 20)
    print(f"\n{part}: {rounds} rounds in {time.monotonic() - start:.0f} s; from round {first} on {grown:+.1f} MiB")
    print(f"  {before}\n  {after}")
    assert after.rss - before.rss < GROWTH_BYTES, f"{part} grew by {grown:.1f} MiB in {rounds - first} rounds"
    assert after.descriptors <= before.descriptors
    assert after.threads <= before.threads
    assert after.children <= before.children
    assert after.temporary <= before.temporary
    return rounds


def seeded(path: Path, **options: object) -> list[np.ndarray]:
    session = runtime.open_session(path, **options)
    try:
        answers = []
        for seed in range(5):
            session.fill(seed)
            session.invoke()
            answers += session.get_outputs()
        return answers
    finally:
        session.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_runtime(lenet: Path, onnx_file: Path, temporary: Path, threads: int) -> None:
    expected = {path: seeded(path, threads=threads) for path in (lenet, onnx_file)}
    image = np.random.default_rng(0).integers(0, 256, (40, 30), dtype=np.uint8)
    with runtime.load(lenet) as model:
        label = model.predict(image).label

    def step(turn: int) -> None:
        for path, answers in expected.items():
            for mine, first in zip(seeded(path, threads=threads), answers, strict=True):
                assert (mine == first).all()
        with runtime.load(lenet, threads=threads) as model:
            assert model.predict(image).label == label
            assert runtime.replay(model).passed
        with pytest.raises(EdgecvError):
            runtime.load(onnx_file)

    soak("runtime", temporary, step)


def test_processes_apart(lenet: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecv.core.apart import call_apart
    from edgecv.core.errors import CrashError

    expected = runtime.load(lenet)
    first = runtime.replay(expected)
    expected.close()
    monkeypatch.setenv("EDGECV_TIMEOUT_S", "60")

    def step(turn: int) -> None:
        with runtime.load(lenet, apart=True) as model:
            assert runtime.replay(model) == first
        with pytest.raises(CrashError):
            call_apart("os:abort", about="m.tflite")

    soak("apart", temporary, step)


def test_agent(lenet: Path, onnx_file: Path, temporary: Path) -> None:
    channel = LocalDevice().start()
    with AgentLink(channel, "soak") as link:
        link.hello()
        cases = [BenchCase(name=path.name, path=str(path)) for path in (lenet, onnx_file)]

        def step(turn: int) -> None:
            for case in cases:
                link.load(case, case.path, seed=turn)
                link.warm_up(PLAN)
                assert link.run(20, 1).wall_ns > 0
                opened = link.describe(case, case.path)
                sample = [np.zeros(info.shape, info.dtype) for info in opened.inputs]
                assert len(link.predict([sample] * 3)) == 3
            with pytest.raises(EdgecvError):
                link.load(cases[0], "gone.tflite", seed=0)

        soak("agent", temporary, step, pid=channel.pid)


def agents_in(folder: Path) -> list[int]:
    """Return the processes that run below a folder of the device."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        if any(str(folder) in word for word in process.info["cmdline"] or ()) and process.pid != os.getpid():
            found.append(process.pid)
    return found


def test_bench_over_ssh_with_the_link_cut(board: Path, sshd: object, onnx_file: Path, temporary: Path) -> None:
    """A run whose link is cut goes on where it was; finished launches stay, and nothing of it stays on the device."""
    import tomllib

    store = ResultsFile(temporary.parent / "raw.json")
    there = Path(tomllib.loads(board.read_text())["board"]["folder"])
    rng, cuts, kept = random.Random(0), 0, 0
    stop = threading.Event()

    def cutter(undisturbed_s: float) -> None:
        nonlocal cuts
        while not stop.wait(rng.uniform(0.1, 1.0) * undisturbed_s):
            if sshd.hang_up():
                cuts += 1

    def launches() -> int:
        return sum(len(row.launches) for row in store.read())

    def one() -> DeviceError | None:
        """Go on with the run, or begin the next; return what broke it off."""
        device = open_device("board", board)
        cases = [BenchCase(name="m", path=str(onnx_file))]
        try:
            bench(cases, baseline=None, device=device, plan=PLAN, save=store.save, earlier=store.read())
        except DeviceError as error:
            return error
        return None

    done = broken = 0

    start, warm = time.monotonic(), None
    assert one() is None
    assert launches() == PLAN.max_launches
    store.path.unlink()
    thread = threading.Thread(target=cutter, args=(time.monotonic() - start,))
    thread.start()
    try:
        while cuts < CUTS or time.monotonic() - start < seconds("ssh"):
            error = one()
            if error is None:
                done += 1
                assert launches() == PLAN.max_launches
                store.path.unlink()
                kept = 0
            else:
                broken += 1
                assert "board" in error.message
                assert launches() >= kept, "a finished launch was lost"
                kept = launches()
            if warm is None and cuts >= CUTS // 4:
                warm = held(temporary)
            assert time.monotonic() - start < seconds("ssh") * 4 + 900, f"{cuts} cuts, {done} runs: it does not go on"
    finally:
        stop.set()
        thread.join()
    assert one() is None, "the link is whole again"
    deadline = time.monotonic() + 20
    while agents_in(there) and time.monotonic() < deadline:
        time.sleep(0.5)
    before, after = warm, held(temporary)
    print(f"\nssh: {cuts} cuts, {done} runs finished, {broken} broken off\n  {before}\n  {after}")
    assert cuts >= CUTS
    assert done > 0
    assert broken > 0
    assert not agents_in(there)
    assert after.rss - before.rss < GROWTH_BYTES
    assert after.descriptors <= before.descriptors
    assert after.children <= before.children
    assert after.temporary <= before.temporary


WRITER = """
import sys, time
from dataclasses import replace
from edgecv.bench import ResultsFile
from edgecv.core import files
from tests.bench.test_store import MEASUREMENT

folder, name, end = sys.argv[1], sys.argv[2], time.time() + float(sys.argv[3])
store, count = ResultsFile(f"{folder}/raw.json"), 0
while time.time() < end or count < 20:
    store.save(replace(MEASUREMENT, key=f"{name} {count % 200}", name=str(count)))
    files.write_bytes(f"{folder}/out.bin", name.encode() * 100_000)
    count += 1
print(count)
"""


def test_two_writers_of_one_out(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    command = [sys.executable, "-c", WRITER, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    writers = [
        subprocess.Popen([*command, name, str(seconds("writers"))], env=environment, stdout=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    looks = 0
    while any(writer.poll() is None for writer in writers):
        for row in ResultsFile(folder / "raw.json").read():
            assert row.complete
        if (folder / "out.bin").exists():
            assert set((folder / "out.bin").read_bytes()) in ({ord("a")}, {ord("b")}), "a mixed or cut file was seen"
        looks += 1
        time.sleep(0.01)
    counts = [int(writer.communicate()[0]) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0]
    found = {row.key for row in ResultsFile(folder / "raw.json").read()}
    expected = {f"{name} {i}" for name, count in zip("ab", counts, strict=True) for i in range(min(count, 200))}
    print(f"\nwriters: {counts} writes, {looks} looks, {len(found)} rows")
    assert found == expected, "a writer lost the other's rows"
    assert {path.name for path in folder.iterdir()} == {"raw.json", "out.bin"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "edgecv-soak", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(small_disk: Path, lenet: Path, temporary: Path) -> None:
    from dataclasses import replace

    from tests.bench.test_store import MEASUREMENT

    out, raw = small_disk / "m.tflite", small_disk / "raw.json"
    files.write_bytes(out, b"the first one")
    ResultsFile(raw).save(MEASUREMENT)

    def step(turn: int) -> None:
        ballast = small_disk / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as stream:
            while True:
                stream.write(bytes(4096))
                stream.flush()
        kept = out.read_bytes(), raw.read_bytes()
        with pytest.raises(ConfigError, match="disk is full"):
            files.write_bytes(out, lenet.read_bytes())
        with pytest.raises(ConfigError, match="disk is full"):
            ResultsFile(raw).save(replace(MEASUREMENT, key=f"more {turn}", name="x" * 9000))
        assert (out.read_bytes(), raw.read_bytes()) == kept, "a failed write touched what was there"
        assert {path.name for path in small_disk.iterdir()} == {"m.tflite", "raw.json", "ballast"}
        ballast.unlink()
        files.write_bytes(out, f"number {turn}".encode())
        ResultsFile(raw).save(replace(MEASUREMENT, key=f"turn {turn % 20}"))
        assert out.read_bytes() == f"number {turn}".encode()

    rounds = soak("disk", temporary, step)
    assert {row.key for row in ResultsFile(raw).read()} == {"k", *(f"turn {i}" for i in range(min(rounds, 20)))}
    assert json.loads(raw.read_text())["schema"]


def test_a_whole_command_on_a_full_disk(small_disk: Path, lenet: Path, onnx_file: Path) -> None:
    """`bench --out` where no room is left: one error, exit 2, the old file as it was; with room, it works."""
    raw, ballast = small_disk / "raw.json", small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb") as stream:
        while True:
            stream.write(bytes(4096))
            stream.flush()
    command = [sys.executable, str(ROOT / "cli.py"), "bench", str(onnx_file), "--plan", "quick", "--out", str(raw)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in small_disk.iterdir() if path.stat().st_size] == ["ballast"]
    ballast.unlink()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert ResultsFile(raw).read()
