"""Maps: sizes by the book, peaks in the image's pixels, figures by hand."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks.frame import Frame, frame_of
from edgecv.tasks.registry import task
from edgecv.tasks.response.geometry import ResponseSettings, map_size, output_size, pad_before, window_of
from edgecv.tasks.response.pictures import grey
from edgecv.values.specs import Head, Preprocessing

TASK = task("response")


def head(labels=("a",), **options):
    return Head("response", "response", "linear", labels, settings={"window": [3, 3], "padding": "valid", **options})


def frame(height, width):
    return frame_of(Preprocessing("gray"), (height, width), (height, width))


@pytest.mark.parametrize(
    ("count", "kernel", "stride", "valid", "same"),
    [(13, 6, 5, 2, 3), (5, 3, 2, 2, 3), (7, 3, 2, 3, 4), (5, 3, 3, 1, 2), (28, 5, 1, 24, 28), (150, 3, 3, 50, 50)],
)
def test_sizes(count, kernel, stride, valid, same):
    assert output_size(count, kernel, stride, "valid") == valid
    assert output_size(count, kernel, stride, "same") == same


def test_the_odd_pixel_of_padding_comes_last():
    assert pad_before(13, 6, 5, "same") == 1  # of three: one before, two behind
    assert map_size((427, 640), ResponseSettings(window=(7, 7), stride=2)) == (214, 320)
    assert map_size((2, 9), ResponseSettings(window=(3, 3), padding="valid")) == (0, 7)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 20), st.integers(1, 7), st.integers(1, 4), st.sampled_from(["valid", "same"]))
def test_windows_cover_the_input_and_keep_their_distance(count, kernel, stride, padding):
    own = ResponseSettings(window=(kernel, kernel), stride=stride, padding=padding)
    size = map_size((count, count), own)[0]
    spans = [window_of((place, 0), (count, count), own)[1::2] for place in range(size)]
    assert all(bottom - top == kernel for top, bottom in spans)
    assert all(b[0] - a[0] == stride for a, b in zip(spans, spans[1:], strict=False))
    if padding == "valid":
        assert all(top >= 0 and bottom <= count for top, bottom in spans)
    elif kernel >= stride:
        assert spans[0][0] <= 0
        assert spans[-1][1] >= count


def test_the_peak_is_the_first_largest_value_and_its_window_in_the_image():
    values = np.zeros((2, 5, 1), np.float32)
    values[1, 0], values[1, 3] = 765, 765
    found = TASK.decode([values], head(answer="peak"), frame(4, 7))
    assert (found.peak.place, found.peak.value, found.peak.xyxy) == ((1, 0), 765, (0, 1, 3, 4))
    twice = Frame((8, 14), (4, 7), ((0.5, 0, 0), (0, 0.5, 0)))
    assert TASK.decode([values], head(), twice).peak.xyxy == (0, 2, 6, 8)
    assert found.to_dict()["maps"][0]["peak"] == {"place": [1, 0], "box": [0, 1, 3, 4], "value": 765}
    assert json.loads(json.dumps(found.to_dict())) == found.to_dict()
    assert len(found) == 1


def test_pictures_of_maps_and_of_peaks():
    maps = np.random.default_rng(0).standard_normal((5, 6, 9)).astype(np.float32)
    image = np.zeros((7, 8), np.uint8)
    labels = tuple("abcdefghi")
    drawn = TASK.decode([maps], head(labels), frame(7, 8)).draw(image)
    marked = TASK.decode([maps], head(labels, answer="peak"), frame(7, 8)).draw(image)
    assert drawn.width > 6 * marked.width
    assert np.asarray(marked).any()


def test_greys():
    assert grey(np.array([[0.0, 2.0]])).tolist() == [[0, 255]]
    assert grey(np.array([[-1.0, 0.0, 1.0]])).tolist() == [[0, 128, 255]]
    assert grey(np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]


def test_figures_by_hand():
    truth = np.zeros((2, 2, 2), np.float32)
    truth[0, 0] = 4
    found = np.zeros((2, 2, 2), np.float32)
    found[..., 0] = truth[..., 0] + 1
    found[1, 1, 1] = 4
    own = head(("a", "b"))
    scores = TASK.score([TASK.evidence(truth, TASK.decode([found], own, frame(4, 4)), own)], own)
    # Of a: every value is 1 too large. Of b: two of four values are 4 off, and the peak is in the other corner.
    assert scores.per_label["a"] == {"map_mae": 1, "map_rmse": 1, "peak_distance": 0}
    assert scores.per_label["b"] == pytest.approx({"map_mae": 2, "map_rmse": 8**0.5, "peak_distance": 2**0.5})
    assert scores.value == scores.figures["map_mae"] == 1.5
    assert scores.figures["map_rmse"] == pytest.approx(4.5**0.5)


def test_a_file_must_give_a_map_for_each_label():
    TASK.check(head(("a", "b")), [(1, 4, 5, 2)])
    TASK.check(head(()), [(1, 4, 5, 7)])
    for shape in ((1, 10), (1, 4, 5, 3)):
        with pytest.raises(UnsupportedModelError, match="its output is"):
            TASK.check(head(("a", "b")), [shape])


def test_what_does_not_fit_is_refused():
    own = head()
    with pytest.raises(DataError, match="the truth is"):
        TASK.evidence(np.zeros((3, 3, 1)), TASK.decode([np.zeros((2, 2, 1))], own, frame(4, 4)), own)
    for truth in (np.zeros((3, 3)), np.full((2, 2, 1), np.nan), np.zeros((2, 2, 3))):
        with pytest.raises(DataError, match="finite maps"):
            TASK.check_truth(truth, own, "sample 1")
    with pytest.raises(DataError, match="nothing to score"):
        TASK.score([], own)
    with pytest.raises(ConfigError, match="stride"):
        TASK.settings(head(stride=0))
    with pytest.raises(ConfigError):
        TASK.settings(head(padding="full"))
