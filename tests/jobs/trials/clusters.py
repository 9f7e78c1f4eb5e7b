"""A real dask scheduler and real workers on the loopback, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]


@dataclass
class Running:
    """A scheduler and its workers.

    Attributes:
        address: Of the scheduler.
        workers: Their processes, in the order in which they were started.
    """

    address: str
    folder: Path
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add(self, resources: str) -> subprocess.Popen[bytes]:
        """Start a worker that has resources: "train=1 device:local=1"."""
        command = [
            "dask_worker", self.address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--resources", resources,
            "--local-directory", str(self.folder), "--host", "127.0.0.1",
        ]  # fmt: skip
        self.workers.append(_process(command, self.folder / f"worker{len(self.workers)}.log"))
        return self.workers[-1]


@contextlib.contextmanager
def running(folder: Path, resources: Sequence[str]) -> Iterator[Running]:
    """Start a scheduler and one worker per entry; end them all."""
    file = folder / "scheduler.json"
    command = ["dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    scheduler = _process(command, folder / "scheduler.log")
    found = Running(address="", folder=folder)
    try:
        found.address = _address(file, scheduler, folder / "scheduler.log")
        for one in resources:
            found.add(one)
        _wait_for(found.address, len(resources))
        yield found
    finally:
        for process in (*found.workers, scheduler):
            process.kill()
            process.wait()


def _process(command: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    module, *arguments = command
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *arguments], cwd=ROOT, stdout=out, stderr=out
        )


def _address(file: Path, scheduler: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError):
            return str(json.loads(file.read_text())["address"])
        assert scheduler.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(f"no scheduler: {log.read_text()}")


def _wait_for(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=30) as client:
        client.wait_for_workers(count, timeout=60)
