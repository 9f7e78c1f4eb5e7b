import pytest

from edgecv.modelio.boundary import output_names
from edgecv.modelio.towers import towers
from edgecv.tasks.detection import anchors
from edgecv.tasks.detection.settings import settings_of
from edgecv.zoo.families import rcnn
from tests.zoo.outline import cases, conv, dense, figures, norm, outline, shapes

VGG = sum(
    conv(3, inputs, filters)
    for inputs, filters in (
        (3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512), *[(512, 512)] * 5,
    )
)  # fmt: skip
FAST = VGG + dense(7 * 7 * 512, 4096, 4096) + dense(4096, 21) + dense(4096, 84)
FASTER = FAST + conv(3, 512, 512) + conv(1, 512, 18) + conv(1, 512, 36)
EDGE_HEAD = 49 * 96 + 96 * 256 + 256 * 256 + 2 * norm(256) + dense(256, 21) + dense(256, 84)
EDGE_FINDER = 9 * 96 + 96 * 256 + norm(256) + dense(256, 18) + dense(256, 36)
ALEXNET = 62_378_344 - dense(4096, 1000)

GOLDEN = {
    ("faster_rcnn", "canonical"): (137_078_239, 137_078_239, 187_040_102_400),
    ("faster_rcnn", "edge"): (722_847, 705_183, 451_782_144),
    ("fast_rcnn", "canonical"): (134_690_729, 134_690_729, 386_569_420_800),
    ("fast_rcnn", "edge"): (682_505, 665_353, 436_076_544),
    ("rcnn", "canonical"): (59_141_609, 59_141_609, 1_132_020_256),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_parameters_by_arithmetic():
    assert GOLDEN["fast_rcnn", "canonical"][0] == FAST
    assert GOLDEN["faster_rcnn", "canonical"][0] == FASTER
    assert GOLDEN["faster_rcnn", "edge"][1] - GOLDEN["fast_rcnn", "edge"][1] == EDGE_FINDER
    assert GOLDEN["rcnn", "canonical"][0] == ALEXNET + dense(4096, 21) + dense(9216, 84)
    whole = figures("alexnet", "canonical")[2]
    assert GOLDEN["rcnn", "canonical"][2] == whole - 4096 * 1000 + 4096 * 21 + 9216 * 84


def test_the_second_network_of_the_edge_by_arithmetic():
    _, (head, _) = towers(*outline("faster_rcnn", variant="edge"))
    assert sum(weight.shape.num_elements() for weight in head.trainable_weights) == EDGE_HEAD


@pytest.mark.parametrize(("variant", "sizes"), [("canonical", (128, 256, 512)), ("edge", (48, 96, 192))])
def test_proposals_start_from_nine_anchors(variant, sizes):
    _, spec = outline("faster_rcnn", variant=variant)
    settings = settings_of(spec.heads[1])
    boxes = anchors.rpn((1, 1), 16, sizes)
    assert settings.strides == (16,)
    assert len(settings.anchors[0]) == 9
    assert settings.anchors[0] == tuple(map(tuple, (boxes[:, 2:] - boxes[:, :2]).tolist()))


def test_stages():
    model, spec = outline("faster_rcnn", input_shape=(64, 96, 3))
    assert [tuple(one.shape) for one in model.inputs] == [(None, 64, 96, 3), (None, 2100, 7, 512)]
    found = shapes(model)
    assert [found[name] for name in ("features", "rpn_scores", "fc6", "scores", "boxes")] == [
        (4, 6, 512), (4, 6, 18), (300, 1, 4096), (300, 1, 21), (300, 1, 84),
    ]  # fmt: skip
    assert [one.shape for one in spec.inputs] == [(64, 96, 3), (2100, 7, 512)]


def test_the_edge_variant_has_an_input_of_its_own():
    assert outline("faster_rcnn", variant="edge")[1].input_shape == (320, 320, 3)
    assert outline("faster_rcnn")[1].input_shape == (600, 800, 3)


@pytest.mark.parametrize("variant", ["canonical", "edge"])
def test_two_networks_that_share_nothing(variant):
    model, spec = outline("faster_rcnn", variant=variant, input_shape=(64, 64, 3))
    (first, one), (second, other) = towers(model, spec)
    assert output_names(first) == ("features", "rpn_boxes", "rpn_scores")
    assert output_names(second) == ("boxes", "scores")
    assert first.count_params() + second.count_params() == model.count_params()
    assert [(head.name, head.outputs) for head in one.heads] == [
        ("objects", ("features",)), ("proposals", ("rpn_boxes", "rpn_scores")),
    ]  # fmt: skip
    assert [(head.name, head.outputs) for head in other.heads] == [("objects", ("boxes", "scores"))]
    assert ([i.name for i in one.inputs], [i.name for i in other.inputs]) == (["image"], ["regions"])


def test_a_fast_detector_has_no_network_that_proposes():
    _, spec = outline("fast_rcnn", input_shape=(64, 64, 3), labels=("a", "b"))
    assert [head.name for head in spec.heads] == ["objects"]
    assert settings_of(spec.head).regions == rcnn.FAST_REGIONS
