"""XNNPACK's sparse kernels on emulated Arm: the rules say what the real thing does, also where it goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.bench import BenchCase
from edgecv.bench.link import AgentLink
from edgecv.convert.tflite import sparse
from edgecv.convert.tflite.sparse_rules import Judgement, judge
from edgecv.graphs import read_tflite
from tests.bench.devices.test_emulated import ready
from tests.convert.tflite.test_sparse import answers, depthwise, gated_sum, network, point, stem, strided, strided_same

IMAGES = np.random.default_rng(1).standard_normal((2, 16, 16, 3)).astype(np.float32)


def on_arm(path: Path, device: str = "arm64") -> Any:
    """Return a file's answers there."""
    with AgentLink(ready(device).start(), device) as link:
        link.describe(BenchCase(name="net", path=str(path)), str(path))
        rows = link.predict([[image[None]] for image in IMAGES])
    return np.array([row[0][0] for row in rows])


def sparse_kernels(path: Path) -> int:
    """Return how many sparse kernels the profiler sees on arm64."""
    with AgentLink(ready("arm64").start(), "arm64") as link:
        found = link.ask("profile", 300.0, command="profile", path=str(path), runs=5, seconds=1.0)
    return sum("SPMM" in str(op["name"]) for op in found["ops"])


def test_what_the_rules_call_sparse_runs_sparse_and_answers_as_here(tmp_path: Path) -> None:
    data = network(stem, point(32, activation="relu6"), depthwise, point(48), strided, point(32), gated_sum)
    made = sparse.with_sparse_weights(data)
    path = tmp_path / "net.tflite"
    path.write_bytes(made.data)
    assert sparse_kernels(path) == judge(read_tflite(made.data)).sparse == 5
    np.testing.assert_allclose(on_arm(path), answers(data, IMAGES), rtol=1e-4, atol=1e-5)


def test_the_older_interpreter_of_armv7_answers_as_here(tmp_path: Path) -> None:
    data = network(stem, point(32, activation="relu6"), depthwise, point(48), strided, point(32), gated_sum)
    path = tmp_path / "net.tflite"
    path.write_bytes(sparse.with_sparse_weights(data).data)
    np.testing.assert_allclose(on_arm(path, "armv7"), answers(data, IMAGES), rtol=1e-4, atol=1e-5)


def test_a_refused_file_is_really_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = network(stem, point(32), point(48), strided_same, point(32))
    monkeypatch.setattr(sparse, "judge", lambda graph, layers: Judgement(verdicts=(), danger=""))
    path = tmp_path / "net.tflite"
    path.write_bytes(sparse.with_sparse_weights(data).data)
    expected = answers(data, IMAGES)
    np.testing.assert_allclose(answers(path.read_bytes(), IMAGES), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(on_arm(path) - expected).max() > 0.01 * np.abs(expected).max()
