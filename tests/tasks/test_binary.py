"""Classifiers of two classes that end in one value: the probability, or the logit, of the second class."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.modelio import env
from edgecv.tasks.learning import LossOptions
from edgecv.tasks.registry import task
from edgecv.values.specs import Head

TASK = task("classification")
PROBABILITIES = Head("smile", "classification", "probabilities", ("no", "yes"))
LOGITS = Head("smile", "classification", "logits", ("no", "yes"))


def with_threshold(threshold: float, activation: str = "probabilities") -> Head:
    return Head("smile", "classification", activation, ("no", "yes"), settings={"threshold": threshold})


def judged(head: Head, output, truths):
    output = np.asarray(output, np.float32)
    return TASK.judge(truths, [output], head, [None] * len(truths))


class TestAnswer:
    def test_both_labels_with_p_and_one_minus_p(self):
        found = TASK.decode([np.array([0.75], np.float32)], PROBABILITIES)
        assert found.labels == (("yes", 0.75), ("no", 0.25))
        assert found.scores.tolist() == [0.25, 0.75]
        assert (found.label, found.score) == ("yes", 0.75)

    def test_a_logit_becomes_a_probability(self):
        found = TASK.decode([np.array([np.log(3)], np.float32)], LOGITS)
        assert found.label == "yes"
        assert found.scores == pytest.approx([0.25, 0.75])
        assert TASK.decode([np.array([-100.0], np.float32)], LOGITS).scores.tolist() == [1.0, 0.0]

    def test_half_is_the_first_label(self):
        assert TASK.decode([np.array([0.5], np.float32)], PROBABILITIES).label == "no"
        assert TASK.decode([np.array([0.0], np.float32)], LOGITS).label == "no"

    @pytest.mark.parametrize(("p", "threshold", "label"), [(0.35, 0.3, "yes"), (0.3, 0.35, "no"), (0.8, 0.9, "no")])
    def test_a_threshold_moves_the_answer_and_not_the_scores(self, p, threshold, label):
        found = TASK.decode([np.array([p], np.float32)], with_threshold(threshold))
        assert found.label == label
        assert dict(found.labels)["yes"] == pytest.approx(p)
        two = TASK.decode([np.array([1 - p, p], np.float32)], with_threshold(threshold))
        assert [name for name, _ in two.labels] == [name for name, _ in found.labels]
        assert two.scores == pytest.approx(found.scores)
        logit = np.array([np.log(p / (1 - p))], np.float32)
        assert TASK.decode([logit], with_threshold(threshold, "logits")).label == label

    def test_without_labels_the_classes_are_numbered(self):
        head = Head("smile", "classification", "probabilities")
        assert TASK.decode([np.array([0.9], np.float32)], head).label == "1"


class TestFigures:
    def test_by_hand(self):
        found = TASK.score(judged(PROBABILITIES, [[0.9], [0.4], [0.6], [0.1]], [1, 1, 0, 0]), PROBABILITIES)
        assert (found.value, found.figures) == (0.5, {"top1": 0.5, "auc": 0.75})
        assert found.tables[0].cells == ((1, 1), (1, 1))

    @pytest.mark.parametrize("form", ["probability", "logit", "two values"])
    @pytest.mark.parametrize("threshold", [None, 0.2, 0.7])
    def test_matches_sklearn(self, form, threshold):
        rng = np.random.default_rng(3)
        truth, logit = rng.integers(0, 2, 300), np.round(rng.normal(0, 2, 300), 1)
        p = 1 / (1 + np.exp(-logit))
        activation = "logits" if form == "logit" else "probabilities"
        head = Head("smile", "classification", activation, ("no", "yes"),
                    settings={} if threshold is None else {"threshold": threshold})  # fmt: skip
        output = {"probability": p[:, None], "logit": logit[:, None], "two values": np.stack([1 - p, p], 1)}[form]
        found = TASK.score(judged(head, output, truth), head)
        answers = (p > (threshold or 0.5)).astype(int)
        assert found.value == accuracy_score(truth, answers)
        assert found.figures["auc"] == pytest.approx(roc_auc_score(truth, p))
        assert np.array_equal(found.tables[0].cells, confusion_matrix(truth, answers))

    def test_one_class_has_no_area(self):
        assert TASK.score(judged(PROBABILITIES, [[0.9], [0.4]], [1, 1]), PROBABILITIES).figures["auc"] is None

    def test_three_classes_have_none_either(self):
        head = Head("kind", "classification", "probabilities", ("a", "b", "c"))
        assert "auc" not in TASK.score(judged(head, np.eye(3), [0, 1, 2]), head).figures

    def test_evidence_is_that_of_judge(self):
        head = with_threshold(0.3, "logits")
        rows = np.array([[-0.5], [2.0], [-3.0]], np.float32)
        one_by_one = [TASK.evidence(t, TASK.decode([row], head), head) for t, row in zip((1, 0, 0), rows, strict=True)]
        assert one_by_one == judged(head, rows, [1, 0, 0])
        assert [each.rank for each in one_by_one] == [0, 1, 0]

    def test_a_drop_is_paired(self):
        base = judged(PROBABILITIES, [[0.9], [0.8], [0.1], [0.2]], [1, 1, 0, 0])
        candidate = judged(PROBABILITIES, [[0.9], [0.4], [0.1], [0.2]], [1, 1, 0, 0])
        assert TASK.drop(base, candidate, PROBABILITIES).value == 0.25

    def test_a_label_of_two_is_refused(self):
        with pytest.raises(DataError, match=r"label 2, the model has classes 0\.\.1"):
            judged(PROBABILITIES, [[0.5]], [2])


class TestContract:
    @pytest.mark.parametrize("head", [PROBABILITIES, LOGITS, with_threshold(0.3)])
    @pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 1, 1, 1)])
    def test_one_value_or_two(self, head, shape):
        TASK.check(head, [shape])

    def test_three_values_of_two_labels(self):
        with pytest.raises(UnsupportedModelError, match="2 labels, its output has 3"):
            TASK.check(PROBABILITIES, [(1, 3)])

    @pytest.mark.parametrize("labels", [("yes",), ("a", "b", "c")])
    def test_one_value_has_two_labels(self, labels):
        with pytest.raises(UnsupportedModelError, match="one output value") as caught:
            TASK.check(Head("smile", "classification", "probabilities", labels), [(1, 1)])
        assert "two labels, first that of 0" in caught.value.hint

    @pytest.mark.parametrize("activation", ["distances", "linear"])
    def test_one_distance_is_no_class(self, activation):
        with pytest.raises(UnsupportedModelError, match=f"one output value of {activation}"):
            TASK.check(Head("smile", "classification", activation, ("no", "yes")), [(1, 1)])

    @pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, 2.0])
    def test_a_threshold_is_a_probability(self, threshold):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            TASK.check(with_threshold(threshold), [(1, 1)])

    def test_a_threshold_is_of_two_classes(self):
        head = Head("kind", "classification", "probabilities", ("a", "b", "c"), settings={"threshold": 0.5})
        with pytest.raises(UnsupportedModelError, match="a threshold and 3 classes"):
            TASK.check(head, [(1, 3)])

    def test_a_logit_called_a_probability(self):
        found = TASK.contradiction([np.array([[-2.0], [3.0]], np.float32)], PROBABILITIES)
        assert found.certain
        assert "-2 to 3" in found.text

    def test_a_probability_called_a_logit(self):
        found = TASK.contradiction([np.array([[0.2], [0.9]], np.float32)], LOGITS)
        assert not found.certain
        assert "the sigmoid would be taken twice" in found.text
        assert TASK.contradiction([np.array([[-0.2], [0.9]], np.float32)], LOGITS) is None

    def test_independent_probabilities_called_logits(self):
        head = Head("marks", "multilabel", "logits", ("a", "b"))
        found = task("multilabel").contradiction([np.array([[0.2, 0.1], [0.9, 0.8]], np.float32)], head)
        assert "the sigmoid would be taken twice" in found.text


class TestTraining:
    TRUTH = np.array([1, 0, 1, 0])
    LOGIT = np.array([[1.5], [-0.3], [-2.0], [0.4]], np.float32)

    def outputs(self, head):
        return self.LOGIT if head is LOGITS else 1 / (1 + np.exp(-self.LOGIT))

    @pytest.mark.parametrize("head", [PROBABILITIES, LOGITS])
    def test_the_loss_is_the_binary_cross_entropy(self, head):
        p = 1 / (1 + np.exp(-self.LOGIT[:, 0]))
        training = TASK.training(head)
        loss = training.loss([self.TRUTH], [env.tensorflow().constant(self.outputs(head))], LossOptions())
        assert float(loss) == pytest.approx(log_loss(self.TRUTH, p), rel=1e-5)
        smooth = training.loss(
            [self.TRUTH], [env.tensorflow().constant(self.outputs(head))], LossOptions(label_smoothing=0.2)
        )
        target = self.TRUTH * 0.8 + 0.1
        assert float(smooth) == pytest.approx(-np.mean(target * np.log(p) + (1 - target) * np.log(1 - p)), rel=1e-5)

    @pytest.mark.parametrize("head", [PROBABILITIES, LOGITS])
    def test_class_weights(self, head):
        weights = np.array([1.0, 3.0], np.float32)
        p = 1 / (1 + np.exp(-self.LOGIT[:, 0]))
        loss = TASK.training(head).loss(
            [self.TRUTH], [env.tensorflow().constant(self.outputs(head))], LossOptions(class_weights=weights)
        )
        each = -np.where(self.TRUTH == 1, np.log(p), np.log(1 - p)) * weights[self.TRUTH]
        assert float(loss) == pytest.approx(each.mean(), rel=1e-5)

    @pytest.mark.parametrize("head", [PROBABILITIES, LOGITS])
    def test_a_saturated_wrong_answer_still_has_a_gradient(self, head):
        tf, keras = env.tensorflow(), env.keras()
        keras.utils.set_random_seed(0)
        net = keras.Sequential(
            [keras.layers.Input((1,)), keras.layers.Dense(1, activation=None if head is LOGITS else "sigmoid")]
        )
        net.set_weights([np.array([[30.0]], np.float32), np.zeros(1, np.float32)])
        with tf.GradientTape() as tape:
            loss = TASK.training(head).loss([np.array([0])], [net(np.ones((1, 1), np.float32))], LossOptions())
        assert tape.gradient(loss, net.trainable_variables)[0].numpy().item() == pytest.approx(1.0, abs=1e-3)

    @pytest.mark.parametrize(("threshold", "right"), [(None, 2), (0.05, 2), (0.7, 3)])
    @pytest.mark.parametrize("activation", ["probabilities", "logits"])
    def test_right_answers_by_the_threshold(self, threshold, right, activation):
        head = Head("smile", "classification", activation, ("no", "yes"),
                    settings={} if threshold is None else {"threshold": threshold})  # fmt: skip
        output = self.LOGIT if activation == "logits" else 1 / (1 + np.exp(-self.LOGIT))
        assert TASK.training(head).statistics([self.TRUTH], [output.astype(np.float32)]).numpy().tolist() == [right, 4]
        assert sum(each.rank == 0 for each in judged(head, output, self.TRUTH)) == right

    def test_a_student_that_answers_alike_has_the_least_loss(self):
        tf, training = env.tensorflow(), TASK.training(LOGITS)
        own = float(training.distil([tf.constant(self.LOGIT)], [tf.constant(self.LOGIT)], LossOptions(temperature=2.0)))
        p = 1 / (1 + np.exp(-self.LOGIT / 2))
        assert own == pytest.approx(4 * -np.mean(p * np.log(p) + (1 - p) * np.log(1 - p)), rel=1e-4)
        other = training.distil([tf.constant(self.LOGIT)], [tf.constant(-self.LOGIT)], LossOptions(temperature=2.0))
        assert float(other) > own
        same = TASK.training(PROBABILITIES)
        probabilities = tf.constant(1 / (1 + np.exp(-self.LOGIT)))
        assert float(same.distil([probabilities], [probabilities], LossOptions(temperature=2.0))) == pytest.approx(
            own, rel=1e-4
        )
