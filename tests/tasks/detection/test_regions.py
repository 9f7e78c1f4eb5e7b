import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.tasks.detection import regions, roi
from edgecv.tasks.detection.settings import settings_of
from edgecv.tasks.registry import task_of
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing

RNG = np.random.default_rng(0)
SETTINGS = {"decoder": "regions", "regions": 3, "strides": [4.0], "score": 0.1, "iou": 0.4, "most": 7}
HEAD = Head("objects", "detection", "logits", ("a", "b"), ("features", "boxes", "scores"), SETTINGS)
FINDER = Head(
    "proposals", "detection", "logits", ("object",), ("rpn_boxes", "rpn_scores"),
    {"decoder": "rpn", "anchors": [[[8.0, 8.0], [16.0, 8.0]]], "strides": [4.0], "variances": [1.0, 1.0], "score": 0.0,
     "iou": 0.7, "most": 5},
)  # fmt: skip


def spec(head=HEAD, shape=(32, 32, 3)):
    image = InputSpec("image", shape, Preprocessing("rgb", mean=(1.0, 2.0, 3.0), std=(2.0, 2.0, 2.0)))
    return ModelSpec("two", (image, InputSpec("regions", (21, 7, 5))), (head, FINDER))


def test_stages_by_their_shapes():
    both = regions.stage_of(HEAD, [(8, 8, 5), (3, 1, 12), (3, 1, 3)])
    assert (both.features, both.count, both.specific) == ((8, 8, 5), 3, True)
    assert regions.stage_of(HEAD, [(8, 8, 5)]).count == 0
    assert not regions.stage_of(HEAD, [(3, 1, 4), (3, 1, 3)]).specific
    assert regions.stage_of(HEAD, [(12,), (3,)]).count == 1


@pytest.mark.parametrize(
    "shapes",
    [[(8, 8)], [(3, 1, 12), (3, 1, 2)], [(3, 1, 8), (3, 1, 3)], [(2, 1, 4), (3, 1, 3)], [(8, 8, 5), (3, 1, 12)] * 2],
)
def test_what_is_no_stage(shapes):
    with pytest.raises(UnsupportedModelError, match=r"\(regions\) reads features"):
        regions.stage_of(HEAD, shapes)


def test_the_task_checks_stages_and_cannot_answer_alone():
    task = task_of(HEAD)
    task.check(HEAD, [(1, 3, 1, 12), (1, 3, 1, 3)])
    with pytest.raises(UnsupportedModelError, match="cannot answer alone"):
        task.decode([np.zeros((3, 1, 12), np.float32), np.zeros((3, 1, 3), np.float32)], HEAD)


def test_features_need_their_stride():
    wrong = Head("objects", "detection", "logits", ("a",), settings={"decoder": "regions"})
    with pytest.raises(ConfigError, match="pools features of one stride, got 0"):
        settings_of(wrong)


def test_proposals_are_the_surest_anchors_without_overlap():
    boxes, scores = np.zeros((8, 8, 8), np.float32), np.zeros((8, 8, 4), np.float32)
    scores[..., 0::2] = 4.0
    scores[2, 3, 1], scores[5, 5, 3], scores[2, 3, 3] = 9.0, 8.0, 3.0
    found = regions.proposals([boxes, scores], FINDER, (32, 32))
    # Anchors 8x8 at the cell (3, 2), 16x8 at (5, 5): centres (14, 10) and (22, 22).
    np.testing.assert_allclose(found[:2], [[10, 6, 18, 14], [14, 18, 30, 26]])
    assert len(found) == 5
    assert found.min() >= 0
    assert found.max() <= 32


def test_offsets_and_back():
    settings = settings_of(HEAD)
    corner = RNG.uniform(0, 20, (2, 6, 2))
    own, wanted = (np.concatenate([c, c + RNG.uniform(2, 9, (6, 2))], axis=1) for c in corner)
    np.testing.assert_allclose(
        regions.moved(own, regions.offsets_to(own, wanted, settings), settings), wanted, rtol=1e-5
    )
    by_hand = regions.offsets_to(np.array([[0.0, 0.0, 10.0, 20.0]]), np.array([[5.0, 0.0, 25.0, 20.0]]), settings)
    np.testing.assert_allclose(by_hand, [[10.0, 0.0, np.log(2) / 0.2, 0.0]], rtol=1e-6)


