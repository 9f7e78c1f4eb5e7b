"""Which activations come near the largest float16."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.core.errors import DataError
from edgecv.diagnose.float16 import LIMIT, audit_float16
from tests.graphs.tiny import N, Net, T, build

pytest.importorskip("ai_edge_litert")


def squares(path):
    """x -> SQUARE (twice) -> SQRT: the fourth power passes 65504 long before its root does."""
    tensors = {f"net/{name}/{name}": T((1, 2), "float32", None) for name in ("x", "a", "b", "y")}
    x, a, b, y = tensors
    path.write_bytes(build(Net(tensors, [N("SQUARE", [x], [a]), N("SQUARE", [a], [b]), N("SQRT", [b], [y])], [x], [y])))
    return path


class Warnings:
    def __init__(self):
        self.said = []

    def warn(self, message):
        self.said.append(message)


@pytest.mark.parametrize(
    ("value", "near"),
    [
        (2.0, []),
        (12.0, [("b", 20736.0, False)]),  # above 65504 / 4 = 16376
        (20.0, [("b", 160000.0, True)]),
        (200.0, [("b", 1.6e9, True), ("a", 40000.0, False), ("y", 40000.0, False)]),
    ],
)
def test_tensors_near_and_beyond_the_limit(tmp_path, value, near):
    reporter = Warnings()
    found = audit_float16(squares(tmp_path / "m.tflite"), [[np.full((1, 2), value, np.float32)]], reporter=reporter)
    assert [(t.layer, t.largest, t.overflows) for t in found.near] == [(n, pytest.approx(v), o) for n, v, o in near]
    assert found.largest == pytest.approx(value**4)
    assert (len(reporter.said) == 1) == bool(near)
    assert all("float16" in line and "float32" in line for line in reporter.said)


def test_the_margin_is_the_callers(tmp_path):
    path, sample = squares(tmp_path / "m.tflite"), [np.full((1, 2), 12.0, np.float32)]
    assert audit_float16(path, [sample], margin=1.0).near == ()
    assert len(audit_float16(path, [sample], margin=LIMIT / 100).near) == 3


def test_the_largest_of_all_samples_counts(tmp_path):
    samples = [[np.full((1, 2), value, np.float32)] for value in (1.0, -20.0, 2.0)]
    found = audit_float16(squares(tmp_path / "m.tflite"), samples, source="a test")
    assert (found.samples, found.source, found.largest) == (3, "a test", pytest.approx(160000.0))


def test_no_samples_is_an_error(tmp_path):
    with pytest.raises(DataError, match="nothing to run"):
        audit_float16(squares(tmp_path / "m.tflite"), [])
