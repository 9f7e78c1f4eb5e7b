"""The threaded pass gives the ranges that a plain interpreter gives, sample by sample with every tensor kept."""

import contextlib
import dataclasses
import threading

import numpy as np
import pytest

from edgecv.calibration import make_observer
from edgecv.calibration.observers import ESTIMATORS
from edgecv.convert import convert
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import flatbuffer, float_pass, ranges
from edgecv.convert.tflite.converter import convert_fake_quantised, convert_float
from edgecv.core.errors import DataError
from edgecv.core.progress import QUIET, Quiet
from edgecv.modelio import env
from edgecv.values import profiles
from tests.convert.conftest import loaded, tiny_model


def bottlenecks():
    """Depthwise convolutions, a capped ReLU, a skip, a gate and global pooling, as in MobileNetV3."""
    layers = env.keras().layers
    image = layers.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu6")(image)
    y = layers.ReLU(6.0)(layers.DepthwiseConv2D(3, padding="same")(x))
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    x = layers.Add()([x, layers.Conv2D(8, 1)(layers.Multiply()([y, gate]))])
    return env.keras().Model(image, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))


def segmenter():
    """Transposed convolutions, concatenation, resizing and padding, as in a U-Net."""
    layers = env.keras().layers
    image = layers.Input((16, 16, 1))
    down = layers.MaxPooling2D()(layers.Conv2D(4, 3, padding="same", activation="tanh")(image))
    up = layers.Conv2DTranspose(4, 2, strides=2, activation="relu")(down)
    wide = layers.UpSampling2D(2, interpolation="bilinear")(down)
    x = layers.ZeroPadding2D(1)(layers.Concatenate()([up, wide, image]))
    return env.keras().Model(image, layers.Conv2D(2, 3, name="mask")(x))


MODELS = {"tiny": tiny_model, "bottlenecks": bottlenecks, "segmenter": segmenter}


def recipe(estimator, **settings):
    return profiles.CalibrationRecipe(name="r", title="t", estimator=estimator, **settings)


def made(name):
    env.keras().utils.set_random_seed(0)
    frozen = freeze(MODELS[name]())
    ((_, shape),) = frozen.inputs
    samples = np.random.default_rng(1).normal(size=(9, *shape)).astype(np.float32)
    samples *= np.linspace(0.5, 2, 9, dtype=np.float32).reshape(-1, 1, 1, 1, 1)
    return convert_float(frozen, "float32"), list(samples)


