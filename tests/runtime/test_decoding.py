"""What files store against the pixels that are read: every kind of PNG by hand, and other formats' depths."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import DataError
from edgecv.data.sources import check_header
from edgecv.data.truths import read_mask
from edgecv.runtime.image import load_image, preprocess
from edgecv.values.specs import Head, Preprocessing, one_input

GRAY, RGB, PALETTE, GRAY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GRAY: 1, RGB: 3, PALETTE: 1, GRAY_ALPHA: 2, RGBA: 4}
# Source: PNG specification, table 11.1.
DEPTHS = {GRAY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GRAY_ALPHA: (8, 16), RGBA: (8, 16)}
KINDS = [(kind, depth) for kind, depths in DEPTHS.items() for depth in depths]
# First column and row of each pass, and the steps. Source: PNG specification, 8.2 (Adam7).
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
SHAPE = (5, 11)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def rows(values: np.ndarray, depth: int) -> bytes:
    """Pack (H, W, C) of stored values, each row with filter 0."""
    out = b""
    for row in values.reshape(len(values), -1):
        bits = "".join(format(int(value), f"0{depth}b") for value in row)
        bits += "0" * (-len(bits) % 8)
        out += b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    return out


def png(values, kind, depth, palette=None, trns=None, interlaced=False) -> bytes:
    height, width = values.shape[:2]
    parts = [values[y::dy, x::dx] for x, y, dx, dy in PASSES] if interlaced else [values]
    data = b"".join(rows(part, depth) for part in parts if part.size)
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    made = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    made += chunk(b"PLTE", palette.tobytes()) if palette is not None else b""
    made += chunk(b"tRNS", trns) if trns is not None else b""
    return made + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def stored(kind: int, depth: int, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 2**depth, (*SHAPE, CHANNELS[kind]))
    if kind in (GRAY_ALPHA, RGBA):
        values[..., -1] = 2**depth - 1
    return values


def palette_of(depth: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2**depth, 3), dtype=np.uint8)


def expected(values: np.ndarray, kind: int, depth: int) -> np.ndarray:
    """The pixels by the specification: gray of fewer bits is spread over 0..255, palettes are looked up."""
    if kind == PALETTE:
        return palette_of(depth)[values[..., 0]]
    colours = values[..., :-1] if kind in (GRAY_ALPHA, RGBA) else values
    spread = (colours * 255 // (2**depth - 1)).astype(np.uint8)
    return spread[..., 0] if kind in (GRAY, GRAY_ALPHA) else spread


def all_sources(path):
    """The ways to hand an image over: its path, and Pillow's image before and after decoding."""
    decoded = Image.open(path)
    decoded.load()
    return path, Image.open(path), decoded


@pytest.mark.parametrize("interlaced", [False, True], ids=["plain", "interlaced"])
@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_every_kind_of_png_has_its_exact_pixels_or_is_refused(tmp_path, kind, depth, interlaced):
    values = stored(kind, depth)
    path = tmp_path / "a.png"
    palette = palette_of(depth) if kind == PALETTE else None
    path.write_bytes(png(values, kind, depth, palette, interlaced=interlaced))
    for source in all_sources(path):
        if depth == 16:
            with pytest.raises(DataError, match="more than 8 bits") as caught:
                load_image(source)
            assert "round(value / 257)" in caught.value.hint
        else:
            assert np.array_equal(load_image(source), expected(values, kind, depth))


@pytest.mark.parametrize(("kind", "depth"), [(kind, depth) for kind, depth in KINDS if depth == 16])
def test_a_folder_of_16_bit_files_is_refused_at_its_header(tmp_path, kind, depth):
    (tmp_path / "deep.png").write_bytes(png(stored(kind, depth), kind, depth))
    with pytest.raises(DataError, match=r"deep\.png has more than 8 bits"):
        check_header(tmp_path / "deep.png")


