"""Windows, stages, trees and groups: worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.runtime import load_cascade
from edgecv.runtime.cascade import grouped, scan
from tests.runtime.cascade.made import BELOW_MINUS_ABOVE, DIAMOND, RIGHT_MINUS_LEFT, stage, stump, written

LEFT_RIGHT = np.repeat([[0, 0, 200, 200]], 4, axis=0).astype(np.uint8)


def passing(path: Path, image: np.ndarray = LEFT_RIGHT) -> int:
    """The number of windows of the cascade's own size that pass."""
    return len(load_cascade(path, neighbours=0, scale_factor=2).windows(image))


@pytest.mark.parametrize(("split", "passes"), [(3.99, True), (4.01, False)])
def test_a_feature_is_divided_by_area_times_deviation(tmp_path: Path, split: float, passes: bool) -> None:
    """Right minus left is 1600; the inner 2x2 pixels 0, 200, 0, 200 have 4 * deviation = 400: together 4."""
    path = written(tmp_path, [stage(0.5, stump(0, split))], [RIGHT_MINUS_LEFT])
    assert passing(path) == passes


def test_a_tilted_feature_sums_its_diamond(tmp_path: Path) -> None:
    image = LEFT_RIGHT.copy()
    image[0, 1], image[1, 1] = 30, 50  # the diamond of side 1 below (2, 0): these two pixels
    inner = image[1:3, 1:3].astype(float)
    value = 80 / (4 * inner.std())
    for split, passes in ((value - 0.01, True), (value + 0.01, False)):
        path = written(tmp_path, [stage(0.5, stump(0, split))], [DIAMOND])
        assert passing(path, image) == passes


def test_votes_of_trees_add_up_and_every_stage_must_pass(tmp_path: Path) -> None:
    features = [RIGHT_MINUS_LEFT, BELOW_MINUS_ABOVE]
    both = stage(0.9, stump(0, 3.0, above=0.5), stump(1, -1.0, above=0.5))
    assert passing(written(tmp_path, [both], features)) == 1
    never = stage(0.0, stump(1, 1.0))
    assert passing(written(tmp_path, [both, never], features)) == 0


@pytest.mark.parametrize(("sign", "leaf"), [(1, 0.25), (-1, 0.5)])
def test_trees_are_walked_to_a_leaf(tmp_path: Path, sign: int, leaf: float) -> None:
    """The first node asks for 4 or -4: left is a second node, right a leaf."""
    # Left of node 0 is node 1, right leaf 0. In node 1 below and above are alike: it goes right, to leaf 2.
    tree = "<_><internalNodes>1 0 0 0. -1 -2 1 -1.</internalNodes><leafValues>0.25 9. 0.5</leafValues></_>"
    image = LEFT_RIGHT if sign > 0 else LEFT_RIGHT[:, ::-1].copy()
    for threshold, passes in ((leaf - 0.01, True), (leaf + 0.01, False)):
        path = written(tmp_path, [stage(threshold, tree)], [RIGHT_MINUS_LEFT, BELOW_MINUS_ABOVE])
        assert passing(path, image) == passes


def test_flat_windows_are_no_object(tmp_path: Path) -> None:
    path = written(tmp_path, [stage(-2.0, stump(0, 0.0))], [RIGHT_MINUS_LEFT])
    faint = np.repeat([[0, 0, 20, 20]], 4, axis=0).astype(np.uint8)
    assert passing(path, faint) == 0  # a deviation of 10 levels
    faint[:, 2:] = 22
    assert passing(path, faint) == 1


def test_behind_a_window_that_the_first_stage_rejects_one_is_left_out() -> None:
    rejected = np.array([[1, 1, 1, 0, 1, 1], [0, 1, 0, 0, 0, 0]], bool)
    assert scan._visited(rejected).astype(int).tolist() == [[1, 0, 1, 0, 1, 0], [1, 1, 0, 1, 1, 1]]


def test_scales_grow_until_the_window_does_not_fit() -> None:
    found = scan.scales((60, 90), (20, 24), 1.5, (25, 0), (59, 90))
    np.testing.assert_allclose(found, [1.5, 2.25])
    assert scan.scales((60, 90), (20, 24), 1.5, (0, 0), (60, 90))[0] == 1.0
    assert scan.scales((10, 90), (20, 24), 1.5, (0, 0), (10, 90)) == []


def test_a_smaller_image_is_interpolated_between_pixel_centres() -> None:
    row = np.array([[0, 100, 200, 51]], np.uint8)
    assert scan.shrunk(row, (1, 2)).tolist() == [[50, 126]]  # 125.5, rounded half up
    assert scan.shrunk(row, (1, 4)) is row


WINDOWS = np.array([[10, 10, 20, 20], [11, 10, 20, 20], [10, 11, 20, 20], [12, 12, 21, 21], [60, 60, 20, 20]])


def test_windows_that_say_the_same_become_their_mean() -> None:
    found, counts = grouped(WINDOWS, 3)
    assert found.tolist() == [[11, 11, 20, 20]]
    assert counts.tolist() == [4]
    assert len(grouped(WINDOWS, 4)[0]) == 0
    assert grouped(WINDOWS, 0)[0] is WINDOWS


def test_a_small_group_inside_a_larger_one_goes() -> None:
    inside = np.repeat([[14, 14, 8, 8]], 4, axis=0)
    around = np.repeat([[10, 10, 20, 20]], 5, axis=0)
    assert grouped(np.concatenate([inside, around]), 3)[0].tolist() == [[10, 10, 20, 20]]
    assert len(grouped(np.concatenate([inside, around[:4]]), 3)[0]) == 2, "it is not stronger"


def test_an_image_is_answered_with_detections(tmp_path: Path) -> None:
    path = written(tmp_path, [stage(0.5, stump(0, 3.5))], [RIGHT_MINUS_LEFT])
    image = np.zeros((24, 30, 3), np.uint8)
    image[8:12, 10:12] = 200
    with load_cascade(path, label="edge", scale_factor=1.2, neighbours=0) as detector:
        found = detector.predict(image)
        assert found.names == ("edge",) * len(found)
        assert [8, 8, 12, 12] in found.xyxy.astype(int).tolist()
        assert [list(one.xyxy[0]) for one in detector.predict_many([image])] == [list(found.xyxy[0])]
        assert "4x4, 1 stages" in repr(detector)
    assert len(load_cascade(path, smallest=(20, 20)).predict(image)) == 0
    several = load_cascade(path, scale_factor=1.2, neighbours=1).predict(image)
    assert (np.diff(several.confidence) <= 0).all()
    red = np.zeros((4, 4, 3), np.uint8)
    red[:, 2:, 0] = 100  # a luma of 30; as blue it is 11, and the window is flat
    one = load_cascade(path, neighbours=0, scale_factor=2)
    assert (len(one.predict(red)), len(one.predict(red, color="bgr"))) == (1, 0)


def test_options_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, [stage(0.5, stump(0, 3.5))], [RIGHT_MINUS_LEFT])
    with pytest.raises(ConfigError, match="scale_factor"):
        load_cascade(path, scale_factor=1.0)
    with pytest.raises(ConfigError, match="neighbours"):
        load_cascade(path, neighbours=-1)
    with pytest.raises(ConfigError, match="color"):
        load_cascade(path).predict(LEFT_RIGHT, color="hsv")
    with pytest.raises(DataError, match="uint8"):
        load_cascade(path).predict(LEFT_RIGHT.astype(np.float32))
