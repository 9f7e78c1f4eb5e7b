import dataclasses
import json
import zipfile

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core import files
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env, load_keras, manifest_for, save_keras, tool_versions

keras = env.keras()
layers = keras.layers


def small(*, last=None):
    image = keras.Input((6, 6, 1), name="image")
    x = layers.Flatten()(layers.Conv2D(2, 3, activation="relu", name="c1")(image))
    return keras.Model(image, (last or layers.Dense(3, activation="softmax"))(x), name="small")


def resized(spec, shape):
    return dataclasses.replace(spec, inputs=(dataclasses.replace(spec.input, shape=shape),))


def agree(model, other):
    image = np.random.default_rng(0).random((2, *model.input_shape[1:]), dtype=np.float32)
    return np.array_equal(model(image).numpy(), other(image).numpy())


@pytest.mark.parametrize("variant", ["canonical", "book"])
def test_round_trip_of_model_and_manifest(tmp_path, variant):
    model, spec = zoo.build("lenet5", variant=variant, seed=3)
    model.compile("adam", "mse")
    manifest = manifest_for(spec, recipe={"step": "build", "epochs": 0}, seed=3, dataset_sha256="ab", sparsity=0.5)
    path = save_keras(model, tmp_path / "m.keras", manifest)
    loaded = load_keras(path)
    assert loaded.manifest == manifest
    assert loaded.require_spec() == spec
    assert loaded.sha256 == files.sha256(path)
    assert agree(model, loaded.model)
    assert [layer.name for layer in loaded.model.layers] == [layer.name for layer in model.layers]
    assert zoo.profile(loaded.model) == zoo.profile(model)


def test_same_model_and_manifest_give_the_same_bytes(tmp_path, monkeypatch):
    model, spec = zoo.build("lenet5")
    manifest = manifest_for(spec, recipe={})
    first = save_keras(model, tmp_path / "a.keras", manifest).read_bytes()
    monkeypatch.setattr("time.localtime", lambda *_: (2031, 2, 3, 4, 5, 6, 0, 1, 0))
    assert save_keras(model, tmp_path / "b.keras", manifest).read_bytes() == first


def test_stock_keras_reads_our_files(tmp_path):
    model, spec = zoo.build("lenet5")
    path = save_keras(model, tmp_path / "m.keras", manifest_for(spec, recipe={}))
    assert agree(model, keras.models.load_model(path))


@pytest.mark.parametrize("wrapper", ["qat", "prune"])
def test_round_trip_of_models_that_tfmot_wrapped(tmp_path, wrapper):
    tfmot = env.tfmot()
    model, spec = zoo.build("lenet5")
    wrap = tfmot.quantization.keras.quantize_model if wrapper == "qat" else tfmot.sparsity.keras.prune_low_magnitude
    wrapped = wrap(model)
    rng = np.random.default_rng(0)
    wrapped.set_weights([w + rng.random(w.shape) * 0.1 for w in wrapped.get_weights()])
    path = save_keras(wrapped, tmp_path / "m.keras", manifest_for(spec, recipe={}, method="qat"))
    loaded = load_keras(path).model
    assert agree(wrapped, loaded)
    assert all(np.array_equal(a, b) for a, b in zip(loaded.get_weights(), wrapped.get_weights(), strict=True))


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.hdf5", "saved_model"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_foreign_files_load_without_a_manifest(tmp_path, name):
    model = small()
    model.save(tmp_path / name)
    loaded = load_keras(tmp_path / name)
    assert loaded.manifest is None
    assert agree(model, loaded.model)
    with pytest.raises(ConfigError, match="carries no edgecv manifest"):
        loaded.require_spec()