@pytest.mark.parametrize("there", [True, False], ids=["seen", "unused"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_the_transparent_gray_of_a_png_counts_in_stored_values(tmp_path, depth, there):
    values = np.arange(55).reshape(*SHAPE, 1) % (2**depth - 1) if depth > 1 else np.zeros((*SHAPE, 1), int)
    clear = 2**depth - 1
    if there:
        values[2, 3] = clear
    path = tmp_path / "a.png"
    path.write_bytes(png(values, GRAY, depth, trns=struct.pack(">H", clear)))
    for source in all_sources(path):
        if there:
            with pytest.raises(DataError, match="transparent"):
                load_image(source)
        else:
            assert np.array_equal(load_image(source), expected(values, GRAY, depth))


def test_a_gray_that_only_looks_like_the_transparent_one_is_read(tmp_path):
    # Of 4 bits, 1 is decoded to 17: a pixel that is decoded to 1 there is none, and 17 is transparent.
    path = tmp_path / "a.png"
    path.write_bytes(png(np.array([[[0], [2]]]), GRAY, 4, trns=b"\0\1"))
    assert load_image(path).tolist() == [[0, 34]]
    path.write_bytes(png(np.array([[[0], [1]]]), GRAY, 4, trns=b"\0\1"))
    with pytest.raises(DataError, match="transparent"):
        load_image(path)


def test_the_transparent_colour_of_a_png(tmp_path):
    values, path = stored(RGB, 8), tmp_path / "a.png"
    clear = values[1, 2]
    # Only the low byte of each value counts in 8 bits.
    path.write_bytes(png(values, RGB, 8, trns=struct.pack(">HHH", *(256 + clear))))
    for source in all_sources(path):
        with pytest.raises(DataError, match="transparent"):
            load_image(source)
    other = clear.copy()
    other[0] = next(red for red in range(256) if not (values == [red, *clear[1:]]).all(axis=2).any())
    path.write_bytes(png(values, RGB, 8, trns=struct.pack(">HHH", *other)))
    for source in all_sources(path):
        assert np.array_equal(load_image(source), values)


@pytest.mark.parametrize(("alpha", "refused"), [(b"\xff\xff\x00", False), (b"\xff\x80", True), (b"\xff\xff", False)])
def test_the_transparent_entries_of_a_palette(tmp_path, alpha, refused):
    values, path = np.array([[[0], [1]]]), tmp_path / "a.png"
    path.write_bytes(png(values, PALETTE, 2, palette_of(2), trns=alpha))
    for source in all_sources(path):
        if refused:
            with pytest.raises(DataError, match="transparent"):
                load_image(source)
        else:
            assert np.array_equal(load_image(source), palette_of(2)[[[0, 1]]])


@pytest.mark.parametrize("kind", [GRAY_ALPHA, RGBA])
def test_alpha_below_opaque_is_refused(tmp_path, kind):
    values = stored(kind, 8)
    values[0, 0, -1] = 254
    (tmp_path / "a.png").write_bytes(png(values, kind, 8))
    for source in all_sources(tmp_path / "a.png"):
        with pytest.raises(DataError, match="transparent"):
            load_image(source)


def tiff(values: np.ndarray, order: str = "<", sample_format: int = 1, photometric: int | None = None) -> bytes:
    """One strip without compression."""
    height, width, channels = values.shape
    bits = values.dtype.itemsize * 8
    data = values.astype(values.dtype.newbyteorder(order)).tobytes()
    photometric = photometric if photometric is not None else {1: 1, 3: 2, 4: 5}[channels]
    count, at = 10, 8 + 2 + 10 * 12 + 4
    wide = lambda value: struct.pack(order + "H", value) * channels  # noqa: E731
    tags, after = [], b""
    for tag, kind, values_of in (
        (256, 3, [width]), (257, 3, [height]), (258, 3, [bits] * channels), (259, 3, [1]), (262, 3, [photometric]),
        (273, 4, [at + 2 * len(wide(0))]), (277, 3, [channels]), (278, 3, [height]), (279, 4, [len(data)]),
        (339, 3, [sample_format] * channels),
    ):  # fmt: skip
        packed = b"".join(struct.pack(order + ("H" if kind == 3 else "I"), value) for value in values_of)
        if len(packed) > 4:
            packed, after = struct.pack(order + "I", at + len(after)), after + packed.ljust(len(wide(0)), b"\0")
        tags.append(struct.pack(order + "HHI", tag, kind, len(values_of)) + packed.ljust(4, b"\0"))
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(order + "IH", 8, count) + b"".join(tags) + struct.pack(order + "I", 0)
    return head + after.ljust(2 * len(wide(0)), b"\0") + data


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_8_bits_is_read_and_of_16_refused(tmp_path, order, channels):
    values = np.random.default_rng(0).integers(0, 256, (*SHAPE, channels), dtype=np.uint8)
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(values, order))
    want = values[..., 0] if channels == 1 else values
    if channels == 4:
        black = 255 - values[..., 3:].astype(int)
        want = np.clip(black - np.rint(values[..., :3] * black / 255), 0, 255)
    for source in all_sources(path):
        assert np.abs(load_image(source).astype(int) - want).max() <= (channels == 4)
    path.write_bytes(tiff(values.astype(np.uint16) * 257, order))
    for source in all_sources(path):
        with pytest.raises(DataError, match="more than 8 bits"):
            load_image(source)


def test_compressed_16_bit_tiff_is_refused(tmp_path):
    plain = Image.fromarray(np.arange(55, dtype=np.uint16).reshape(SHAPE) * 1000)
    plain.save(tmp_path / "a.tif", compression="tiff_lzw")
    for source in all_sources(tmp_path / "a.tif"):
        with pytest.raises(DataError, match="more than 8 bits"):
            load_image(source)


def test_signed_and_floating_tiff_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(np.array([[[-1], [1]]], np.int8), sample_format=2))
    with pytest.raises(DataError, match="signed"):
        load_image(path)
    path.write_bytes(tiff(np.array([[[0.5], [1.0]]], np.float32), sample_format=3))
    with pytest.raises(DataError, match="floating"):
        load_image(path)


