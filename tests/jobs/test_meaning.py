"""A contract that contradicts a file, of ours or of others, at evaluation, timing and verification."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core import codec
from edgecv.core.errors import UnsupportedModelError
from edgecv.jobs import bench, convert, evaluate, meaning, models
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.scores import Metric
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input
from tests.reporters import Told

SHAPE = (8, 8, 1)
LABELS = ("a", "b", "c")
SCALES = {"raw": (0.0, 1.0), "unit": (0.0, 255.0), "centred": (127.5, 127.5)}


def spec_of(scale: str, activation: str = "probabilities") -> ModelSpec:
    mean, std = SCALES[scale]
    return one_input(
        name="m", input_shape=SHAPE, preprocessing=Preprocessing("gray", mean=(mean,), std=(std,)),
        heads=(Head("kind", "classification", activation, LABELS),),
    )  # fmt: skip


def toml(folder, spec) -> object:
    mean, std = spec.preprocessing.mean[0], spec.preprocessing.std[0]
    path = folder / f"{mean:g}-{std:g}-{spec.head.activation}.toml"
    path.write_text(
        f'name = "m"\n[[inputs]]\nname = "image"\nshape = [8, 8, 1]\n'
        f'preprocessing = {{color = "gray", mean = [{mean}], std = [{std}]}}\n[[heads]]\nname = "kind"\n'
        f'task = "classification"\nactivation = "{spec.head.activation}"\nlabels = ["a", "b", "c"]\n'
    )
    return path


@pytest.fixture(scope="module")
def net():
    keras = env.keras()
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.layers.Input(SHAPE, name="image"), *layers])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("meaning")
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    np.savez(made / "d.npz", x=x, y=np.arange(60) % 3, class_names=LABELS)
    np.savez(made / "dark.npz", x=x // 64, y=np.arange(60) % 3, class_names=LABELS)
    return made


def foreign(net, folder, low: float, high: float, kind: str):
    """Return a file of the stock converter, calibrated with values of low..high; its input is of `kind`.

    Weights are as much smaller as values are larger, so that answers are not all alike.
    """
    path = folder / f"{low:g}-{high:g}-{kind}.tflite"
    if path.exists():
        return path
    tf = env.tensorflow()
    model = env.keras().models.clone_model(net)
    model.set_weights([weight / (high - low) for weight in net.get_weights()])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    rng = np.random.default_rng(0)
    samples = [rng.uniform(low, high, (1, *SHAPE)).astype(np.float32) for _ in range(8)]
    samples[0].flat[:2] = low, high
    converter.representative_dataset = lambda: ([one] for one in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = getattr(tf, kind)
    path.write_bytes(converter.convert())
    return path


def unscaled(folder, kind: str):
    """Return a file that takes whole numbers and makes floats of them itself."""
    tf = env.tensorflow()

    @tf.function(input_signature=[tf.TensorSpec((1, *SHAPE), getattr(tf, kind))])
    def answer(image):
        values = tf.reshape(tf.cast(image, tf.float32) / 255.0, (1, 64))
        return tf.nn.softmax(values[:, :3] * 4.0)

    path = folder / f"unscaled-{kind}.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()]).convert())
    return path


def evaluated(path, folder, scale: str, data="d.npz", activation="probabilities"):
    told = Told()
    request = evaluate.EvaluationRequest(
        data=f"npz:{folder}/{data}", split="all", spec=toml(folder, spec_of(scale, activation))
    )
    evaluate.evaluate_file(path, request, reporter=told)
    return told.warnings


class TestInputsOfOthers:
    @pytest.mark.parametrize("kind", ["uint8", "int8", "float32"])
    @pytest.mark.parametrize(("held", "scale"), [((0, 1), "unit"), ((0, 255), "raw"), ((-1, 1), "centred")])
    def test_a_fitting_contract_is_told_nothing(self, net, folder, kind, held, scale):
        assert evaluated(foreign(net, folder, *held, kind), folder, scale) == []

    @pytest.mark.parametrize("kind", ["uint8", "int8", "float32"])
    @pytest.mark.parametrize(
        ("held", "scale"), [((0, 1), "raw"), ((-1, 1), "raw"), ((0, 255), "unit"), ((0, 255), "centred")]
    )
    def test_another_scale_is_an_error(self, net, folder, kind, held, scale):
        with pytest.raises(UnsupportedModelError, match="by its quantisation, and the spec feeds") as caught:
            evaluated(foreign(net, folder, *held, kind), folder, scale)
        assert "std" in caught.value.hint

    @pytest.mark.parametrize("kind", ["uint8", "float32"])
    def test_a_part_of_the_range_is_a_warning(self, net, folder, kind):
        first, second = evaluated(foreign(net, folder, 0, 0.4, kind), folder, "unit")
        assert "holds 0 to 0.4 by its quantisation, and the spec feeds 0 to 1" in first
        pixels = np.load(folder / "d.npz")["x"][:32] / 255
        share = (pixels > 0.4 + 0.4 * 0.005).mean()
        assert f"{100 * share:.0f} % of the values" in second

    def test_the_runtime_refuses_what_is_certain(self, net, folder):
        with pytest.raises(UnsupportedModelError, match="holds 0 to 1 by its quantisation"):
            runtime.load(foreign(net, folder, 0, 1, "uint8"), spec=spec_of("raw"))

    def test_timing_refuses_it_too(self, net, folder):
        path = foreign(net, folder, 0, 1, "float32")
        request = bench.BenchRequest(spec=toml(folder, spec_of("raw")))
        with pytest.raises(UnsupportedModelError, match="holds 0 to 1 by its quantisation"):
            bench.bench_files([path], request)

    def test_dark_pictures_hardly_use_the_range(self, net, folder):
        (text,) = evaluated(foreign(net, folder, 0, 1, "uint8"), folder, "unit", "dark.npz")
        assert "use 1 % of what input 'image' holds" in text


class TestWithoutScale:
    @pytest.mark.parametrize(("kind", "scale"), [("uint8", "raw"), ("int32", "raw")])
    def test_whole_pixels_are_read(self, folder, kind, scale):
        path = unscaled(folder, kind)
        with runtime.load(path, spec=spec_of(scale)) as predictor:
            found = predictor.predict(np.arange(64, dtype=np.uint8).reshape(8, 8) * 4)
        powers = np.exp(np.arange(3) * 4 * 4 / 255)
        assert found.scores == pytest.approx(powers / powers.sum(), abs=1e-5)

    @pytest.mark.parametrize(
        ("kind", "scale"),
        [("uint8", "unit"), ("uint8", "centred"), ("int8", "raw"), ("int8", "unit"), ("int32", "unit")],
    )
    def test_anything_else_is_an_error(self, folder, kind, scale):
        with pytest.raises(UnsupportedModelError, match=f"{kind} without a scale, so it takes whole numbers"):
            runtime.load(unscaled(folder, kind), spec=spec_of(scale))


@pytest.fixture(scope="module")
def ours(net, folder):
    save_keras(net, folder / "m.keras", manifest_for(spec_of("unit"), recipe={"step": "test"}))
    for name in ("m.tflite", "m.onnx"):
        plan = convert.Plan(scheme="int8", data=f"npz:{folder}/d.npz")
        convert.make(models.Source(path=folder / "m.keras"), plan, out=folder / name)
    return folder


class TestOurFiles:
    @pytest.mark.parametrize("name", ["m.tflite", "m.onnx", "m.keras"])
    def test_their_own_contract_is_told_nothing(self, ours, name):
        told = Told()
        request = evaluate.EvaluationRequest(data=f"npz:{ours}/d.npz", split="all")
        evaluate.evaluate_file(ours / name, request, reporter=told)
        assert told.warnings == []
        meaning.check_inputs(ours / name, None, told)
        assert told.warnings == []

    @pytest.mark.parametrize("name", ["m.tflite", "m.onnx"])
    def test_another_contract_is_an_error(self, ours, name):
        with pytest.raises(
            UnsupportedModelError, match=r"holds 0 to 1 by its quantisation, and the spec feeds 0 to 255"
        ):
            evaluated(ours / name, ours, "raw")

    @pytest.mark.parametrize("name", ["m.tflite", "m.onnx", "m.keras"])
    def test_probabilities_that_are_called_logits(self, ours, name):
        source = ours / name
        if name == "m.keras":  # which carries a contract: another is given to one without
            source = ours / "plain.h5"
            env.keras().models.load_model(ours / name).save(source)
        (text,) = evaluated(source, ours, "unit", activation="logits")
        assert "softmax would be taken twice" in text


class TestAnswers:
    def test_integers_that_are_called_probabilities(self, folder):
        tf = env.tensorflow()

        @tf.function(input_signature=[tf.TensorSpec((1, *SHAPE), tf.uint8)])
        def answer(image):
            return tf.reshape(image, (1, 64))[:, :3]

        path = folder / "integers.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([answer.get_concrete_function()]).convert())
        with pytest.raises(UnsupportedModelError, match="said to give probabilities, and the model gives"):
            evaluated(path, folder, "raw")

    def test_answers_that_never_change(self, folder, net):
        dead = env.keras().models.clone_model(net)
        dead.set_weights([np.zeros_like(weight) for weight in net.get_weights()])
        (text,) = evaluated(foreign(dead, folder, 0, 0.999, "uint8"), folder, "unit")
        assert "gives the same answer to all of the first 32 samples" in text


def outcome(head: Head, value: float, n: int, **figures) -> Evaluation:
    one = HeadEvaluation(
        head=head, metric=Metric("m"), value=value, figures=figures, per_label={}, tables=(), evidence=()
    )
    return Evaluation(
        heads=(one,), n=n, dataset="d", split="test", dataset_sha256="", engine="e", accelerator="cpu",
    )  # fmt: skip


class TestRankings:
    VECTOR = Head("vector", "embedding", "linear")
    DISTANCE = Head("apart", "verification", "distances")
    BINARY = Head("smile", "classification", "probabilities", ("no", "yes"))

    def told(self, found):
        told = Told()
        meaning.doubt(found, "m.tflite", told)
        return told.warnings

    @pytest.mark.parametrize(
        "found",
        [outcome(VECTOR, 0.1, 200), outcome(DISTANCE, 0.5, 200, auc=0.1), outcome(BINARY, 0.2, 200, auc=0.1)],
        ids=["embedding", "verification", "binary"],
    )
    def test_a_reversed_one_is_told(self, found):
        (text,) = self.told(found)
        assert "the wrong way round" in text
        assert "0.100, below 0.5" in text

    @pytest.mark.parametrize(
        "found",
        [
            outcome(VECTOR, 0.95, 200), outcome(VECTOR, 0.47, 200), outcome(VECTOR, 0.3, 8),
            outcome(DISTANCE, 0.1, 200, auc=None), outcome(BINARY, 0.2, 200, auc=0.6), outcome(BINARY, 0.2, 200),
        ],
    )  # fmt: skip
    def test_chance_and_right_ones_are_not(self, found):
        assert self.told(found) == []

    def test_similarities_that_are_called_distances(self, tmp_path):
        """Pairs of equal brightness get 1, others less: evaluated on pairs drawn of two classes."""
        keras = env.keras()
        images = [keras.Input(SHAPE, name=name) for name in ("first", "second")]
        means = [keras.layers.GlobalAveragePooling2D()(image) for image in images]
        apart = keras.layers.Subtract()(means)
        squared = keras.layers.Multiply()([apart, apart])
        keep = keras.layers.Dense(1, name="apart")
        model = keras.Model(images, keep(squared))
        keep.set_weights([np.array([[-1.0]], np.float32), np.array([1.0], np.float32)])
        spec = one_input(name="pair", input_shape=SHAPE, preprocessing=Preprocessing("gray"), heads=(self.DISTANCE,))
        one = spec.input
        spec = dataclasses.replace(
            spec, inputs=tuple(dataclasses.replace(one, name=name) for name in ("first", "second"))
        )
        save_keras(model, tmp_path / "pair.keras", manifest_for(spec, recipe={"step": "test"}))
        level = np.where(np.arange(80) % 2 == 1, 200, 40)[:, None, None]
        noise = np.random.default_rng(0).integers(0, 20, (80, 8, 8))
        np.savez(tmp_path / "d.npz", x=(level + noise).astype(np.uint8), y=np.arange(80) % 2)
        told, request = Told(), evaluate.EvaluationRequest(data=f"npz:{tmp_path}/d.npz", split="all")
        evaluate.evaluate_file(tmp_path / "pair.keras", request, reporter=told)
        assert any("ranks pairs the wrong way round" in text for text in told.warnings)


def test_negative_distances_are_an_error():
    from edgecv.tasks.registry import task_of

    for head in (Head("apart", "verification", "distances"), Head("kind", "classification", "distances", LABELS)):
        answers = np.array([[-0.3], [0.9]], np.float32) if head.task == "verification" else np.full((2, 3), -0.3)
        found = task_of(head).contradiction([answers.astype(np.float32)], head)
        assert found.certain
        assert "said to give distances" in found.text
        assert task_of(head).contradiction([np.abs(answers).astype(np.float32)], head) is None


def test_rounding_to_8_bits_is_no_contradiction():
    from edgecv.tasks.registry import task_of

    head = Head("kind", "classification", "probabilities", tuple("abcdefghij"))
    answers = np.full((4, 10), 26 / 256, np.float32)
    assert task_of(head).contradiction([answers], head, meaning.STEP) is None
    assert "sum to" in task_of(head).contradiction([answers], head).text


def test_a_toml_is_what_it_says(tmp_path):
    for scale in SCALES:
        assert codec.encode(read_spec(toml(tmp_path, spec_of(scale)))) == codec.encode(spec_of(scale))
