import json
import zipfile

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env, load_keras
from edgecv.modelio.functions import FUNCTIONS, Role
from edgecv.modelio.tensor_function import TensorFunction, decode, encode, public

keras = env.keras()
keras3 = env.keras3()


def only(name, **kwargs):
    return TensorFunction(name, {"args": [], "kwargs": {"x": {"tensor": 0}, **kwargs}})


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_name_is_a_public_function_of_keras(name):
    assert callable(public(name))


def test_no_function_runs_code_or_draws_at_random():
    names = {"map", "scan", "while_loop", "cond", "vectorized_map", "fori_loop", "switch", "custom_gradient", "load"}
    assert not names & set(FUNCTIONS)
    assert not [name for name in FUNCTIONS if "random" in name or "dropout" in name]


@pytest.mark.parametrize(
    "value",
    [None, True, 3, 0.5, "same", [1, 2], (1, 2), slice(1, None, 2), (slice(None), Ellipsis, None, -1), [(0, 1), (2, 3)],
     np.float32(0.25), np.arange(4), np.ones((2, 2), np.float32)],
)  # fmt: skip
def test_arguments_survive_a_file(value):
    arrays = []
    text = json.dumps(encode(value, lambda _: None, arrays))
    got = decode(json.loads(text), [], arrays)
    assert np.array_equal(got, value) if isinstance(value, np.ndarray) else got == value
    assert arrays == []


def test_large_arrays_are_weights_and_tensors_are_places():
    arrays, tensor, large = [], object(), np.arange(40.0)
    text = encode({"not": "this"}.get("x", [tensor, large]), lambda one: 0 if one is tensor else None, arrays)
    assert text == [{"tensor": 0}, {"constant": 0}]
    assert np.array_equal(arrays[0], large)
    with pytest.raises(TypeError):
        encode(print, lambda _: None, [])


def test_a_layer_is_saved_with_its_constants(tmp_path):
    image = keras.Input((4, 4, 3))
    arguments = {"args": [], "kwargs": {"x1": {"tensor": 0}, "x2": {"constant": 0}}}
    layer = TensorFunction("add", arguments, constants=[{"shape": [4, 4, 3], "dtype": "float32"}])
    model = keras.Model(image, only("absolute")(layer(image)))
    plane = np.random.default_rng(0).normal(0, 1, (4, 4, 3)).astype(np.float32)
    layer.set_weights([plane])
    assert model.trainable_weights == []
    model.save(tmp_path / "m.keras", save_format="keras")
    again = load_keras(tmp_path / "m.keras").model
    inputs = np.random.default_rng(1).normal(0, 1, (2, 4, 4, 3)).astype(np.float32)
    assert np.asarray(again(inputs)) == pytest.approx(np.abs(inputs + plane))
    assert again.layers[1].role is Role.POINTWISE


def test_no_layer_of_another_function_is_made():
    with pytest.raises(ConfigError, match="no function that a model may hold"):
        only("vectorized_map")


def test_a_file_that_names_another_function_is_refused(tmp_path):
    image = keras.Input((4,))
    keras.Model(image, only("absolute")(image)).save(tmp_path / "m.keras", save_format="keras")
    with zipfile.ZipFile(tmp_path / "m.keras") as old, zipfile.ZipFile(tmp_path / "bad.keras", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"absolute"', b'"vectorized_map"'))
    with pytest.raises(UnsupportedModelError, match="can run code when it is loaded: the function 'vectorized_map'"):
        load_keras(tmp_path / "bad.keras")
