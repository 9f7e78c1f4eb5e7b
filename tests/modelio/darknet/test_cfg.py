from pathlib import Path

import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio.darknet.cfg import KEYS, parse, read_cfg
from edgecv.modelio.darknet.plan import plan

from .networks import V2, V3, conv, linear, net, pool

HERE = Path("net.cfg")
TAIL = "[softmax]\n"


def planned(text):
    return plan(parse(text, HERE))


def test_sections_and_values_as_darknet_reads_them():
    cfg = parse(
        """
        # a remark
        [net]
        ; another
        width = 4 16   # blanks are dropped, and what comes behind
        height=416
        channels=3

        [conv]
        filters = 8
        filters = 9
        activation=leaky
        [yolo]
        anchors = 10,14,  23.5,27
        scale_x_y = 1.05
        """,
        HERE,
    )
    assert cfg.net.integer("width", 0) == 416
    assert [layer.kind for layer in cfg.layers] == ["convolutional", "yolo"]
    assert cfg.layers[0].integer("filters", 1) == 8
    assert cfg.layers[0].integer("stride", 1) == 1
    assert cfg.layers[1].numbers("anchors") == (10, 14, 23.5, 27)
    assert cfg.layers[1].number("scale_x_y", 1.0) == 1.05
    assert cfg.remarks == ("net.cfg:11 [convolutional]: filters comes twice, and Darknet reads the first",)


def test_keys_of_sections():
    assert {"filters", "stride", "learning_rate"} <= KEYS["convolutional"]
    assert KEYS["avgpool"] == KEYS["cost"] - {"noobj", "ratio", "scale", "thresh", "type"}
    assert {"net", "yolo", "region", "detection", "softmax", "local", "reorg", "crop"} <= set(KEYS)


def test_unknown_keys_are_told_and_passed_over():
    (remark,) = parse(net() + "[convolutional]\nfilter=8\n", HERE).remarks
    assert remark == "net.cfg:7 [convolutional]: unknown key filter is passed over; is it filters?"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (net() + "[convolutinal]\n", UnsupportedModelError, r"net.cfg:6: a section \[convolutinal\].*\n.*did you mean"),
        (net() + "[Gaussian_yolo]\n", UnsupportedModelError, r"\[Gaussian_yolo\] cannot be imported"),
        (net() + conv(8) + "filters\n", ConfigError, "net.cfg:13: expected .section. or key=value, got 'filters'"),
        ("width=3\n", ConfigError, "net.cfg:1: expected"),
        (conv(8), UnsupportedModelError, r"does not begin with \[net\]"),
        ("", UnsupportedModelError, r"does not begin with \[net\]"),
        (net(), UnsupportedModelError, "and a layer"),
        ("[net]\nwidth=64\nheight=64\n" + conv(8), UnsupportedModelError, "an input of 64x64x0"),
        (net() + "[convolutional]\nfilters=x\n", ConfigError, r"net.cfg:6.*filters is an integer, got 'x'"),
        (net() + "[convolutional]\nfilters=99999999999\n", ConfigError, "filters is an integer"),
        (net() + "[convolutional]\nfilters=0\n", ConfigError, "an integer of at least 1, got '0'"),
        (net() + "[convolutional]\nfilters=8\nsize=99\n", UnsupportedModelError, "an output of -34x-34x8"),
        (net() + conv(8) + "groups=3\n", UnsupportedModelError, "3 groups of 3 channels and 8 filters"),
        (net() + conv(8) + "binary=1\n", UnsupportedModelError, "binary = 1 cannot be imported"),
        (net() + conv(8) + "dontload=1\n", UnsupportedModelError, "dontload = 1"),
        (net() + conv(8) + "share_index=-2\n", UnsupportedModelError, "share_index"),
        (net() + conv(8) + "[maxpool]\nsize=3\nstride=2\npadding=1\n", UnsupportedModelError, "padding = 1 of windows"),
        (net() + conv(8) + "[route]\nlayers=-2\n", UnsupportedModelError, "layers = -2 cannot be imported"),
        (net() + conv(8) + "[route]\n", UnsupportedModelError, "layers =  cannot be imported"),
        (net() + conv(8) + pool() + "[route]\nlayers=-1,-2\n", UnsupportedModelError, "maps of 32x32x8 and 64x64x8"),
        (net() + conv(8) + "[route]\nlayers=-1\ngroups=3\n", UnsupportedModelError, "group 0 of 3"),
        (net() + conv(8) + conv(8) + "[shortcut]\nfrom=-2\nalpha=.5\n", UnsupportedModelError, "alpha = .5"),
        (net() + conv(8) + pool() + conv(8) + "[upsample]\n[shortcut]\nfrom=1\n", UnsupportedModelError, "a sum of 64"),
        (net() + conv(9) + "[reorg]\nstride=2\n", UnsupportedModelError, "stride 2 on 64x64x9"),
        (net() + conv(8) + "[upsample]\nscale=2\n", UnsupportedModelError, "scale = 2"),
        (net() + conv(8) + "[local]\nsize=5\npad=1\n", UnsupportedModelError, "size = 5 with pad = 1"),
        (net() + conv(8) + "[crop]\ncrop_height=32\ncrop_width=32\n", UnsupportedModelError, "behind another layer"),
        (net(640, 640) + "[connected]\noutput=999999\n", UnsupportedModelError, "a network of .* weights"),
        (net() + "[upsample]\nstride=99999\n", UnsupportedModelError, "an output of"),
    ],
)  # fmt: skip
def test_what_is_refused(text, error, message):
    with pytest.raises(error, match=message):
        planned(text)


