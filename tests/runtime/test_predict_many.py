"""Many samples in their order: folders, lists, generators, stacks; colours; what objects say of themselves."""

import itertools

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core.errors import ConfigError, DataError


@pytest.fixture
def pictures():
    return np.random.default_rng(3).integers(0, 256, (12, 8, 8, 1), dtype=np.uint8)


@pytest.mark.parametrize("threads", [1, 3])
def test_lists_stacks_and_generators_keep_their_order(files, pictures, threads):
    with runtime.load(files.int8) as model:
        expected = [model.predict(image).labels for image in pictures]
        for given in (pictures, list(pictures), (image for image in pictures)):
            assert [found.labels for found in model.predict_many(given, threads=threads)] == expected
        assert model.predict(pictures[0]).labels == expected[0]  # it is open still


@pytest.mark.parametrize("threads", [1, 3])
def test_a_generator_is_read_a_few_samples_ahead(files, pictures, threads):
    taken = []

    def camera():
        for number in itertools.count():
            taken.append(number)
            yield pictures[number % len(pictures)]

    with runtime.load(files.int8) as model:
        answers = model.predict_many(camera(), threads=threads)
        for _ in range(5):
            next(answers)
        assert len(taken) <= 5 + 2 * threads
        answers.close()


def test_a_folder_is_taken_by_name(files, pictures, tmp_path):
    from PIL import Image

    for number in (2, 0, 1):
        Image.fromarray(pictures[number, ..., 0]).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not an image")
    with runtime.load(files.int8) as model:
        found = [one.labels for one in model.predict_many(tmp_path)]
        assert found == [model.predict(image).labels for image in pictures[:3]]
        with pytest.raises(ConfigError, match="no folder"):
            model.predict_many(tmp_path / "0.png")


@pytest.mark.parametrize("threads", [1, 2])
def test_a_wrong_sample_is_an_error_in_its_turn(files, pictures, threads):
    with runtime.load(files.int8) as model:
        answers = model.predict_many([pictures[0], np.zeros((8, 8, 4), np.uint8), pictures[1]], threads=threads)
        next(answers)
        with pytest.raises(DataError, match="channels"):
            next(answers)


def test_blue_first_arrays(files, tmp_path):
    from PIL import Image

    rgb = np.random.default_rng(1).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    with runtime.load(files.float32) as model:
        expected = model.predict(rgb).labels
        assert model.predict(rgb[..., ::-1], color="bgr").labels == expected
        assert model.predict(tmp_path / "a.png", color="bgr").labels == expected  # a file knows its colours
        assert model.predict(rgb[..., ::-1]).labels != expected
        with pytest.raises(ConfigError, match="unknown color 'gbr'"):
            model.predict(rgb, color="gbr")


@pytest.mark.parametrize(
    ("image", "message", "hint"),
    [
        (np.full((8, 8), 0.5, np.float32), "divided by 255 already", "(image * 255).round()"),
        (np.full((8, 8), 99.0, np.float32), "uint8, got float32", "0..255 integers"),
        (np.zeros((3, 20, 30), np.uint8), "channels first: shape (3, 20, 30)", "transpose(1, 2, 0)"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(files, image, message, hint):
    with runtime.load(files.int8) as model, pytest.raises(DataError) as caught:
        model.predict(image)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_predictor_says_what_it_is(files):
    with runtime.load(files.int8) as model:
        assert repr(model).startswith(f"<Predictor {files.int8}: ")
        assert "8x8x1" in repr(model)
        assert model.engine in repr(model)
