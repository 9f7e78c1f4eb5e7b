"""Localisation: coding of boxes, decoding, scores, and paired drops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects, clip
from edgecv.tasks.frame import frame_of
from edgecv.tasks.localisation import Localisation, LocalisationSettings, coding
from edgecv.tasks.localisation.task import Found
from edgecv.values.specs import Head, Preprocessing

TASK = Localisation()
LABELS = ("cat", "dog", "owl")


def _head(**given_settings: object) -> Head:
    return Head(
        name="object",
        task="localisation",
        activation="probabilities",
        labels=LABELS,
        outputs=("class", "box"),
        settings=given_settings,
    )


def _frame(resize: str = "letterbox", size=(50, 100), input_size=(64, 64)):
    return frame_of(Preprocessing(color="gray", resize=resize), size, input_size)


def _one(corners, class_id: int = 0) -> Objects:
    return Objects(np.array([corners], np.float32), np.array([class_id]))


def test_settings_are_strict() -> None:
    assert TASK.settings(_head()) == LocalisationSettings()
    assert TASK.settings(_head(box="xyxy", box_weight=10.0)).box_weight == 10.0
    with pytest.raises(ConfigError, match="sqroot"):
        TASK.settings(_head(sqroot=True))
    with pytest.raises(ConfigError, match="box"):
        TASK.settings(_head(box="xywh"))
    with pytest.raises(ConfigError, match="sqrt"):
        TASK.settings(_head(box="xyxy", sqrt=True))
    with pytest.raises(ConfigError, match=">= 0"):
        TASK.settings(_head(class_weight=-1.0))


def test_the_numbers_of_one_box() -> None:
    """x 10..30 of 100 and y 10..40 of 50, letterboxed to 64x64: scale 0.64, 16 rows above."""
    corners = np.array([6.4, 22.4, 19.2, 41.6]) / 64
    said = {
        name: coding.encoded(np.array([10, 10, 30, 40]), LocalisationSettings(**given_settings), _frame())
        for name, given_settings in (("xyxy", {"box": "xyxy"}), ("cxcyhw", {}), ("sqrt", {"sqrt": True}))
    }
    assert said["xyxy"] == pytest.approx(corners)
    assert said["cxcyhw"] == pytest.approx([12.8 / 64, 0.5, 19.2 / 64, 12.8 / 64])
    assert said["sqrt"] == pytest.approx([0.2, 0.5, np.sqrt(0.3), np.sqrt(0.2)])


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 80),
    st.integers(0, 40),
    st.integers(1, 20),
    st.integers(1, 10),
    st.sampled_from(["stretch", "letterbox", "pad"]),
    st.sampled_from([("cxcyhw", False), ("cxcyhw", True), ("xyxy", False)]),
)
def test_boxes_go_to_numbers_and_back(x: int, y: int, width: int, height: int, resize: str, form) -> None:
    how = LocalisationSettings(box=form[0], sqrt=form[1])
    frame = _frame(resize, input_size=(70, 120))
    image = np.array([x, y, x + width, y + height], np.float32)
    back = coding.decoded(coding.encoded(image, how, frame)[None], how, [frame])
    assert back[0] == pytest.approx(image, abs=1e-3)


def test_what_a_crop_cuts_off_is_not_in_the_numbers() -> None:
    how, frame = LocalisationSettings(box="xyxy"), _frame("center_crop", input_size=(50, 50))
    assert coding.encoded(np.array([10, 10, 35, 40]), how, frame) == pytest.approx([0, 0.2, 0.2, 0.8])
    assert coding.encoded(np.array([0, 10, 20, 40]), how, frame) == pytest.approx([0, 0.2, 0, 0.8])


def test_impossible_numbers_become_boxes_inside_the_image() -> None:
    frame = _frame()
    wild = np.array([[0.5, 0.5, -1.0, 9.0], [9.0, -9.0, 3.0, 3.0]])
    for how in (LocalisationSettings(), LocalisationSettings(sqrt=True), LocalisationSettings(box="xyxy")):
        found = coding.decoded(wild, how, [frame, frame])
        assert (found[:, 2:] >= found[:, :2]).all()
        assert (found >= 0).all()
        assert (found <= [100, 50, 100, 50]).all()


def test_one_detection_in_image_pixels() -> None:
    outputs = [np.array([0.1, 0.7, 0.2], np.float32), np.array([0.2, 0.5, 0.3, 0.2], np.float32)]
    found = TASK.decode(outputs, _head(), _frame())
    assert (len(found), found.names) == (1, ("dog",))
    assert found.confidence == pytest.approx([0.7])
    assert found.xyxy[0] == pytest.approx([10, 10, 30, 40], abs=1e-4)
    assert TASK.decode(outputs, _head()).xyxy[0] == pytest.approx([0.1, 0.35, 0.3, 0.65])


def test_logits_become_probabilities() -> None:
    head = Head(name="object", task="localisation", activation="logits", labels=LABELS, outputs=("class", "box"))
    found = TASK.decode([np.log([0.1, 0.7, 0.2]) + 5, np.array([0.5, 0.5, 0.1, 0.1])], head, _frame())
    assert found.confidence == pytest.approx([0.7])


def test_evidence_of_one_image() -> None:
    outputs = [np.array([0.1, 0.7, 0.2]), np.array([0.2, 0.5, 0.3, 0.2])]
    prediction = TASK.decode(outputs, _head(), _frame())
    found = TASK.evidence(_one([20, 10, 40, 40], class_id=1), prediction, _head())
    assert (found.iou, found.right, found.class_id) == (pytest.approx(1 / 3, abs=1e-5), True, 1)


def test_a_batch_is_judged_as_its_samples() -> None:
    rng = np.random.default_rng(0)
    frames = [_frame(size=(int(h), int(w))) for h, w in rng.integers(30, 90, (20, 2))]
    truths = [TASK.synthetic(rng, _head(), frame.size) for frame in frames]
    outputs = [rng.dirichlet(np.ones(3), 20).astype(np.float32), rng.uniform(0, 1, (20, 4)).astype(np.float32)]
    one_by_one = super(Localisation, TASK).judge(truths, outputs, _head(), frames)
    assert TASK.judge(truths, outputs, _head(), frames) == one_by_one
    assert len({found.iou for found in one_by_one}) > 10


def test_scores_by_hand() -> None:
    evidence = [Found(0.9, True, 0), Found(0.6, False, 0), Found(0.4, True, 1), Found(0.5, True, 1)]
    found = TASK.score(evidence, _head())
    assert found.value == pytest.approx(0.6)
    assert found.figures == pytest.approx({"class_accuracy": 0.75, "iou50": 0.75, "both": 0.5})
    assert found.per_label["cat"] == pytest.approx({"mean_iou": 0.75, "class_accuracy": 0.5, "iou50": 1, "both": 0.5})
    assert found.per_label["dog"] == pytest.approx({"mean_iou": 0.45, "class_accuracy": 1, "iou50": 0.5, "both": 0.5})
    assert set(found.per_label["owl"].values()) == {None}
    with pytest.raises(DataError, match="no samples"):
        TASK.score([], _head())


def test_the_drop_of_a_worse_model_is_positive() -> None:
    rng = np.random.default_rng(1)
    base = [Found(float(iou), True, 0) for iou in rng.uniform(0.6, 0.9, 200)]
    worse = [Found(found.iou - 0.1 + float(rng.normal(0, 0.02)), True, 0) for found in base]
    drop = TASK.drop(base, worse, _head())
    assert drop.value == pytest.approx(0.1, abs=0.01)
    assert 0.09 < drop.ci95[0] < drop.value < drop.ci95[1] < 0.11
    assert TASK.drop(base, base, _head()).value == 0
    with pytest.raises(DataError, match="equal length"):
        TASK.drop(base, worse[1:], _head())


def test_intervals_of_drops_hold_the_truth() -> None:
    """Simulated: 95 +- 2 % of the paired intervals hold the true drop, which is known."""
    rng, runs, images, step = np.random.default_rng(0), 500, 100, 0.03
    held = 0
    for _ in range(runs):
        skill = rng.beta(6, 2, images)  # left-skewed, as overlaps are
        lost = np.where(rng.uniform(size=images) < 0.3, 10 * step / 3, 0.0) + rng.normal(0, 0.05, images)
        base, candidate = ([Found(float(iou), True, 0) for iou in side] for side in (skill, skill - lost))
        low, high = TASK.drop(base, candidate, _head()).ci95
        held += low <= step <= high
    assert 0.93 <= held / runs <= 0.97


def test_outputs_that_do_not_fit_are_refused() -> None:
    TASK.check(_head(), [(1, 3), (1, 4)])
    for shapes in ([(1, 3)], [(1, 4), (1, 3)], [(1, 5), (1, 4)], [(1, 8, 8, 3), (1, 4)]):
        with pytest.raises(UnsupportedModelError, match="the class first"):
            TASK.check(_head(), shapes)


def test_truths_that_do_not_fit_are_refused() -> None:
    TASK.check_truth(_one([0, 0, 2, 2], 2), _head(), "image 7")
    with pytest.raises(DataError, match="image 7 is of class 3"):
        TASK.check_truth(_one([0, 0, 2, 2], 3), _head(), "image 7")
    two = Objects(np.array([[0, 0, 2, 2], [1, 1, 2, 2]]), np.array([0, 1]))
    with pytest.raises(DataError, match="image 7 has 2 objects"):
        TASK.check_truth(two, _head(), "image 7")
    with pytest.raises(DataError, match="image 7 has a int"):
        TASK.check_truth(4, _head(), "image 7")


def test_synthetic_truths_fit_their_images() -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        truth = TASK.synthetic(rng, _head(), (40, 60))
        TASK.check_truth(truth, _head(), "one")
        assert np.array_equal(clip(truth.xyxy, (40, 60)), truth.xyxy)


def test_what_a_data_set_holds() -> None:
    truths = [_one([0, 0, 10, 20], 1), _one([5, 5, 35, 10], 1)]
    told = TASK.describe(truths, LABELS)
    assert told.counts == (0, 2, 0)
    assert told.measures == ("objects per image", "box width", "box height")
    assert [(s.min, s.mean, s.max) for s in told.spread] == [(1, 1, 1), (10, 20, 30), (5, 12.5, 20)]
    assert TASK.strata([*truths, _one([0, 0, 9, 9], 0)]).tolist() == [0, 0, 1]
    assert (TASK.describe([], LABELS).counts, TASK.describe([], LABELS).spread) == ((0, 0, 0), ())


def test_truth_and_prediction_are_drawn() -> None:
    from edgecv.tasks import drawing

    truth = _one([4, 4, 20, 20], 1)
    prediction = TASK.decode(
        [np.array([0.1, 0.7, 0.2]), np.array([0.5, 0.5, 0.5, 0.5])], _head(), _frame("stretch", (32, 32), (32, 32))
    )
    image = np.full((32, 32), 90, np.uint8)
    both = np.asarray(TASK.render(image, prediction, truth, LABELS))
    alone = np.asarray(TASK.render(image, None, truth, LABELS))

    def count(picture: np.ndarray, color) -> int:
        return int((picture[:256, :256] == color).all(axis=2).sum())

    assert count(both, drawing.palette(1)) > 400
    assert count(alone, drawing.palette(1)) == 0
    assert count(alone, drawing.TRUTH) > 400
    assert both.shape[0] > alone.shape[0] > 256
    assert np.asarray(TASK.render(image, None, None, LABELS)).shape == (256, 256, 3)


def test_names_of_the_protocol() -> None:
    assert (TASK.labelled, TASK.reads) == (True, ("localisation", "detection"))
    assert TASK.metric.name == "mean_iou"
    assert TASK.metric.loss(0.9, 0.8) == pytest.approx(0.1)
    assert len(TASK.groups(_head(), [(1, 3), (1, 4)])) == 2
    assert boxes.class_name(LABELS, 9) == "9"
