"""What Keras and the converters say when they fail, cut down to what helps."""

import numpy as np
import pytest

from edgecv.convert.quiet import without_location
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env, keras_import, load_keras
from edgecv.modelio.messages import first_line, naming, way_out

tf_keras = env.keras()
keras3 = pytest.importorskip("keras", reason="Keras 3 is not installed", minversion="3.0")

MLIR = (
    'loc(fused["Digamma:", callsite("m/odd/Digamma@__inference_3"("/lib/keras/traceback_utils.py":96:1) at '
    "callsite(\"/lib/functional.py\":534:1))]): error: 'tf.Digamma' op is neither a custom op nor a flex op"
)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (MLIR, "'tf.Digamma' op is neither a custom op nor a flex op (m/odd/Digamma)"),
        ("<unknown>:0: error: failed while converting: 'main'", "failed while converting: 'main'"),
        ("ValueError: error: as it is", "ValueError: error: as it is"),
        ("no location at all", "no location at all"),
    ],
)
def test_places_in_source_files_become_the_operation(line, told):
    assert without_location(line) == told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Exception encountered when calling layer 'a' (type B).\n\nreason\n\nCall arguments received", "reason"),
        (
            "Error when deserializing class 'D' using config={'x': 1}.\n\nException encountered: Unknown layer",
            "Unknown",
        ),
        ("plain", "plain"),
        ("", "ValueError"),
    ],
)
def test_the_telling_line_is_chosen(text, told):
    assert first_line(ValueError(text)).startswith(told)


def test_the_way_out_fits_the_failure():
    unknown = "Cannot deserialize object of type `Twice`. If `Twice` is a custom class, please register it"
    assert "--custom-objects" in way_out(TypeError(unknown))
    assert "--custom-objects" in way_out(ValueError("Could not locate class 'Gate'. Make sure custom classes are"))
    assert "cut off" in way_out(OSError("Unable to synchronously open file (truncated file)"))
    assert "model.export" in way_out(ValueError("total size of new array must be unchanged"))


def test_what_fails_while_it_is_rebuilt_is_no_damaged_file(tmp_path, monkeypatch):
    image = keras3.Input((4, 4, 3))
    keras3.Model(image, keras3.layers.Reshape((16, 3), name="windows")(image)).save(tmp_path / "m.keras")
    monkeypatch.setattr(keras_import._Rebuilding, "_layer", lambda *given: tf_keras.layers.Reshape((7, 3))(given[2]))
    with pytest.raises(UnsupportedModelError) as caught:
        load_keras(tmp_path / "m.keras")
    assert "'windows' (Reshape) cannot be rebuilt in tf_keras: total size" in caught.value.message
    assert "cut off" not in caught.value.hint


def test_errors_of_ours_pass_as_they_are():
    class Layer:
        name = "x"

    with pytest.raises(ConfigError, match="as it is"), naming(Layer()):
        raise ConfigError("as it is")


@pytest.mark.parametrize("kind", ["sequential", "list", "dict"])
def test_models_are_called_as_they_want_it(kind, tmp_path, recwarn):
    layers = keras3.layers
    if kind == "sequential":
        model = keras3.Sequential([keras3.Input((4,)), layers.Dense(2)])
    else:
        ends = {name: keras3.Input((4,), name=name) for name in "ab"}
        given = list(ends.values()) if kind == "list" else ends
        model = keras3.Model(given, layers.Dense(2)(layers.Add()(list(ends.values()))))
    model.save(tmp_path / "m.keras")
    loaded = load_keras(tmp_path / "m.keras").model
    assert not [one for one in recwarn if "structure of `inputs`" in str(one.message)]
    assert np.asarray(loaded([np.ones((1, 4), np.float32)] * len(loaded.inputs))).shape == (1, 2)


@pytest.mark.parametrize("suffix", [".tflite", ".onnx"])
def test_files_for_devices_that_are_cut_off_are_told(suffix, tmp_path):
    (tmp_path / f"m{suffix}").write_bytes(b"\x1c\x00\x00\x00TFL3")
    with pytest.raises(UnsupportedModelError) as caught:
        load_keras(tmp_path / f"m{suffix}")
    assert "may be cut off" in caught.value.hint
