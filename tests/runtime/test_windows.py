"""A classifier slid over an image: which windows there are, and what is found in them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.data import open_dataset
from edgecv.evaluate import KerasPredictor
from edgecv.modelio import load_keras
from edgecv.runtime import load, preprocess, slide, windows
from edgecv.tasks.classification import Classification
from edgecv.tasks.embedding import Embedding
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.cli.conftest import edgecv


def test_windows_of_the_published_grids() -> None:
    assert len(windows((6, 8), 3, 1)) == 24
    assert len(windows((6, 8), 4, 1)) == 15
    assert len(windows((140, 140), 28, 28)) == 25


def test_windows_lie_inside_row_by_row() -> None:
    found = windows((5, 7), (2, 3), (3, 2))
    assert found.tolist() == [
        [0, 0, 3, 2], [2, 0, 5, 2], [4, 0, 7, 2],
        [0, 3, 3, 5], [2, 3, 5, 5], [4, 3, 7, 5],
    ]  # fmt: skip
    assert windows((2, 2), 3, 1).shape == (0, 4)
    with pytest.raises(ConfigError, match="stride is 1 pixel or more"):
        windows((5, 5), 2, 0)


class Bright:
    """A classifier of 4x4 windows: "full" by the share of white pixels, else "empty"."""

    spec = one_input(
        "bright",
        (4, 4, 1),
        (Head("output", "classification", "probabilities", ("empty", "full")),),
        Preprocessing(color="gray"),
    )

    def predict(self, image: np.ndarray) -> Classification:
        assert image.shape[:2] == (4, 4)
        share = float(np.mean(image) / 255)
        both = {"full": share, "empty": 1 - share}
        return Classification(tuple(sorted(both.items(), key=lambda one: -one[1])), np.array(list(both.values())))


def test_each_thing_is_found_once_where_it_is_best() -> None:
    image = np.zeros((16, 20), np.uint8)
    image[5:9, 6:10] = image[9:13, 14:18] = 255
    found = slide(Bright(), image, stride=1, ignored=("empty",), overlap=0.1)
    assert found.xyxy.tolist() == [[6, 5, 10, 9], [14, 9, 18, 13]]
    assert found.confidence.tolist() == [1.0, 1.0]
    assert found.names == ("full", "full")
    everything = slide(Bright(), image, stride=1, ignored=("empty",), overlap=1.0)
    assert len(everything) > 10
    assert (np.diff(everything.confidence) <= 0).all()
    strict = slide(Bright(), image, stride=4, threshold=0.9)
    assert set(strict.names) == {"empty"}
    assert len(slide(Bright(), image[:3], stride=1)) == 0


def test_a_score_of_ones_own_reads_other_answers() -> None:
    image = np.zeros((8, 8), np.uint8)
    image[4:, :4] = 255

    def objectness(prediction: Classification) -> tuple[int, float]:
        return 1, float(prediction.label == "full") * prediction.score

    assert slide(Bright(), image, stride=4, score=objectness).xyxy.tolist() == [[0, 4, 4, 8]]
    other = SimpleNamespace(spec=Bright.spec, predict=lambda image: Embedding(np.ones(3)))
    with pytest.raises(UnsupportedModelError, match="answers with Embedding"):
        slide(other, image)


def test_a_model_file_finds_the_window_that_it_knows_best(files: SimpleNamespace) -> None:
    """Each window's answer is that of the file on the crop."""
    image = np.random.default_rng(0).integers(0, 256, (24, 24), dtype=np.uint8)
    with load(files.float32) as model:
        found = slide(model, image, stride=8, threshold=0.0, overlap=1.0)
        assert len(found) == 9
        for (left, top, right, bottom), confidence, name in zip(found.xyxy.astype(int), found.confidence, found.names):
            answer = model.predict(image[top:bottom, left:right])
            assert (answer.label, answer.score) == (name, pytest.approx(float(confidence)))


@pytest.fixture(scope="module")
def digits_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("slide") / "slide.keras"
    done = edgecv("train", "cnn_mnist_slide", "--data", "digits", "--epochs", 1, "--out", out)
    assert done.code == 0, done.err
    return out


def test_a_digit_on_a_black_canvas_is_found_where_it_is(digits_model: Path) -> None:
    """A 140x140 canvas with a digit and a border of 56 pixels: found at (56, 56)."""
    model = KerasPredictor(load_keras(digits_model))
    split = open_dataset("digits").split("test")
    place = max(range(40), key=lambda index: model.predict(split.image(index)).score)
    digit = preprocess(split.image(place), model.spec)[0, :, :, 0]
    canvas = np.pad((255 * digit / digit.max()).round().astype(np.uint8), 56)
    found = slide(model, canvas, window=28, stride=28)
    assert canvas.shape == (140, 140)
    assert found.xyxy[0].tolist() == [56, 56, 84, 84]
    assert found.names[0] == model.predict(split.image(place)).label
    assert found.confidence[0] > 0.8
