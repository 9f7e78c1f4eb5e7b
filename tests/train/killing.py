"""A training in a process of its own, killed and started again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]


def killed_and_whole(command: Sequence[str], folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights of a run that was killed and resumed, and of one that was left alone.

    Args:
        command: Keeps its state in `folder`/state; its last argument, which is added, is the .npz that it writes there.
    """
    state = folder / "state"
    run = subprocess.Popen([*command, "killed.npz"], cwd=ROOT)
    deadline = time.monotonic() + 120
    while not state.exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert state.exists()
    assert not (folder / "killed.npz").exists(), "the run ended before it could be killed"
    subprocess.run([*command, "resumed.npz"], check=True, cwd=ROOT)
    state.unlink()
    subprocess.run([*command, "whole.npz"], check=True, cwd=ROOT)
    return _weights(folder / "resumed.npz"), _weights(folder / "whole.npz")


def _weights(path: Path) -> list[np.ndarray]:
    with np.load(path) as found:
        return [found[name] for name in found.files]
