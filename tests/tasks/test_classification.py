from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import Target
from edgecv.evaluate import KerasPredictor, evaluate
from edgecv.tasks.registry import task_of
from edgecv.values.evaluation import Evaluation
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input

LABELS = ("a", "b", "c", "d")
SPEC = one_input(
    name="m",
    input_shape=(1, 4, 1),
    heads=(Head(name="class", task="classification", activation="probabilities", labels=LABELS),),
    preprocessing=Preprocessing(color="gray", resize="pad"),
)


@dataclasses.dataclass
class Echo:
    """A model whose output is its input: the four pixels of the image are the four scores."""

    spec: ModelSpec = SPEC
    batch: int = 1
    engine: str = "echo 1"
    accelerator: str = "cpu"
    bound_outputs: tuple[tuple[int, ...], ...] = ((0,),)
    seen: list[int] = dataclasses.field(default_factory=list)

    def run(self, tensors: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.seen.append(len(tensors[0]))
        return [tensors[0].reshape(-1, 4)]


@dataclasses.dataclass
class Split:
    images: np.ndarray
    targets: tuple[np.ndarray, ...]
    name: str = "test"
    sha256: str = "0" * 64

    def __len__(self) -> int:
        return len(self.images)

    def sample(self, index: int) -> tuple[np.ndarray, ...]:
        return (self.images[index],)


def named(labels: Sequence[str]) -> tuple[Target, ...]:
    return (Target(name="output", task="classification", labels=tuple(labels)),)


def split(rows: Sequence[Sequence[int]], labels: Sequence[int]) -> Split:
    return Split(np.array(rows, np.uint8).reshape(-1, 1, 4), (np.array(labels, np.int64),))


THREE = split([[9, 1, 2, 3], [5, 9, 7, 1], [1, 9, 7, 5]], [0, 2, 0])


def correct(found: Evaluation) -> list[bool]:
    return [each.rank == 0 for each in found.first.evidence]


def test_by_hand():
    found = evaluate(Echo(), THREE, "toy", targets=named(LABELS))
    assert (found.metric.name, found.value, found.n) == ("top1", pytest.approx(1 / 3), 3)
    # Sample 1 has its class second, sample 2 last; 5 of 4 classes would say nothing.
    assert found.first.figures == {"top1": pytest.approx(1 / 3), "top3": pytest.approx(2 / 3)}
    assert correct(found) == [True, False, False]
    (table,) = found.first.tables
    assert table.cells == ((1, 1, 0, 0), (0, 0, 0, 0), (0, 1, 0, 0), (0, 0, 0, 0))
    assert (table.rows, table.columns) == (LABELS, LABELS)
    assert (found.first.head.labels, found.dataset, found.split) == (LABELS, "toy", "test")
    assert found.dataset_sha256 == "0" * 64
    assert (found.engine, found.accelerator) == ("echo 1", "cpu")


def test_of_equal_scores_the_first_class_counts():
    found = evaluate(Echo(), split([[5, 5, 5, 5], [5, 5, 5, 5]], [0, 1]), "toy")
    assert correct(found) == [True, False]
    assert found.first.figures["top3"] == 1.0


def test_batches_do_not_change_the_answer():
    random = np.random.default_rng(0)
    data = split(random.integers(0, 256, (10, 4)), random.integers(0, 4, 10))
    batched = Echo(batch=4)
    assert evaluate(batched, data, "toy") == evaluate(Echo(), data, "toy")
    assert batched.seen == [4, 4, 2]


def test_distances_count_the_nearest():
    head = dataclasses.replace(SPEC.head, activation="distances")
    spec = dataclasses.replace(SPEC, heads=(head,))
    assert evaluate(Echo(spec), split([[9, 1, 5, 5]], [1]), "toy").value == 1.0


def test_matches_sklearn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    random = np.random.default_rng(1)
    rows, truth = np.array([random.permutation(40)[:4] for _ in range(200)]), random.integers(0, 4, 200)
    found = evaluate(Echo(batch=32), split(rows, truth), "toy")
    assert found.value == metrics.accuracy_score(truth, rows.argmax(1))
    assert found.first.figures["top3"] == metrics.top_k_accuracy_score(truth, rows, k=3)
    assert np.array_equal(found.first.tables[0].cells, metrics.confusion_matrix(truth, rows.argmax(1), labels=range(4)))


class TestRefused:
    @pytest.mark.parametrize("label", [-1, 4])
    def test_labels_out_of_range(self, label):
        with pytest.raises(DataError, match=f"sample 1 of split 'test' of 'toy' has label {label}"):
            evaluate(Echo(), split([[1, 2, 3, 4]] * 2, [0, label]), "toy")

    @pytest.mark.parametrize("labels", [("a", "b", "d", "c"), ("a", "b", "c"), ("a", "b", "c", "d", "e")])
    def test_labels_of_another_data_set(self, labels):
        with pytest.raises(ConfigError, match="labels"):
            evaluate(Echo(), THREE, "toy", targets=named(labels))

    def test_empty_split(self):
        with pytest.raises(DataError, match="empty"):
            evaluate(Echo(), split([], []), "toy")

    def test_no_classifier(self):
        spec = dataclasses.replace(SPEC, heads=(Head(name="age", task="regression", activation="linear"),))
        with pytest.raises(ConfigError, match="regression"):
            evaluate(Echo(spec), THREE, "toy", targets=named(LABELS))
        with pytest.raises(DataError, match=r"sample 0 .*'age' takes a row of some numbers"):
            evaluate(Echo(spec), THREE, "toy")

    def test_not_finite_answers(self):
        class Broken(Echo):
            def run(self, tensors):
                return [np.full((len(tensors[0]), 4), np.nan, np.float32)]

        with pytest.raises(DataError, match="NaN"):
            evaluate(Broken(), THREE, "toy")


class TestKerasPredictor:
    @pytest.fixture(scope="class")
    def model(self):
        from edgecv.modelio import env

        keras = env.keras()
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Flatten(), keras.layers.Dense(4, activation="softmax")]
        return keras.Sequential([keras.layers.Input((1, 4, 1)), *layers])

    def test_answers_as_the_model_does(self, model):
        predictor = KerasPredictor.of(model, SPEC)
        images = np.random.default_rng(0).random((5, 1, 4, 1), np.float32)
        np.testing.assert_allclose(predictor.run([images])[0], model(images).numpy(), rtol=1e-6)
        assert predictor.engine.startswith("tf_keras ")

    def test_predicts_as_the_runtime_does(self, model):
        with KerasPredictor.of(model, SPEC) as predictor:
            found = predictor.predict(np.array([[0, 50, 100, 255]], np.uint8))
        assert sum(score for _, score in found.labels) == pytest.approx(1)
        assert found.outputs[0].shape == (4,)

    def test_batches_agree_with_single_images(self, model):
        random = np.random.default_rng(0)
        data = split(random.integers(0, 256, (70, 4)), random.integers(0, 4, 70))
        batched, single = KerasPredictor.of(model, SPEC), KerasPredictor.of(model, SPEC)
        single.batch = 1
        assert evaluate(batched, data, "toy") == evaluate(single, data, "toy")

    def test_bad_inputs(self, model):
        predictor = KerasPredictor.of(model, SPEC)
        for tensors in ([], [np.zeros((1, 4, 1), np.float32)], [np.full((1, 1, 4, 1), np.nan, np.float32)]):
            with pytest.raises(DataError, match="'m'"):
                predictor.run(tensors)

    def test_a_file_without_a_manifest_is_refused(self, model, tmp_path):
        from edgecv.modelio.keras_files import LoadedModel

        loaded = LoadedModel(model=model, manifest=None, path=tmp_path / "m.h5", sha256="")
        with pytest.raises(ConfigError, match="no edgecv manifest"):
            KerasPredictor(loaded)


def test_int8_probabilities_of_two_classes_may_miss_one_by_a_step():
    """255/256 is the largest of 256 steps from 0, so (255/256, 0) is what certainty looks like."""
    head = Head("kind", "classification", "probabilities", ("a", "b"))
    sure, step = np.array([[255 / 256, 0.0], [0.0, 255 / 256]], np.float32), 1 / 256
    assert task_of(head).contradiction([sure], head, step) is None
    assert "sum to 0.996" in task_of(head).contradiction([sure], head).text
    assert "sum to 0.5" in task_of(head).contradiction([sure * 128 / 255], head, step).text