def test_a_tiff_whose_white_is_zero_is_turned(tmp_path):
    values = np.arange(55, dtype=np.uint8).reshape(*SHAPE, 1)
    (tmp_path / "a.tif").write_bytes(tiff(values, photometric=0))
    assert np.array_equal(load_image(tmp_path / "a.tif"), 255 - values[..., 0])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff_and_png_are_shown_upright_and_their_header_says_so(tmp_path, orientation):
    pixels = np.arange(SHAPE[0] * SHAPE[1], dtype=np.uint8).reshape(SHAPE)
    upright = {
        1: pixels, 2: pixels[:, ::-1], 3: pixels[::-1, ::-1], 4: pixels[::-1], 5: pixels.T, 6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].T, 8: np.rot90(pixels),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.png", "a.tif"):
        Image.fromarray(pixels).save(tmp_path / name, exif=exif)
        assert np.array_equal(load_image(tmp_path / name), upright)
        assert check_header(tmp_path / name) == upright.shape


@pytest.mark.parametrize(("maxval", "refused"), [(15, False), (255, False), (1023, True), (65535, True)])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_netpbm_counts_up_to_its_highest_value(tmp_path, kind, maxval, refused):
    channels = 3 if kind in ("P3", "P6") else 1
    values = np.random.default_rng(0).integers(0, maxval + 1, (*SHAPE, channels))
    body = values.astype(">u2" if maxval > 255 else "u1").tobytes()
    if kind in ("P2", "P3"):
        body = " ".join(map(str, values.ravel())).encode()
    path = tmp_path / ("a.ppm" if channels == 3 else "a.pgm")
    path.write_bytes(f"{kind}\n{SHAPE[1]} {SHAPE[0]}\n{maxval}\n".encode() + body)
    for source in all_sources(path):
        if refused:
            with pytest.raises(DataError, match="more than 8 bits"):
                load_image(source)
        else:
            want = np.rint(values * 255 / maxval).astype(np.uint8)
            assert np.array_equal(load_image(source), want if channels == 3 else want[..., 0])


def sgi(values: np.ndarray) -> bytes:
    height, width, channels = values.shape
    size = values.dtype.itemsize
    head = struct.pack(">hBBHHHHII", 474, 0, size, 3 if channels > 1 else 2, width, height, channels, 0, 255)
    planes = values[::-1].transpose(2, 0, 1).astype(values.dtype.newbyteorder(">"))
    return head.ljust(512, b"\0") + planes.tobytes()