def test_a_given_spec_makes_the_manifest_of_a_foreign_file(tmp_path):
    small().save(tmp_path / "m.keras")
    spec = resized(zoo.get("lenet5").spec(labels=("a", "b", "c")), (6, 6, 1))
    loaded = load_keras(tmp_path / "m.keras", spec=spec)
    assert loaded.manifest.spec == spec
    assert loaded.manifest.provenance.source_sha256 == loaded.sha256
    with pytest.raises(
        ConfigError, match=r"m\.keras: the spec's shape of input 'image' is \(7, 6, 1\), the model takes"
    ):
        load_keras(tmp_path / "m.keras", spec=resized(spec, (7, 6, 1)))
    with pytest.raises(ConfigError, match=r"has 2 labels, its output has 3"):
        load_keras(tmp_path / "m.keras", spec=spec.with_labels(("a", "b")))


@pytest.mark.parametrize("name", ["m.keras", "m.h5", "saved_model"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5")
def test_lambda_layers_are_refused_unless_unsafe(tmp_path, name):
    inner = keras.Sequential([layers.Dense(3), layers.Lambda(lambda x: x + 1, name="evil")], name="inner")
    model = small(last=inner)
    model.save(tmp_path / name)
    with pytest.raises(
        UnsupportedModelError, match=r"can run code .*a Lambda layer in 'evil'(?s:.*)--unsafe"
    ) as caught:
        load_keras(tmp_path / name)
    assert caught.value.exit_code == 2
    assert agree(model, load_keras(tmp_path / name, unsafe=True).model)


def test_a_dynamic_input_is_refused(tmp_path):
    image = keras.Input((None, None, 3), name="photo")
    keras.Model(image, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(image))).save(tmp_path / "m.keras")
    with pytest.raises(UnsupportedModelError, match=r"input 'photo' has the dynamic shape \(None, None, None, 3\)"):
        load_keras(tmp_path / "m.keras")


def test_damaged_and_foreign_files(tmp_path):
    whole = tmp_path / "m.keras"
    model, spec = zoo.build("lenet5")
    save_keras(model, whole, manifest_for(spec, recipe={}))
    data = bytearray(whole.read_bytes())
    (tmp_path / "cut.keras").write_bytes(data[: len(data) // 2])
    data[len(data) // 2] ^= 0xFF
    (tmp_path / "flipped.keras").write_bytes(data)
    (tmp_path / "text.keras").write_text("hello")
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "m.tflite").write_text("hello")
    model.save_weights(tmp_path / "weights.h5")
    with zipfile.ZipFile(tmp_path / "empty.keras", "w") as archive:
        archive.writestr("readme.txt", "hello")
    messages = {
        "cut.keras": "not a readable .keras archive",
        "flipped.keras": "wrong checksum",
        "text.keras": "neither a zip archive nor HDF5",
        "text.h5": "neither a zip archive nor HDF5",
        "m.tflite": "neither a zip archive nor HDF5",
        "weights.h5": "holds weights only",
        "empty.keras": "config.json",
        ".": "saved_model.pb is missing",
    }
    for name, message in messages.items():
        with pytest.raises(UnsupportedModelError, match=message):
            load_keras(tmp_path / name)
    with pytest.raises(ConfigError, match="does not exist"):
        load_keras(tmp_path / "none.keras")


def test_a_broken_manifest_is_reported(tmp_path):
    path = tmp_path / "m.keras"
    small().save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("edgecv.json", json.dumps({"schema": "edgecv.manifest/99"}))
    with pytest.raises(UnsupportedModelError, match=r"manifest schema is 'edgecv\.manifest/99'"):
        load_keras(path)


def test_saving_refuses_what_it_cannot_do(tmp_path):
    model, spec = zoo.build("lenet5")
    manifest = manifest_for(spec, recipe={})
    path = save_keras(model, tmp_path / "m.keras", manifest)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="already exists"):
        save_keras(model, path, manifest)
    with pytest.raises(ConfigError, match=r"suffix must be \.keras"):
        save_keras(model, tmp_path / "m.h5", manifest)
    assert path.read_bytes() == before
    save_keras(small(), path, manifest, force=True)
    assert path.read_bytes() != before
    assert [p.name for p in tmp_path.iterdir()] == ["m.keras"]


def test_tool_versions_name_what_is_installed():
    versions = tool_versions(("numpy", "no-such-package"))
    assert set(versions) == {"edgecv", "python", "numpy"}
    assert versions["numpy"] == np.__version__