def test_answers_are_rows_of_regions_and_classes():
    found = np.array([[0.0, 0.0, 8.0, 4.0]], np.float32)
    offsets, scores = np.zeros((3, 1, 12), np.float32), np.zeros((3, 1, 3), np.float32)
    offsets[0, 0, 8] = 10.0  # of the second class, a width to the right
    scores[0, 0] = [0.0, 1.0, 2.0]
    boxes, classes, likely = regions.answers(offsets, scores, found, HEAD)
    assert (boxes.shape, classes.tolist()) == ((6, 4), [0, 1, 0, 1, 0, 1])
    np.testing.assert_allclose(boxes[:2], [[0, 0, 4, 8], [0, 8, 4, 16]])
    np.testing.assert_allclose(likely[:2], np.exp([1.0, 2.0]) / np.exp([0.0, 1.0, 2.0]).sum(), rtol=1e-6)
    assert not likely[2:].any()


def test_boxes_that_classes_share():
    found = np.array([[0.0, 0.0, 8.0, 4.0]] * 3, np.float32)
    boxes, _, _ = regions.answers(np.zeros((3, 1, 4), np.float32), np.zeros((3, 1, 3), np.float32), found, HEAD)
    np.testing.assert_allclose(boxes, [[0, 0, 4, 8]] * 6)


def test_a_bundle_answers_as_postprocessed_boxes():
    whole = regions.whole(spec())
    assert (whole.head.outputs, [one.name for one in whole.inputs]) == (regions.OUTPUTS, ["image"])
    assert whole.head.settings == {
        "decoder": "postprocessed", "unit": "pixels", "score": 0.1, "iou": 0.4, "most": 7,
    }  # fmt: skip
    task = task_of(whole.head)
    task.check(whole.head, [(1, 6, 4), (1, 6), (1, 6)])
    found = np.array([[0.0, 0.0, 8.0, 4.0], [16.0, 16.0, 30.0, 30.0]], np.float32)
    scores = np.zeros((3, 1, 3), np.float32)
    scores[0, 0, 1] = scores[1, 0, 2] = 5.0
    answers = regions.answers(np.zeros((3, 1, 12), np.float32), scores, found, HEAD)
    told = task.decode(answers, whole.head)
    assert told.names == ("a", "b")
    with pytest.raises(UnsupportedModelError, match="no head with the decoder 'regions'"):
        regions.whole(ModelSpec("one", spec().inputs[:1], (FINDER,)))


def test_crops_come_from_images_of_another_size():
    crop = Head(
        "objects", "detection", "logits", ("a",), ("boxes", "scores"), {"decoder": "regions", "pooling": "crop"}
    )
    assert regions.whole(spec(crop, (227, 227, 3))).input_shape == (*regions.CANVAS, 3)


@pytest.mark.parametrize(("pooling", "pool"), [("align", roi.align), ("max", roi.maxima)])
def test_cut_out_of_features(pooling, pool):
    settings = settings_of(Head("o", "detection", "logits", ("a",), settings={**SETTINGS, "pooling": pooling}))
    features = RNG.normal(size=(8, 8, 5)).astype(np.float32)
    found = np.array([[0.0, 0.0, 16.0, 16.0], [8.0, 4.0, 30.0, 20.0]], np.float32)
    cut = regions.cut_out(features, found, settings, (21, 7, 5))
    np.testing.assert_array_equal(cut[:14].reshape(2, 7, 7, 5), pool(features, found, stride=4.0))
    assert not cut[14:].any()


def test_pixels_come_back_from_the_input():
    pixels = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    settings = Preprocessing("bgr", mean=(100.0, 110.0, 120.0), std=(3.0, 5.0, 7.0))
    values = ((pixels[..., ::-1] - np.array(settings.mean)) / np.array(settings.std)).astype(np.float32)
    np.testing.assert_array_equal(regions.pixels_of(values, settings), pixels)
