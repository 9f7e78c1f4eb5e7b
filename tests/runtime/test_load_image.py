from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, DataError
from edgecv.runtime.image import load_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def test_file_array_and_pil_agree(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    np.save(tmp_path / "a.npy", RGB)
    for source in (tmp_path / "a.png", str(tmp_path / "a.png"), tmp_path / "a.npy", RGB, Image.fromarray(RGB)):
        assert np.array_equal(load_image(source), RGB)


def test_gray_has_two_axes(tmp_path):
    gray = RGB[:, :, 0]
    Image.fromarray(gray).save(tmp_path / "g.png")
    for source in (tmp_path / "g.png", gray, gray[:, :, None], Image.fromarray(gray)):
        assert np.array_equal(load_image(source), gray)


def test_palette_becomes_rgb():
    image = Image.fromarray(RGB).quantize(256)
    assert np.array_equal(load_image(image), np.asarray(image.convert("RGB")))


def test_bilevel_becomes_black_and_white():
    assert load_image(Image.new("1", (2, 2), 1)).tolist() == [[255, 255], [255, 255]]


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn 90 degrees clockwise to show upright
    Image.fromarray(RGB).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(load_image(tmp_path / "turned.png"), np.rot90(RGB, -1))


def test_opaque_alpha_is_dropped_and_a_transparent_one_refused():
    opaque = np.dstack([RGB, np.full((6, 4), 255, np.uint8)])
    assert np.array_equal(load_image(Image.fromarray(opaque)), RGB)
    opaque[0, 0, 3] = 254
    with pytest.raises(DataError, match="transparent"):
        load_image(Image.fromarray(opaque))


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_more_than_8_bits_is_refused(mode):
    with pytest.raises(DataError, match="8 bits"):
        load_image(Image.new(mode, (2, 2)))


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
@pytest.mark.parametrize("name", ["x.png", "x.npy"])
def test_a_corrupt_file_is_named(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=name):
        load_image(tmp_path / name)


def test_a_truncated_file_is_named(tmp_path):
    Image.fromarray(np.kron(RGB, np.ones((20, 20, 1), np.uint8))).save(tmp_path / "t.jpg")
    data = (tmp_path / "t.jpg").read_bytes()
    (tmp_path / "t.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"t\.jpg"):
        load_image(tmp_path / "t.jpg")


def test_an_array_file_with_wrong_channels_is_named(tmp_path):
    np.save(tmp_path / "four.npy", np.zeros((2, 2, 4), np.uint8))
    with pytest.raises(DataError, match=r"four\.npy: expected an image of 1 or 3 channels"):
        load_image(tmp_path / "four.npy")


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_image(tmp_path / "none.png")
    with pytest.raises(ConfigError, match="folder"):
        load_image(tmp_path)
