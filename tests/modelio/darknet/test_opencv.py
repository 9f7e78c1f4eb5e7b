"""Imported networks against OpenCV's own reader of Darknet's files. OpenCV 5 has none."""

import numpy as np
import pytest

from edgecv.modelio.darknet import import_darknet
from edgecv.tasks.detection.decoders import candidates
from edgecv.tasks.detection.settings import settings_of

from .networks import V2, V3, conv, linear, net, pool, written

cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference")
if not hasattr(getattr(cv2, "dnn", None), "readNetFromDarknet"):
    pytest.skip("this OpenCV reads no Darknet files: it takes opencv-python-headless>=4.14,<5", allow_module_level=True)

HIDDEN = 0.2
"""Scores below it are 0 in OpenCV's answers."""


def answers(cfg, weights, image):
    """What OpenCV says of an image (H, W, 3)."""
    network = cv2.dnn.readNetFromDarknet(str(cfg), str(weights))
    network.setInput(np.ascontiguousarray(image.transpose(2, 0, 1)[None]))
    return network.forward(network.getUnconnectedOutLayersNames())


@pytest.mark.parametrize("text", [V3, V3.replace("num=6", "num=6\nscale_x_y=1.3"), V2], ids=["yolo", "v4", "region"])
@pytest.mark.parametrize("variance", [(0.5, 1.5), (1e-4, 1e-3)], ids=["usual", "small"])
def test_boxes_and_scores(text, variance, tmp_path):
    """Small variances tell apart what is added under the root of batch normalisation."""
    cfg, weights, _ = written(tmp_path, text, variance=variance)
    found = import_darknet(cfg, weights)
    height, width = found.spec.input_shape[:2]
    image = np.random.default_rng(1).random((height, width, 3), dtype=np.float32)
    ours = [tensor.numpy()[0] for tensor in found.model(image[None])]
    theirs = np.concatenate([rows.reshape(-1, 8) for rows in answers(cfg, weights, image)])
    head = found.spec.head
    told = candidates(ours, head, settings_of(head), (height, width), 0.0)
    boxes = told.xyxy.reshape(-1, 3, 4)[:, 0] / np.array([width, height] * 2)
    sides = boxes[:, 2:] - boxes[:, :2]
    centres = (boxes[:, 2:] + boxes[:, :2]) / 2
    assert len(theirs) == len(boxes) > 20
    assert centres == pytest.approx(theirs[:, :2], abs=1e-4)
    assert sides == pytest.approx(theirs[:, 2:4], rel=1e-3, abs=1e-4)
    scores = told.confidence.reshape(-1, 3)
    shown = theirs[:, 5:] > 0
    assert scores[shown] == pytest.approx(theirs[:, 5:][shown], abs=1e-3)
    assert shown.sum() >= 4
    if text is not V2:  # a [region] of OpenCV's drops overlapping boxes too
        assert (scores[~shown] < HIDDEN + 1e-3).all()


@pytest.mark.parametrize(
    "layers",
    [
        conv(8) + pool(3, 2) + conv(8, 3, 2) + conv(6, 1) + "[avgpool]\n",
        conv(8) + pool() + "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\ngroups=4\nactivation=relu\n",
        conv(8) + "[reorg]\nstride=2\n",
        conv(8) + "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + conv(4, 1),
        conv(8) + "[maxpool]\nsize=5\nstride=1\n" + conv(8, 1) + "[route]\nlayers=-1,-3\n",
        conv(4) + pool() + "[connected]\noutput=5\nactivation=relu\n",
        *(
            f"[convolutional]\nfilters=4\nsize=3\nstride=1\npad=1\nactivation={kind}\n"
            for kind in ("mish", "swish", "logistic", "leaky", "relu", "linear", "tanh")
        ),
    ],
)
def test_layers(layers, tmp_path):
    text = net(20, 28) + layers + ("" if "connected" in layers or "avgpool" in layers else linear(3) + "[avgpool]\n")
    cfg, weights, _ = written(tmp_path, text + "[softmax]\ngroups=1\n")
    image = np.random.default_rng(2).random((20, 28, 3), dtype=np.float32)
    found = import_darknet(cfg, weights)
    ours = found.model(image[None]).numpy()[0]
    assert ours == pytest.approx(answers(cfg, weights, image)[-1].reshape(-1), abs=2e-5)
    assert ours.sum() == pytest.approx(1.0, abs=1e-5)
