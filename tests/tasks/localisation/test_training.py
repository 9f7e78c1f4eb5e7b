"""What localisation learns from, in tensorflow."""

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects
from edgecv.tasks.frame import frame_of
from edgecv.tasks.learning import LossOptions
from edgecv.tasks.localisation import Localisation, LocalisationSettings, coding
from edgecv.values.specs import Head, Preprocessing

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("tf_keras")

FORMS = [{"box": "cxcyhw"}, {"box": "cxcyhw", "sqrt": True}, {"box": "xyxy"}]


def _head(activation: str = "probabilities", **settings: object) -> Head:
    return Head(
        name="object",
        task="localisation",
        activation=activation,  # type: ignore[arg-type]
        labels=("a", "b", "c"),
        outputs=("class", "box"),
        settings=settings,
    )


def _batch(seed: int = 0, count: int = 16):
    rng = np.random.default_rng(seed)
    targets = (rng.integers(0, 3, count), rng.uniform(0.1, 0.9, (count, 4)).astype(np.float32))
    outputs = (rng.dirichlet(np.ones(3), count).astype(np.float32), rng.uniform(0, 1, (count, 4)).astype(np.float32))
    return targets, outputs


def _tensors(arrays):
    return [tf.constant(array) for array in arrays]


def test_targets_of_one_truth() -> None:
    training = Localisation().training(_head(sqrt=True))
    frame = frame_of(Preprocessing(color="gray", resize="letterbox"), (50, 100), (64, 64))
    class_id, box = training.encode(Objects(np.array([[10, 10, 30, 40]]), np.array([2])), frame)
    assert (class_id.shape, class_id.dtype, int(class_id)) == ((), np.int64, 2)
    assert box == pytest.approx([0.2, 0.5, np.sqrt(0.3), np.sqrt(0.2)])
    assert [(spec.shape, spec.dtype) for spec in training.targets] == [((), "int64"), ((4,), "float32")]
    assert (box.shape, box.dtype) == ((4,), np.float32)


def test_the_loss_of_one_sample_by_hand() -> None:
    targets = _tensors((np.array([1]), np.array([[0.5, 0.5, 0.2, 0.4]], np.float32)))
    outputs = _tensors((np.array([[0.1, 0.6, 0.3]], np.float32), np.array([[0.4, 0.5, 0.2, 0.6]], np.float32)))
    mse = (0.01 + 0.04) / 4
    loss = Localisation().training(_head()).loss(targets, outputs, LossOptions())
    assert float(loss) == pytest.approx(0.8 * -np.log(0.6) + 0.2 * mse, rel=1e-5)
    mae = Localisation().training(_head(box_loss="mae", box_weight=2.0)).loss(targets, outputs, LossOptions())
    assert float(mae) == pytest.approx(0.8 * -np.log(0.6) + 2 * 0.3 / 4, rel=1e-5)
    weights = np.array([1, 5, 1], np.float32)
    weighted = Localisation().training(_head()).loss(targets, outputs, LossOptions(class_weights=weights))
    assert float(weighted) == pytest.approx(0.8 * 5 * -np.log(0.6) + 0.2 * mse, rel=1e-5)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("activation", ["probabilities", "logits"])
@pytest.mark.parametrize("kind", ["mse", "mae", "huber"])
def test_losses_are_those_of_keras(smoothing: float, activation: str, kind: str) -> None:
    targets, outputs = _batch()
    if activation == "logits":
        outputs = (np.log(outputs[0]) + 1.5, outputs[1] * 3)
    entropy = keras.losses.CategoricalCrossentropy(from_logits=activation == "logits", label_smoothing=smoothing)
    box = {"mse": keras.losses.MeanSquaredError, "mae": keras.losses.MeanAbsoluteError, "huber": keras.losses.Huber}
    expected = 0.8 * entropy(tf.one_hot(targets[0], 3), outputs[0]) + 0.2 * box[kind]()(targets[1], outputs[1])
    training = Localisation().training(_head(activation, box_loss=kind))
    loss = training.loss(_tensors(targets), _tensors(outputs), LossOptions(label_smoothing=smoothing))
    assert float(loss) == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_the_validation_value_is_the_mean_overlap_in_the_input(form) -> None:
    targets, outputs = _batch(3)
    training, how = Localisation().training(_head(**form)), LocalisationSettings(**form)
    sums = sum(
        training.statistics([tf.constant(t[part]) for t in targets], [tf.constant(o[part]) for o in outputs]).numpy()
        for part in (slice(0, 5), slice(5, 16))
    )
    none = [None] * 16
    expected = boxes.iou_rows(coding.decoded(targets[1], how, none), coding.decoded(outputs[1], how, none)).mean()
    assert training.value(sums) == pytest.approx(expected, abs=1e-5)
    assert training.value(np.zeros(2)) == 0


def test_a_student_that_answers_as_its_teacher_loses_nothing() -> None:
    _, outputs = _batch(1)
    training = Localisation().training(_head())
    options = LossOptions(temperature=4.0)
    assert float(training.distil(_tensors(outputs), _tensors(outputs), options)) == pytest.approx(0, abs=1e-6)
    _, other = _batch(2)
    assert float(training.distil(_tensors(outputs), _tensors(other), options)) > 0.01


def test_the_divergence_is_that_of_keras() -> None:
    teacher, own = _batch(1)[1], _batch(2)[1]
    soft = [keras.activations.softmax(tf.math.log(side[0]) / 2.0) for side in (teacher, own)]
    expected = 0.8 * 4.0 * keras.losses.KLDivergence()(*soft) + 0.2 * np.square(teacher[1] - own[1]).mean()
    found = Localisation().training(_head()).distil(_tensors(teacher), _tensors(own), LossOptions(temperature=2.0))
    assert float(found) == pytest.approx(float(expected), rel=1e-4)


def test_gradients_reach_both_outputs_and_are_finite() -> None:
    targets, outputs = _batch()
    sure = np.array(outputs[0])
    sure[0] = [1.0, 0.0, 0.0]  # probabilities that are exactly 0 and 1
    tensors = _tensors((sure, outputs[1]))
    for form in FORMS:
        with tf.GradientTape() as tape:
            tape.watch(tensors)
            loss = Localisation().training(_head(**form)).loss(_tensors(targets), tensors, LossOptions())
        for gradient in tape.gradient(loss, tensors):
            assert np.isfinite(gradient.numpy()).all()
            assert np.abs(gradient.numpy()).max() > 0


def test_balanced_weights_make_every_class_count_alike() -> None:
    truths = [Objects(np.array([[0, 0, 1, 1]]), np.array([index])) for index in (0, 0, 0, 1)]
    weights = Localisation().training(_head()).class_weights(truths)
    assert weights is not None
    assert weights == pytest.approx([4 / 9, 4 / 3, 0])
    assert weights.dtype == np.float32


def test_every_sample_comes_once() -> None:
    order = Localisation().training(_head()).order([None] * 30, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(30))
    assert order.tolist() != list(range(30))


def test_scores_without_a_cross_entropy_are_refused() -> None:
    with pytest.raises(ConfigError, match="distances"):
        Localisation().training(_head("distances"))