def test_files(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cfg(tmp_path / "missing.cfg")
    binary = tmp_path / "weights.cfg"
    binary.write_bytes(bytes([0xFF, 0xFE, 0, 1]))
    with pytest.raises(UnsupportedModelError, match="is no text"):
        read_cfg(binary)


def test_shapes_of_layers():
    shapes = [layer.shape for layer in planned(V3).layers]
    assert shapes[:2] == [(96, 64, 8), (48, 32, 8)]
    assert shapes[9:16] == [(6, 4, 16), (6, 4, 16), (3, 2, 16), (3, 2, 16), (3, 2, 8), (3, 2, 16), (3, 2, 16)]
    assert shapes[18:] == [(3, 2, 16), (3, 2, 8), (6, 4, 8), (6, 4, 24), (6, 4, 16), (6, 4, 24), (6, 4, 24)]
    assert planned(V2).layers[15].shape == (2, 3, 32)


@pytest.mark.parametrize(
    ("section", "shape"),
    [
        (pool(2, 2), (7, 5, 3)),
        (pool(3, 2), (7, 5, 3)),
        (pool(2, 1), (13, 9, 3)),
        ("[maxpool]\nsize=3\nstride=2\npadding=0\n", (6, 4, 3)),
        ("[maxpool]\nstride=3\n", (5, 3, 3)),
        (conv(4, 3, 2), (7, 5, 4)),
        (conv(4, 7, 1), (13, 9, 4)),
        ("[convolutional]\nfilters=4\nsize=3\nactivation=linear\n", (11, 7, 4)),
        ("[convolutional]\nfilters=4\nsize=2\npad=1\nactivation=linear\n", (14, 10, 4)),
        ("[convolutional]\nfilters=4\nsize=3\npad=1\nstride_x=1\nstride_y=2\nactivation=linear\n", (7, 9, 4)),
        ("[avgpool]\n", (1, 1, 3)),
        ("[local]\nfilters=4\nsize=3\nstride=2\npad=1\n", (7, 5, 4)),
        ("[connected]\noutput=6\n", (1, 1, 6)),
        ("[crop]\ncrop_height=5\ncrop_width=6\n", (5, 6, 3)),
    ],
)
def test_output_sizes(section, shape):
    """By Darknet's formulas: (n + 2 p - k) / s + 1 of convolutions, (n + p - k) / s + 1 of pools, rounded down."""
    assert planned(net(13, 9) + section).layers[0].shape == shape


def test_arrays_of_the_weights_file_in_order():
    found = planned(net(8, 8) + conv(4) + linear(6) + "[connected]\nbatch_normalize=1\noutput=5\n[local]\nfilters=2\n")
    assert [(blob.layer, blob.name, blob.shape) for blob in found.blobs] == [
        (0, "bias", (4,)), (0, "scale", (4,)), (0, "mean", (4,)), (0, "variance", (4,)), (0, "kernel", (4, 3, 3, 3)),
        (1, "bias", (6,)), (1, "kernel", (6, 4, 1, 1)),
        (2, "bias", (5,)), (2, "kernel", (5, 384)), (2, "scale", (5,)), (2, "mean", (5,)), (2, "variance", (5,)),
        (3, "bias", (2, 1, 1)), (3, "kernel", (1, 2, 5, 1, 1)),
    ]  # fmt: skip


def test_a_crop_at_the_front_is_the_size_of_the_image():
    found = planned(net(256, 256) + "[crop]\ncrop_height=224\ncrop_width=192\n" + conv(4) + "[cost]\n")
    assert (found.image, found.symmetric) == ((224, 192, 3), True)
    assert len(found.remarks) == 2
    assert not planned(net() + "[crop]\ncrop_height=32\ncrop_width=32\nnoadjust=1\n" + TAIL).symmetric
