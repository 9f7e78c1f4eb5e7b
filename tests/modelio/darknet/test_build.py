"""Layers against Darknet's own loops, written out in numpy: what OpenCV cannot read, and what tests need without it."""

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.darknet import import_darknet
from edgecv.tasks.detection.decoders import candidates
from edgecv.tasks.detection.settings import settings_of

from .networks import V2, V3, conv, linear, net, pool, written

RNG = np.random.default_rng(3)


def inner(found, name):
    """The model up to a layer."""
    return env.keras().Model(found.model.inputs, found.model.get_layer(name).output)


def imported(folder, text, **options):
    cfg, file, arrays = written(folder, text)
    found = import_darknet(cfg, file, **options)
    image = RNG.random((1, *found.spec.input_shape), dtype=np.float32)
    return found, arrays, image


def leaky(x):
    return np.where(x > 0, x, 0.1 * x)


def convolved(x, kernel, stride, pad):
    """(c, h, w) by (n, c, k, k), Darknet's zeros."""
    size = kernel.shape[-1]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = ((side - size) // stride + 1 for side in x.shape[1:])
    out = np.empty((len(kernel), rows, columns))
    for row in range(rows):
        for column in range(columns):
            window = x[:, row * stride : row * stride + size, column * stride : column * stride + size]
            out[:, row, column] = np.einsum("chw,nchw->n", window, kernel)
    return out


def normalised(x, arrays, layer):
    scale, bias, mean, variance = (arrays[layer, name] for name in ("scale", "bias", "mean", "variance"))
    wide = (slice(None),) + (None,) * (x.ndim - 1)
    return (x - mean[wide]) / np.sqrt(variance[wide] + 1e-5) * scale[wide] + bias[wide]


def test_a_strided_convolution_with_batch_normalisation(tmp_path):
    found, arrays, image = imported(tmp_path, net(12, 9) + conv(4, 3, 2) + linear(3) + "[avgpool]\n[softmax]\n")
    wanted = leaky(normalised(convolved(image[0].transpose(2, 0, 1), arrays[0, "kernel"], 2, 1), arrays, 0))
    assert inner(found, "conv0_act")(image).numpy()[0].transpose(2, 0, 1) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize(
    ("size", "stride", "padding"), [(2, 2, 1), (3, 2, 2), (2, 1, 1), (3, 1, 2), (3, 2, 0), (5, 3, 4)]
)
@pytest.mark.parametrize("sides", [(12, 8), (13, 9)])
def test_pools(size, stride, padding, sides, tmp_path):
    """forward_maxpool_layer of src/maxpool_layer.c."""
    text = net(*sides) + conv(4) + f"[maxpool]\nsize={size}\nstride={stride}\npadding={padding}\n" + conv(4)
    found, _, image = imported(tmp_path, text)
    x = inner(found, "conv0_act")(image).numpy()[0]
    rows, columns = ((side + padding - size) // stride + 1 for side in sides)
    wanted = np.empty((rows, columns, 4), np.float32)
    for row in range(rows):
        for column in range(columns):
            top, left = row * stride - padding // 2, column * stride - padding // 2
            window = x[max(0, top) : top + size, max(0, left) : left + size]
            wanted[row, column] = window.max(axis=(0, 1))
    assert (inner(found, "maxpool1")(image).numpy()[0] == wanted).all()
    assert wanted.min() < 0 or size > 2


def test_reorg_as_darknet_has_it(tmp_path):
    """reorg_cpu of src/blas.c with forward = 0, on the memory of (c, h, w)."""
    found, _, image = imported(tmp_path, net(4, 6) + conv(8) + "[reorg]\nstride=2\n" + conv(2))
    x = inner(found, "conv0_act")(image).numpy()[0].transpose(2, 0, 1)
    channels, height, width = x.shape
    memory, out, stride, out_c = x.reshape(-1), np.empty(x.size, np.float32), 2, channels // 4
    for k in range(channels):
        for j in range(height):
            for i in range(width):
                c2, offset = k % out_c, k // out_c
                w2, h2 = i * stride + offset % stride, j * stride + offset // stride
                out[i + width * (j + height * k)] = memory[w2 + width * stride * (h2 + height * stride * c2)]
    wanted = out.reshape(channels * 4, height // 2, width // 2).transpose(1, 2, 0)
    assert (inner(found, "reorg1")(image).numpy()[0] == wanted).all()


@pytest.mark.parametrize("layers", [conv(8) + conv(12, 3, 2), conv(12) + conv(8, 3, 1), conv(8) + conv(12)])
def test_sums_of_other_shapes(layers, tmp_path):
    """shortcut_cpu of src/blas.c: every n-th value, and as many channels as both have."""
    found, _, image = imported(tmp_path, net(8, 8) + layers + "[shortcut]\nfrom=-2\nactivation=leaky\n" + conv(2))
    first, second = (inner(found, f"conv{place}_act")(image).numpy()[0] for place in (0, 1))
    wanted, step = second.copy(), first.shape[0] // second.shape[0]
    both = min(first.shape[2], second.shape[2])
    wanted[..., :both] += first[::step, ::step, :both]
    assert inner(found, "shortcut2_act")(image).numpy()[0] == pytest.approx(leaky(wanted), abs=1e-6)


def test_routes_of_groups(tmp_path):
    found, _, image = imported(
        tmp_path, net(4, 4) + conv(8) + conv(4) + "[route]\nlayers=0,-1\ngroups=2\ngroup_id=1\n" + conv(2)
    )
    first, second = (inner(found, f"conv{place}_act")(image).numpy()[0] for place in (0, 1))
    wanted = np.concatenate([first[..., 4:], second[..., 2:]], axis=-1)
    assert (inner(found, "route2")(image).numpy()[0] == wanted).all()


def test_dense_layers_read_maps_channel_by_channel(tmp_path):
    text = net(6, 4) + conv(5) + "[connected]\noutput=7\nbatch_normalize=1\nactivation=leaky\n[softmax]\n"
    found, arrays, image = imported(tmp_path, text)
    x = inner(found, "conv0_act")(image).numpy()[0].transpose(2, 0, 1).reshape(-1)
    wanted = leaky(normalised(arrays[1, "kernel"] @ x, arrays, 1))
    assert inner(found, "connected1_act")(image).numpy()[0] == pytest.approx(wanted, abs=1e-4)
    assert found.model(image).numpy().sum() == pytest.approx(1, abs=1e-5)


def test_local_layers_have_weights_of_their_own_at_every_place(tmp_path):
    """forward_local_layer of src/local_layer.c."""
    text = net(5, 4) + conv(3) + "[local]\nfilters=2\nsize=3\nstride=1\npad=1\nactivation=leaky\n[dropout]\n" + conv(2)
    found, arrays, image = imported(tmp_path, text)
    x = np.pad(inner(found, "conv0_act")(image).numpy()[0], ((1, 1), (1, 1), (0, 0))).transpose(2, 0, 1)
    kernel, bias = arrays[1, "kernel"], arrays[1, "bias"]
    wanted = np.empty((5, 4, 2))
    for row in range(5):
        for column in range(4):
            window = x[:, row : row + 3, column : column + 3]
            wanted[row, column] = np.einsum("chw,nchw->n", window, kernel[row * 4 + column]) + bias[:, row, column]
    assert inner(found, "local1_act")(image).numpy()[0] == pytest.approx(leaky(wanted), abs=1e-5)


@pytest.mark.parametrize("text", [V3, V2])
def test_heads_divide_the_last_convolution(text, tmp_path):
    """Boxes and scores are the rows of Darknet's one convolution: x, y, w, h, objectness, classes of each anchor."""
    found, arrays, image = imported(tmp_path, text)
    ends = [layer for layer in found.plan.layers if layer.kind in ("yolo", "region")]
    for place, end in enumerate(ends):
        kernel, bias = (arrays[end.index - 1, name] for name in ("kernel", "bias"))
        model = found.model
        own = model.get_layer(f"boxes_{place}")
        x = env.keras().Model(model.inputs, own.input)(image).numpy()[0]
        whole = x.reshape(-1, x.shape[-1]) @ kernel[:, :, 0, 0].T + bias
        anchors = len(settings_of(found.spec.head).anchors[place])
        whole = whole.reshape(-1, anchors, 8)
        boxes, scores = (tensor.numpy()[0] for tensor in model(image)[2 * place : 2 * place + 2])
        assert boxes.reshape(-1, anchors, 4) == pytest.approx(whole[..., :4], abs=1e-5)
        assert scores.reshape(-1, anchors, 4) == pytest.approx(whole[..., 4:], abs=1e-5)


def test_contract_of_yolo(tmp_path):
    found, _, _ = imported(
        tmp_path, V3.replace("ignore_thresh", "scale_x_y=1.1\nignore_thresh", 1), labels=("a", "b", "c")
    )
    spec, settings = found.spec, settings_of(found.spec.head)
    assert (spec.name, spec.input_shape, spec.labels) == ("net", (96, 64, 3), ("a", "b", "c"))
    assert (spec.preprocessing.resize, spec.preprocessing.pad_value, spec.preprocessing.color) == (
        "letterbox",
        127,
        "rgb",
    )
    assert (spec.preprocessing.mean, spec.preprocessing.std) == ((0.0,) * 3, (255.0,) * 3)
    assert settings.anchors == (((81, 82), (35, 69), (44, 19)), ((10, 14), (23, 27), (37, 58)))
    assert (settings.strides, settings.scale_xy) == ((32.0, 16.0), (1.1, 1.0))
    assert (settings.decoder, settings.iou, settings.ignore_iou) == ("yolo_v3", 0.45, 0.7)
    assert spec.head.outputs == ("boxes_0", "scores_0", "boxes_1", "scores_1")
    assert found.header.seen == 32013312
    (remark,) = found.remarks
    assert "images are padded, as Darknet does" in remark
    assert imported(tmp_path, V3)[0].remarks == ()
    stretched, _, _ = imported(tmp_path, V3.replace("channels=3", "channels=3\nletter_box=0"))
    assert stretched.spec.preprocessing.resize == "stretch"


def test_contract_of_region(tmp_path):
    settings = settings_of(imported(tmp_path, V2)[0].spec.head)
    assert (settings.decoder, settings.strides) == ("yolo_v2", (32.0,))
    assert settings.anchors[0][0] == pytest.approx((0.57 * 32, 0.68 * 32))
    logistic = V2.replace("softmax=1", "softmax=0")
    assert settings_of(imported(tmp_path, logistic)[0].spec.head).decoder == "yolo_v3"


def test_a_tree_of_classes(tmp_path):
    text = V2 + "tree=data/some.tree\n"
    with pytest.raises(ConfigError, match=r"the tree data/some\.tree is neither beside"):
        imported(tmp_path, text)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "some.tree").write_text("animal -1\ndog 0\ncat 0\n")
    found, _, image = imported(tmp_path, text)
    settings = settings_of(found.spec.head)
    assert (settings.decoder, settings.parents, found.spec.labels) == (
        "yolo_tree",
        (-1, 0, 0),
        ("animal", "dog", "cat"),
    )
    outputs = [tensor.numpy()[0] for tensor in found.model(image)]
    told = candidates(outputs, found.spec.head, settings, (64, 96), 0.0)
    assert len(told.confidence) == 30


def test_yolo_v1(tmp_path):
    """Outputs are parts of Darknet's one dense layer, in its order."""
    head = "[detection]\nclasses=3\ncoords=4\nside=2\nnum=2\nsqrt=1\n"
    text = net(16, 16) + conv(4) + pool(4, 4) + "[connected]\noutput=52\nactivation=linear\n" + head
    found, arrays, image = imported(tmp_path, text)
    x = inner(found, "maxpool1")(image).numpy()[0].transpose(2, 0, 1).reshape(-1)
    whole = arrays[2, "kernel"] @ x + arrays[2, "bias"]
    outputs = [tensor.numpy()[0] for tensor in found.model(image)]
    assert [len(output) for output in outputs] == [12, 8, 32]
    assert np.concatenate(outputs) == pytest.approx(whole, abs=1e-4)
    settings = settings_of(found.spec.head)
    assert (settings.decoder, settings.cell_boxes, settings.sqrt, settings.strides) == ("yolo_v1", 2, True, (8.0,))
    with pytest.raises(UnsupportedModelError, match="take 52 outputs, got 50"):
        imported(tmp_path, text.replace("output=52", "output=50"))


def test_classifiers(tmp_path):
    text = net(32, 32) + conv(4) + linear(5) + "[avgpool]\n[softmax]\n[cost]\n"
    found, _, image = imported(tmp_path, text, labels=tuple("abcde"))
    assert (found.spec.head.name, found.spec.head.activation) == ("output", "probabilities")
    assert (found.spec.labels, found.spec.preprocessing.resize) == (tuple("abcde"), "center_crop")
    assert found.model(image).shape == (1, 5)
    bare, _, _ = imported(tmp_path, net(32, 32, 1) + conv(4) + "[avgpool]\n[connected]\noutput=5\nactivation=linear\n")
    assert bare.spec.head.activation == "logits"
    assert bare.spec.preprocessing.color == "gray"
    symmetric, _, _ = imported(
        tmp_path, net() + "[crop]\ncrop_height=32\ncrop_width=32\n" + conv(4) + "[avgpool]\n[softmax]\n"
    )
    assert symmetric.spec.preprocessing.mean == (127.5,) * 3
    assert symmetric.spec.input_shape == (32, 32, 3)


def test_without_weights_they_are_random_and_said_so(tmp_path):
    cfg, _, _ = written(tmp_path, V2)
    first, again, other = (import_darknet(cfg, seed=seed) for seed in (1, 1, 2))
    same = [(a == b).all() for a, b in zip(first.model.get_weights(), again.model.get_weights(), strict=True)]
    assert all(same)
    assert (first.model.get_weights()[0] != other.model.get_weights()[0]).any()
    assert first.remarks == ("there is no weights file: the weights are random",)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (V3.replace("filters=24", "filters=21", 1), UnsupportedModelError, "classes take 24 filters, got 21"),
        (V3.replace("classes=3", "classes=4", 1), UnsupportedModelError, "heads of 3 and 4 classes"),
        (V3.replace("mask = 3,4,5", "mask = 3,4,6"), ConfigError, "mask is numbers of the 6 anchors"),
        (V3.replace("num=6", "num=7"), ConfigError, "anchors is widths and heights of 7 anchors"),
        (V3.replace("num=6", "num=6\nnew_coords=1"), UnsupportedModelError, "new_coords = 1"),
        (V3.replace("height=96", "height=90"), UnsupportedModelError, "maps of|cells of"),
        (V2.replace("coords=4", "coords=5"), UnsupportedModelError, "coords = 5"),
        (V2.replace("activation=linear", "activation=relu"), UnsupportedModelError, "expected a linear"),
        (V2.replace("[region]", "[dropout]\n[region]"), UnsupportedModelError, "in front of it, got dropout"),
        (V2 + pool(), UnsupportedModelError, r"an answer that \[maxpool\] goes on with"),
        (net() + conv(4) + "[softmax]\n", UnsupportedModelError, "a softmax of"),
        (net() + conv(4).replace("leaky", "hard_mish") + "[avgpool]\n", UnsupportedModelError, "'hard_mish' cannot"),
        (net(channels=4) + conv(4) + "[avgpool]\n[softmax]\n", UnsupportedModelError, "images of 4 channels"),
    ],
)  # fmt: skip
def test_what_is_refused(text, error, message, tmp_path):
    with pytest.raises(error, match=message):
        imported(tmp_path, text)


def test_labels_are_as_many_as_classes(tmp_path):
    with pytest.raises(ConfigError, match="2 labels for 3 classes"):
        imported(tmp_path, V3, labels=("a", "b"))
    with pytest.raises(ConfigError, match="2 labels for 5 outputs"):
        imported(tmp_path, net(32, 32) + linear(5) + "[avgpool]\n[softmax]\n", labels=("a", "b"))
