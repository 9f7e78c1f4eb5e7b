"""Files of cascades: what is another format is named, and what is damaged is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.runtime.cascade.reading import read_cascade
from tests.runtime.cascade.made import DIAMOND, RIGHT_MINUS_LEFT, document, stage, stump, written

GOOD = document([stage(0.5, stump(0, 3.5))], [RIGHT_MINUS_LEFT])


def test_what_is_in_a_file(tmp_path: Path) -> None:
    deep = "<_><internalNodes>1 0 0 .5 -1 -2 1 .25</internalNodes><leafValues>1 2 3</leafValues></_>"
    stages = [stage(0.5, stump(0, 3.5)), stage(-1, deep, stump(1, 7.0))]
    found = read_cascade(written(tmp_path, stages, [RIGHT_MINUS_LEFT, DIAMOND], window=(4, 5)))
    assert found.window == (4, 5)
    assert found.features.boxes[0].tolist() == [[0, 0, 4, 4], [2, 0, 2, 4], [0, 0, 0, 0]]
    assert found.features.weights[0].tolist() == [-1, 2, 0]
    assert found.features.tilted.tolist() == [False, True]
    first, second = found.stages
    assert first.threshold == pytest.approx(0.5 - 1e-5)
    assert second.feature.tolist() == [[0, 1], [1, 0]]
    assert second.left.tolist() == [[1, -1], [0, 0]]
    assert second.leaves.tolist() == [[1, 2, 3], [-1, 1, 0]]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("HAAR", "LBP", "cascade of BOOST, LBP"),
        ("opencv_storage", "storage", "holds no cascade"),
        ("<height>4</height>", "<height>2</height>", "window is 2x4"),
        ("<height>4</height>", "", "has no <height>"),
        ("2 0 2 4 2.", "2 0 3 4 2.", "feature 0 lies outside"),
        ("2 0 2 4 2.", "9e18 0 9e18 4 2.", "feature 0 lies outside"),
        ("<stageThreshold>0.5", "<stageThreshold>inf", "threshold is not finite"),
        ("2 0 2 4 2.", "2 0 2 4", "4 numbers, expected 5"),
        ("0 -1 0 3.5", "0 -1 1 3.5", "feature beyond the 1"),
        ("0 -1 0 3.5", "0 -2 0 3.5", "lead nowhere"),
        ("0 -1 0 3.5", "0 1 0 3.5", "lead nowhere"),
        ("0 -1 0 3.5", "0 -1 0 nan", "not finite"),
        ("<tilted>0", "<tilted>1", "outside"),
        ('<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY a "b">]>', "document type"),
        ("</stages>", "", "cannot be read|can be read"),
    ],
)
def test_damage_is_said(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "c.xml"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(UnsupportedModelError, match=says):
        read_cascade(path)


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_cascade(tmp_path / "none.xml")
    path = tmp_path / "old.xml"
    path.write_text('<opencv_storage><face type_id="opencv-haar-classifier"/></opencv_storage>')
    with pytest.raises(UnsupportedModelError, match="one of OpenCV 1"):
        read_cascade(path)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=200, deadline=None)
def test_nothing_but_our_errors_comes_of_a_damaged_file(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray(GOOD.encode())
    for _ in range(int(rng.integers(1, 6))):
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    path = tmp_path_factory.getbasetemp() / "damaged.xml"
    path.write_bytes(bytes(content[: int(rng.integers(len(content) // 2, len(content) + 1))]))
    try:
        found = read_cascade(path)
    except EdgecvError:
        return  # refused; anything else fails the test
    assert min(found.window) > 0
    assert found.stages
