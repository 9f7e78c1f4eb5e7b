"""Multilabel, regression and multi-head models; the classifier has a file of its own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np
import pytest

from edgecv.core import codec
from edgecv.core.errors import ConfigError, DataError
from edgecv.data import Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.evaluate import drop_between, evaluate, head_results, judge_of
from edgecv.tasks.paired import paired_drop, paired_rise
from edgecv.values.evaluation import HeadEvaluation
from edgecv.values.specs import Head, ModelSpec, one_input

KIND = Head(name="kind", task="classification", activation="logits", labels=("a", "b"))
MARKS = Head(name="marks", task="multilabel", activation="probabilities", labels=("u", "v"))
AGE = Head(name="age", task="regression", activation="linear", labels=("years",))


@dataclasses.dataclass
class Fixed:
    """A model of feature vectors: the vector's parts are its outputs, head by head."""

    heads: tuple[Head, ...]
    batch: int = 4
    engine: str = "fixed 1"
    accelerator: str = "cpu"

    @property
    def spec(self) -> ModelSpec:
        units = sum(len(head.labels) for head in self.heads)
        return one_input(name="m", input_shape=(units,), heads=self.heads)

    @property
    def bound_outputs(self) -> tuple[tuple[int, ...], ...]:
        return tuple((place,) for place in range(len(self.heads)))

    def run(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        ends = np.cumsum([len(head.labels) for head in self.heads])[:-1]
        return list(np.split(tensors[0], ends, axis=1))


def split(vectors, *targets) -> Split:
    images = np.asarray(vectors, np.float32)
    known = tuple(
        np.asarray(t, np.int64) if np.asarray(t).dtype.kind == "i" and np.ndim(t) == 1 else np.asarray(t, np.float32)
        for t in targets
    )
    return Split(name="test", images=ArrayImages(images, np.arange(len(images))), targets=known)


def right(head: HeadEvaluation) -> list[bool]:
    """Return which samples of a multilabel head have every label right."""
    return [bool((each.given == each.right).all()) for each in head.evidence]


def target(head: Head, name: str | None = None) -> Target:
    return Target(name=name or head.name, task=head.task, labels=head.labels)


class TestMultilabel:
    def test_by_hand(self):
        given = [[0.9, 0.1], [0.9, 0.9], [0.2, 0.6], [0.5, 0.1]]
        truth = [[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]
        found = evaluate(Fixed((MARKS,)), split(given, truth), "toy", targets=(target(MARKS),))
        assert (found.metric.name, found.first.head) == ("exact_match", MARKS)
        # 0.5 is not above 0.5, so the last sample is right.
        assert right(found.first) == [True, False, False, True]
        assert found.value == 0.5
        assert found.first.per_label["u"] == {
            "accuracy": 0.75, "precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "positives": 3
        }  # fmt: skip
        assert found.first.figures["label_accuracy"] == 6 / 8
        assert found.first.figures["precision_micro"] == 3 / 4
        assert found.first.figures["recall_micro"] == 3 / 4
        assert found.first.figures["precision_macro"] == pytest.approx((1 + 1 / 2) / 2)
        assert found.first.tables == ()

    def test_matches_sklearn(self):
        metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
        rng = np.random.default_rng(0)
        head = dataclasses.replace(MARKS, labels=tuple("abcde"), activation="logits")
        given, truth = rng.standard_normal((300, 5)), (rng.random((300, 5)) < 0.3).astype(float)
        found = evaluate(Fixed((head,)), split(given, truth), "toy")
        positive = given > 0
        assert found.value == metrics.accuracy_score(truth, positive)
        assert found.first.figures["label_accuracy"] == pytest.approx(1 - metrics.hamming_loss(truth, positive))
        for kind in ("micro", "macro"):
            p, r, f, _ = metrics.precision_recall_fscore_support(truth, positive, average=kind)
            figures = [found.first.figures[f"{name}_{kind}"] for name in ("precision", "recall", "f1")]
            assert figures == pytest.approx([p, r, f])

    def test_figures_without_positives_are_unknown(self):
        found = evaluate(Fixed((MARKS,)), split([[0.1, 0.9]], [[0.0, 1.0]]), "toy")
        assert [found.first.per_label["u"][name] for name in ("precision", "recall", "f1")] == [None] * 3
        assert found.first.figures["f1_macro"] == 1.0


class TestRegression:
    def test_by_hand(self):
        found = evaluate(Fixed((AGE,)), split([[1], [2], [6]], [[1.0], [4.0], [4.0]]), "toy", targets=(target(AGE),))
        assert (found.metric.name, found.metric.better, found.value) == ("mae", "lower", pytest.approx(4 / 3))
        assert [float(each.error[0]) for each in found.first.evidence] == [0.0, -2.0, 2.0]
        assert found.first.figures["rmse"] == pytest.approx(np.sqrt(8 / 3))
        # The truth's mean is 3, its sum of squares 6.
        assert found.first.figures["r2"] == pytest.approx(1 - 8 / 6)

    def test_matches_sklearn(self):
        metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
        rng = np.random.default_rng(0)
        truth = rng.standard_normal((200, 3)).astype(np.float32) * [1, 10, 100]
        given = (truth + rng.standard_normal((200, 3))).astype(np.float32)
        head = dataclasses.replace(AGE, labels=tuple("abc"))
        found = evaluate(Fixed((head,)), split(given, truth), "toy")
        assert found.value == pytest.approx(metrics.mean_absolute_error(truth, given), rel=1e-5)
        assert found.first.figures["rmse"] == pytest.approx(np.sqrt(metrics.mean_squared_error(truth, given)), rel=1e-5)
        assert found.first.figures["r2"] == pytest.approx(metrics.r2_score(truth, given), rel=1e-5)
        each = metrics.r2_score(truth, given, multioutput="raw_values")
        assert [row["r2"] for row in found.first.per_label.values()] == pytest.approx(list(each), rel=1e-4)

    def test_a_constant_truth_has_no_r2(self):
        found = evaluate(Fixed((AGE,)), split([[1], [2]], [[3.0], [3.0]]), "toy")
        assert found.first.figures["r2"] is None


VECTORS = [[2, 1, 0.9, 0.1, 30], [1, 2, 0.9, 0.9, 40], [2, 1, 0.2, 0.6, 50]]
TRUTHS = ([0, 0, 0], [[1.0, 0.0]] * 3, [[33.0], [40.0], [44.0]])
HEADS = (KIND, MARKS, AGE)


class TestSeveralHeads:
    def test_every_head_is_evaluated(self):
        found = evaluate(Fixed(HEADS), split(VECTORS, *TRUTHS), "toy", targets=tuple(map(target, HEADS)))
        assert [(each.head.name, each.metric.name, each.value) for each in found.heads] == [
            ("kind", "top1", pytest.approx(2 / 3)), ("marks", "exact_match", pytest.approx(1 / 3)), ("age", "mae", 3.0)
        ]  # fmt: skip
        assert (found.metric, found.value) == (found.heads[0].metric, found.heads[0].value)

    def test_the_document_holds_every_head(self):
        found = evaluate(Fixed(HEADS), split(VECTORS, *TRUTHS), "toy", targets=tuple(map(target, HEADS)))
        document = json.loads(json.dumps(codec.encode(found.document)))
        assert (document["head"], document["metric"], document["n"]) == ("kind", "top1", 3)
        assert [head["head"] for head in document["heads"]] == ["kind", "marks", "age"]
        assert document["heads"][2]["figures"]["rmse"] == pytest.approx(np.sqrt(15))
        assert document["heads"][1]["per_label"]["u"]["precision"] == 1.0
        assert document["heads"][0]["tables"][0]["cells"] == [[2.0, 1.0], [0.0, 0.0]]
        assert "evidence" not in document["heads"][0]

    def test_a_judge_says_of_answers_what_evaluation_says_of_the_model(self):
        data, model = split(VECTORS, *TRUTHS), Fixed(HEADS)
        # The outputs stand in another order than the heads, and are found by name.
        judge = judge_of(model.spec, data, "toy", outputs=["age", "kind", "marks"])
        kind, marks, age = model.run([np.asarray(VECTORS, np.float32)])
        expected = evaluate(model, data, "toy")
        assert [head.document for head in judge([age, kind, marks])] == [head.document for head in expected.heads]

    def test_targets_are_matched_by_name(self):
        shuffled = split(VECTORS, TRUTHS[2], TRUTHS[0], TRUTHS[1])
        targets = (target(AGE), target(KIND), target(MARKS))
        found = evaluate(Fixed(HEADS), shuffled, "toy", targets=targets)
        straight = evaluate(Fixed(HEADS), split(VECTORS, *TRUTHS), "toy")
        assert [head.value for head in found.heads] == [head.value for head in straight.heads]

    def test_one_head_takes_its_target_of_many(self):
        columns = [row[4:] for row in VECTORS]
        found = evaluate(Fixed((AGE,)), split(columns, *TRUTHS), "toy", targets=tuple(map(target, HEADS)))
        assert found.value == 3.0

    def test_batches_do_not_change_the_answer(self):
        data = split(VECTORS, *TRUTHS)
        pairs, single = evaluate(Fixed(HEADS, batch=2), data, "toy"), evaluate(Fixed(HEADS, batch=1), data, "toy")
        assert pairs.document == single.document
        for some, each in zip(pairs.heads, single.heads, strict=True):
            assert repr(some.evidence) == repr(each.evidence)

    def test_in_a_report(self):
        data = split(VECTORS, *TRUTHS)
        better = split([[2, 1, 0.9, 0.1, 33], [2, 1, 0.9, 0.1, 40], [2, 1, 0.9, 0.1, 44]], *TRUTHS)
        base, worse = evaluate(Fixed(HEADS), better, "toy"), evaluate(Fixed(HEADS), data, "toy")
        rows = head_results(base, worse)
        assert [(r.head, r.metric.name) for r in rows] == [("kind", "top1"), ("marks", "exact_match"), ("age", "mae")]
        assert [r.drop for r in rows] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 3.0]
        assert rows[2].figures["rmse"] == pytest.approx(np.sqrt(15))
        alone = evaluate(Fixed((KIND,)), split([row[:2] for row in VECTORS], TRUTHS[0]), "toy")
        assert [(r.head, r.drop) for r in head_results(alone, alone)] == [("kind", 0.0)]
        with pytest.raises(DataError, match="1 heads"):
            head_results(alone, worse)
        assert drop_between(base, worse).value == pytest.approx(1 / 3)


def test_the_drop_fits_the_metric():
    better = split([[2, 1, 0.9, 0.1, 33], [2, 1, 0.9, 0.1, 40], [2, 1, 0.9, 0.1, 44]], *TRUTHS)
    base, worse = evaluate(Fixed(HEADS), better, "toy"), evaluate(Fixed(HEADS), split(VECTORS, *TRUTHS), "toy")
    kind, marks, age = (drop_between(one, other) for one, other in zip(base.heads, worse.heads, strict=True))
    assert kind == paired_drop([True] * 3, [True, False, True])
    assert marks == paired_drop([True] * 3, [True, False, False])
    assert age == paired_rise([0.0, 0.0, 0.0], [3.0, 0.0, 6.0])
    with pytest.raises(DataError, match="cannot compare mae with top1"):
        drop_between(base.heads[2], worse.heads[0])
    with pytest.raises(DataError, match="of equal length"):
        drop_between(base, evaluate(Fixed((KIND,)), split([[2, 1]], [0]), "toy"))


class TestRefused:
    @pytest.mark.parametrize(
        ("heads", "targets", "message"),
        [
            (
                (KIND,),
                (target(MARKS, "kind"),),
                "'kind' is for classification; .* no target .*: kind .multilabel.",
            ),
            (
                (KIND, AGE),
                (target(KIND),),
                "'age' is for regression; .* no target .*: kind .classification.",
            ),
            (
                (KIND,),
                (target(AGE), target(MARKS)),
                "'kind' .*: age .regression., marks .multilabel.",
            ),
            ((MARKS,), (Target(name="x", task="multilabel", labels=("v", "u")),), "'u' is 'v'"),
            ((AGE,), (Target(name="x", task="regression", labels=("a", "b")),), "1 labels are not the 2"),
        ],
    )
    def test_targets_that_do_not_fit(self, heads, targets, message):
        with pytest.raises(ConfigError, match=message):
            evaluate(Fixed(heads), split(VECTORS, *TRUTHS), "toy", targets=targets)

    def test_a_value_may_be_called_otherwise(self):
        named = (Target(name="x", task="regression", labels=("months",)),)
        assert evaluate(Fixed((AGE,)), split([[1.0]], [[1.0]]), "toy", targets=named).value == 0

    def test_arrays_that_do_not_fit(self):
        with pytest.raises(DataError, match="sample 0 of split 'test' of 'toy' must be a class"):
            evaluate(Fixed((KIND,)), split([[1, 2]], [[1.0, 0.0]]), "toy")
        with pytest.raises(ConfigError, match="has no target"):
            evaluate(Fixed((KIND, AGE)), split([[1, 2, 3]], [0]), "toy")
        with pytest.raises(DataError, match=r"'age' takes a row of 1 numbers, got float32 of shape \(2,\)"):
            evaluate(Fixed((AGE,)), split([[1]], [[1.0, 2.0]]), "toy")

    def test_other_tasks(self):
        head = Head(name="boxes", task="clasification", activation="linear", labels=("x",))
        with pytest.raises(ConfigError, match="unknown task 'clasification'") as caught:
            evaluate(Fixed((head,)), split([[1]], [[1.0]]), "toy")
        assert "classification" in caught.value.hint