@pytest.mark.parametrize("channels", [1, 3])
def test_sgi_of_16_bits_is_refused(tmp_path, channels):
    values = np.random.default_rng(0).integers(0, 256, (*SHAPE, channels), dtype=np.uint8)
    (tmp_path / "a.sgi").write_bytes(sgi(values))
    assert np.array_equal(load_image(tmp_path / "a.sgi"), values if channels == 3 else values[..., 0])
    (tmp_path / "a.sgi").write_bytes(sgi(values.astype(np.uint16) * 257))
    for source in all_sources(tmp_path / "a.sgi"):
        with pytest.raises(DataError, match="more than 8 bits"):
            load_image(source)


def test_jpeg_2000_is_judged_by_the_depth_of_its_components(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    for name in ("a.jp2", "a.j2k"):
        path = tmp_path / name
        Image.fromarray(pixels).save(path, irreversible=False)
        assert np.array_equal(load_image(path), pixels)
        data = bytearray(path.read_bytes())
        sizes = data.find(b"\xff\x4f\xff\x51") + 42
        data[sizes : sizes + 9 : 3] = bytes([11] * 3)  # 12 bits each
        path.write_bytes(data)
        for source in (path, Image.open(path), Image.open(io.BytesIO(bytes(data)))):
            with pytest.raises(DataError, match="12 bits per channel"):
                load_image(source)


def test_avif_is_judged_by_its_configuration(tmp_path):
    from PIL import features

    if not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = tmp_path / "a.avif"
    Image.new("RGB", (16, 16), (10, 200, 30)).save(path, quality=100)
    assert np.abs(load_image(path).astype(int) - (10, 200, 30)).max() <= 3
    # Pillow writes 8 bits only: a file that says 10 takes the place of one that is open already.
    opened, data = Image.open(path), bytearray(path.read_bytes())
    for flags, bits in ((0x40, 10), (0x60, 12)):
        data[data.find(b"av1C") + 6] |= flags
        path.write_bytes(data)
        with pytest.raises(DataError, match=f"{bits} bits per channel"):
            load_image(opened)


def test_high_colour_bmp_has_16_bits_a_pixel_not_a_channel(tmp_path):
    # 5-5-5 without compression, one pixel of pure green, rows of 4 bytes.
    body = struct.pack("<HH", 31 << 5, 0)
    info = struct.pack("<IiiHHIIiiII", 40, 1, 1, 1, 16, 0, len(body), 0, 0, 0, 0)
    (tmp_path / "a.bmp").write_bytes(struct.pack("<2sIHHI", b"BM", 54 + len(body), 0, 0, 54) + info + body)
    assert load_image(tmp_path / "a.bmp").tolist() == [[[0, 255, 0]]]


class TestModes:
    @pytest.mark.parametrize("mode", ["I", "F", "I;16", "I;16B", "I;16L"])
    def test_deep_modes_are_refused(self, mode):
        with pytest.raises(DataError, match="more than 8 bits"):
            load_image(Image.new(mode, (2, 2)))

    def test_gray_with_opaque_alpha_is_gray(self):
        gray = np.arange(6, dtype=np.uint8).reshape(2, 3) * 40
        image = Image.merge("LA", (Image.fromarray(gray), Image.new("L", (3, 2), 255)))
        assert np.array_equal(load_image(image), gray)
        assert np.array_equal(load_image(image.convert("La")), gray)
        image.putpixel((0, 0), (0, 100))
        for given in (image, image.convert("La")):
            with pytest.raises(DataError, match="transparent"):
                load_image(given)

    def test_palette_with_alpha(self):
        image = Image.new("P", (2, 1))
        image.putpalette([1, 2, 3, 200, 150, 100])
        image.putpixel((1, 0), 1)
        opaque = image.convert("PA")
        assert load_image(opaque).tolist() == [[[1, 2, 3], [200, 150, 100]]]
        opaque.putpixel((0, 0), (0, 7))
        with pytest.raises(DataError, match="transparent"):
            load_image(opaque)

    def test_premultiplied_alpha(self):
        pixels = np.dstack([np.arange(12, dtype=np.uint8).reshape(2, 2, 3), np.full((2, 2), 255, np.uint8)])
        assert np.array_equal(load_image(Image.fromarray(pixels).convert("RGBa")), pixels[..., :3])
        pixels[0, 0, 3] = 128
        with pytest.raises(DataError, match="transparent"):
            load_image(Image.fromarray(pixels).convert("RGBa"))

    def test_cmyk_by_hand(self):
        image = Image.new("CMYK", (2, 1))
        image.putpixel((0, 0), (255, 0, 0, 0))  # cyan
        image.putpixel((1, 0), (0, 0, 0, 255))  # black
        assert load_image(image).tolist() == [[[0, 255, 255], [0, 0, 0]]]

    def test_ycbcr(self):
        assert np.abs(load_image(Image.new("YCbCr", (1, 1), (76, 85, 255))).astype(int) - (254, 0, 0)).max() <= 1

    def test_an_image_that_pillow_cannot_convert_is_refused_by_name(self, monkeypatch):
        def refuse(*_, **__):
            raise ValueError("conversion not supported")

        image = Image.new("CMYK", (2, 2))
        monkeypatch.setattr(Image.Image, "convert", refuse)
        with pytest.raises(DataError, match="image cannot be read as an image: conversion not supported"):
            load_image(image)


@pytest.mark.parametrize("colour", [(255, 0, 0, 0), (0, 255, 0, 64), (30, 60, 90, 120)])
def test_cmyk_jpeg_of_adobe_is_turned(tmp_path, colour):
    Image.new("CMYK", (16, 16), colour).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    cyan, magenta, yellow, black = colour
    want = [(255 - ink) * (255 - black) / 255 for ink in (cyan, magenta, yellow)]
    assert np.abs(load_image(tmp_path / "a.jpg")[8, 8] - np.array(want)).max() <= 3


def test_ycck_jpeg(tmp_path):
    """An APP14 of transform 2 says that the first three channels are YCC of the inverted inks."""
    red, green, blue, black = 200, 100, 50, 30
    ycc = Image.new("RGB", (16, 16), (red, green, blue)).convert("YCbCr").getpixel((0, 0))
    # Pillow stores 255 - x of each channel, as Adobe does; the decoder makes inks of the stored values.
    stored_values = tuple(255 - value for value in (*ycc, 255 - black))
    Image.new("CMYK", (16, 16), stored_values).save(tmp_path / "a.jpg", quality=100, subsampling=0)
    data = bytearray((tmp_path / "a.jpg").read_bytes())
    at = data.find(b"Adobe")
    assert data[at + 11] == 0
    data[at + 11] = 2
    (tmp_path / "a.jpg").write_bytes(data)
    opened = Image.open(tmp_path / "a.jpg")
    inks = np.array(opened)[8, 8].astype(int)
    want = (255 - inks[:3]) * (255 - inks[3]) / 255
    assert np.abs(load_image(tmp_path / "a.jpg")[8, 8] - want).max() <= 1
    assert inks.tolist() == pytest.approx([red, green, blue, black], abs=3) or inks.tolist() == pytest.approx(
        [255 - red, 255 - green, 255 - blue, black], abs=3
    )


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_gray_mask_has_the_indices_that_it_stores(tmp_path, depth):
    values = stored(GRAY, depth)
    (tmp_path / "m.png").write_bytes(png(values, GRAY, depth))
    assert np.array_equal(read_mask(tmp_path / "m.png"), values[..., 0])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_a_palette_mask_has_its_indices(tmp_path, depth):
    values = stored(PALETTE, depth)
    (tmp_path / "m.png").write_bytes(png(values, PALETTE, depth, palette_of(depth), trns=b"\0"))
    assert np.array_equal(read_mask(tmp_path / "m.png"), values[..., 0])


def test_the_input_tensor_of_shallow_gray(tmp_path):
    spec = one_input(
        name="m", input_shape=(1, 4, 1), preprocessing=Preprocessing(color="gray", mean=(0.0,), std=(255.0,)),
        heads=(Head(name="class", task="classification", activation="probabilities"),),
    )  # fmt: skip
    (tmp_path / "a.png").write_bytes(png(np.arange(4).reshape(1, 4, 1), GRAY, 2))
    assert preprocess(load_image(tmp_path / "a.png"), spec).ravel() == pytest.approx([0, 1 / 3, 2 / 3, 1])