def sample_by_sample(data, inputs, chosen):
    from ai_edge_litert import interpreter as litert

    interpreter = litert.Interpreter(
        model_content=data,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    observers = {index: make_observer(chosen) for index in ranges.unscaled(data)}
    for sample in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
        interpreter.invoke()
        for index, observer in observers.items():
            observer.observe(interpreter.get_tensor(index))
    return {index: observer.result() for index, observer in observers.items()}


def fed(inputs):
    return ([sample] for sample in inputs)


def observed(data, inputs, chosen, **options):
    return ranges.observe(data, fed(inputs), chosen, reporter=QUIET, total=len(inputs), **options)


def footprint(data):
    return float_pass._footprint(flatbuffer.unpack(data), len(data))


@pytest.mark.parametrize("name", MODELS)
def test_the_smallest_and_largest_values_are_those_of_a_plain_interpreter(name):
    data, inputs = made(name)
    found, expected = observed(data, inputs, recipe("minmax")), sample_by_sample(data, inputs, recipe("minmax"))
    assert list(found) == list(expected)
    assert len(found) > 5
    for index, limits in expected.items():
        scale = max(abs(limit) for limit in limits)
        assert found[index] == pytest.approx(limits, abs=1e-5 * scale)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_is_that_of_a_plain_interpreter(estimator):
    data, inputs = made("bottlenecks")
    chosen = recipe(estimator, percentile=99.0)
    found, expected = observed(data, inputs, chosen), sample_by_sample(data, inputs, chosen)
    for index, limits in expected.items():
        # A value that rounding moves over the edge of a bin may move a clipped end by a few bins of 1/2048.
        scale = max(abs(limit) for limit in limits)
        assert found[index] == pytest.approx(limits, abs=4e-3 * scale)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_number_of_threads_changes_nothing(estimator):
    data, inputs = made("segmenter")
    one = observed(data, inputs, recipe(estimator), workers=1)
    assert one == observed(data, inputs, recipe(estimator), workers=3)
    assert one == observed(data, inputs, recipe(estimator))


def test_order_counts_for_the_moving_average():
    data, inputs = made("tiny")
    chosen = recipe("moving_average", momentum=0.5)
    assert observed(data, inputs, chosen, workers=3) != observed(data, inputs[::-1], chosen, workers=3)


def test_a_partly_quantised_file_is_read_too(qat_source, dataset):
    data = convert_fake_quantised(freeze(qat_source.model), "float32")
    inputs = [image[None, ..., None].astype(np.float32) / 255 for image, _ in dataset.split("validation")]
    found, expected = observed(data, inputs, recipe("minmax")), sample_by_sample(data, inputs, recipe("minmax"))
    assert found
    for index, limits in expected.items():
        assert found[index] == pytest.approx(limits, abs=0.02)


def test_samples_are_taken_a_few_ahead_only():
    data, inputs = made("tiny")
    taken = []

    def feed():
        for i in range(50):
            taken.append(i)
            yield [inputs[0]]

    seen = float_pass.look(data, feed(), ranges.unscaled(data), lambda i, values: values.size, workers=2)
    next(seen)
    assert len(taken) == 4
    seen.close()
    assert len(taken) == 4


def test_several_threads_look_at_samples():
    data, inputs = made("tiny")
    names, met = set(), threading.Barrier(2, timeout=30)

    def see(index, values):
        names.add(threading.current_thread().name)
        met.wait()

    assert len(list(float_pass.look(data, fed(inputs[:8]), ranges.input_indices(data), see, workers=2))) == 8
    assert len(names) == 2


def test_a_network_too_large_for_two_interpreters_gets_one(monkeypatch):
    data, inputs = made("tiny")
    monkeypatch.setattr(float_pass, "MEMORY_BUDGET", 2 * footprint(data) - 1)
    monkeypatch.setattr(float_pass, "_processors", lambda: 8)
    names = set()
    see = lambda index, values: names.add(threading.current_thread().name)  # noqa: E731
    list(float_pass.look(data, fed(inputs * 3), ranges.unscaled(data), see))
    assert len(names) == 1


def test_the_footprint_by_hand():
    keras = env.keras()
    image = keras.layers.Input((10,))
    data = convert_float(freeze(keras.Model(image, keras.layers.Dense(7)(image))), "float32")
    assert footprint(data) == len(data) + 7 * 4


def broken_model():
    """The second convolution overflows: it is where values stop being finite."""
    model = tiny_model()
    inner = model.get_layer("inner")
    kernel, bias = inner.get_weights()
    inner.set_weights([np.full_like(kernel, 3e38), bias])
    return model


def test_the_layer_that_overflows_is_named(tmp_path, dataset, spec, minmax):
    with pytest.raises(DataError, match=r"the output of layer 'inner' \(CONV_2D\): .*non-finite") as error:
        convert(
            loaded(broken_model()), format="tflite", scheme="int8", out=tmp_path / "b.tflite", spec=spec,
            method="ptq", calibration=minmax, dataset=dataset,
        )  # fmt: skip
    assert "check the data and weights" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_without_layers_the_tensor_is_named():
    data = convert_float(freeze(broken_model()), "float32")
    with pytest.raises(DataError, match=r"the output of tensor '.*inner.*' \(CONV_2D\): "):
        observed(data, [np.ones((1, 12, 12, 1), np.float32)] * 5, recipe("mse"))


def test_a_bad_sample_is_the_inputs_fault():
    data, inputs = made("tiny")
    bad = inputs[3].copy()
    bad[0, 0, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"^the input: .*non-finite"):
        observed(data, [*inputs[:3], bad, *inputs[4:]], recipe("minmax"))


def test_no_samples():
    data, _ = made("tiny")
    with pytest.raises(DataError, match="calibration got no samples"):
        observed(data, [], recipe("minmax"))


def test_progress_goes_sample_by_sample():
    data, inputs = made("tiny")
    opened, steps = [], []

    class Counting(Quiet):
        @contextlib.contextmanager
        def bar(self, label, total):
            opened.append((label, total))
            yield lambda count=1, note="": steps.append(count)

    ranges.observe(data, fed(inputs), recipe("minmax"), reporter=Counting(), total=len(inputs))
    assert (opened, steps) == ([("calibrate", 9)], [1] * 9)


@pytest.mark.parametrize("name", profiles.calibration_names())
def test_every_shipped_recipe_makes_an_int8_file(name, tmp_path, source, dataset, spec):
    chosen = dataclasses.replace(profiles.calibration(name), count=12)
    artifact = convert(
        source, format="tflite", scheme="int8", out=tmp_path / "q.tflite", spec=spec, method="ptq",
        calibration=chosen, dataset=dataset,
    )  # fmt: skip
    assert artifact.manifest.provenance.recipe["calibration"]["estimator"] == chosen.estimator
    quantised = flatbuffer.unpack(artifact.path.read_bytes()).subgraphs[0].tensors
    assert sum(t.quantization is not None and t.quantization.scale is not None for t in quantised) > 5
