"""From a detector of two stages to a bundle, and what every command makes of it."""

import json
import zipfile

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.evaluate import assess
from edgecv.jobs import bundle as bundles
from edgecv.jobs import convert as converting
from edgecv.jobs import inspect as inspecting
from edgecv.jobs import models
from edgecv.jobs.convert import Plan
from edgecv.jobs.verify import verify
from edgecv.runtime import bundle as bundle_runtime
from edgecv.runtime.container import read_bundle, read_manifest, sniff, unpack_bundle
from edgecv.runtime.engines import open_session
from edgecv.tasks.boxes import iou
from edgecv.values.bundle import FEATURES, REGIONS
from edgecv.values.manifest import GoldenArray, pack_array, unpack_array
from edgecv.values.run_options import RunOptions
from tests import two_stages


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    found = {}
    loaded = two_stages.loaded(folder)
    for scheme in ("float32", "int8"):
        out = folder / f"{scheme}.edgecv"
        bundles.bundled(loaded, Plan(scheme=scheme), two_stages.data(), out=out)
        found[scheme] = out
    return found


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_a_bundle_is_asked_as_one_model(made, scheme):
    image = two_stages.squares(np.random.default_rng(5))
    with runtime.load(made[scheme]) as model:
        assert [one.shape for one in model.spec.inputs] == [(32, 32, 3)]
        found = model.predict(image)
        many = list(model.predict_many([image, image], threads=2))
    truth = two_stages.boxes_of(image)
    best = found[: len(truth)]
    assert sorted(best.names) == ["green", "red"]
    for box, class_id in zip(best.xyxy, best.class_id, strict=True):
        assert iou(box[None], truth.xyxy[class_id][None])[0, 0] > 0.4
    for one in many:
        np.testing.assert_array_equal(one.xyxy, found.xyxy)


def test_integers_find_what_floats_find(made):
    images = [two_stages.squares(np.random.default_rng(seed)) for seed in range(4)]
    told = []
    for file in made.values():
        with runtime.load(file, apart=True) as model:
            told.append([model.predict(image) for image in images])
    for ours, theirs in zip(*told, strict=True):
        assert iou(ours[:2].xyxy, theirs[:2].xyxy).max(axis=1).min() > 0.9


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_it_is_judged_as_one_model(made, scheme):
    with runtime.load(made[scheme]) as model:
        found = assess(model, two_stages.data(), "test")
    assert found.n == 6
    assert found.first.figures["ap50"] > 0.3


def test_what_it_says_of_itself(made):
    manifest = read_manifest(made["int8"])
    assert (manifest.format, manifest.scheme, manifest.method) == ("bundle", "int8", "ptq")
    assert [info.name for info in manifest.outputs] == ["boxes", "classes", "scores"]
    assert manifest.inputs[0].dtype == "int8"
    assert sniff(made["int8"]) == "bundle"
    assert read_bundle(made["int8"]).parts == {"features": "features.tflite", "regions": "regions.tflite"}


def test_the_same_model_gives_the_same_bytes(made, tmp_path):
    again = tmp_path / "again.edgecv"
    bundles.bundled(two_stages.loaded(tmp_path), Plan(scheme="int8"), two_stages.data(), out=again)
    assert again.read_bytes() == made["int8"].read_bytes()


def test_parts_are_files_of_their_own(made, tmp_path):
    parts = unpack_bundle(made["int8"], tmp_path)
    assert list(parts) == [FEATURES, REGIONS]
    for role, file in parts.items():
        with runtime.load(file) as model:
            assert model.spec.inputs[0].name == {"features": "image", "regions": "regions"}[role]
    # The second network's own inputs are too large to be kept: here they are small, and are.
    assert read_manifest(parts[REGIONS]).golden


@pytest.mark.parametrize("scheme", ["float32", "int8"])
def test_it_still_answers_as_when_it_was_made(made, scheme):
    found = verify(made[scheme])
    assert found.passed
    assert found.n >= 1
    with pytest.raises(ConfigError, match="verified on this host only"):
        verify(made[scheme], device="debian:arm64")


def test_regions_are_kept_where_their_inputs_are_too_large(made, monkeypatch, tmp_path):
    from edgecv.convert.check import samples

    monkeypatch.setattr(samples, "GOLDEN_LARGEST", 16)
    monkeypatch.setattr(samples, "GOLDEN_BYTES", 16)
    out = tmp_path / "kept.edgecv"
    bundles.bundled(two_stages.loaded(tmp_path), Plan(scheme="int8"), two_stages.data(), out=out)
    kept = read_bundle(out)
    assert len(kept.golden) >= 1
    assert len(kept.golden_tolerances) == 2
    assert verify(out).passed

    def elsewhere(text):
        document = json.loads(text)
        regions = unpack_array(codec.decode(GoldenArray, document["golden"][0]["regions"], where="regions"))
        document["golden"][0]["regions"] = codec.encode(pack_array(32 - regions[:, [2, 3, 0, 1]]))
        return json.dumps(document).encode()

    _replace(out, "bundle.json", elsewhere)
    assert not verify(out).passed


def test_a_target_is_asked_about_every_operator(made):
    found = inspecting.inspect_file(made["int8"], "edgetpu")
    assert (found.n_ops, found.n_mapped) == (len(found.ops), len(found.ops))
    assert [op.index for op in found.ops] == list(range(found.n_ops))
    assert any("part 'regions'" in note for note in found.notes)
    assert found.latency is not None
    assert found.size_bytes == made["int8"].stat().st_size
    floats = inspecting.inspect_file(made["float32"], "edgetpu")
    assert floats.n_mapped == 0


def test_the_command_makes_and_reports_it(made, tmp_path):
    two_stages.loaded(tmp_path)
    out = tmp_path / "by-command.edgecv"
    source = models.Source(path=tmp_path / "two.keras")
    found = converting.make(source, Plan(scheme="float32"), out=out)
    assert (found.format, found.size_bytes, found.checked_images) == ("bundle", out.stat().st_size, 16)
    with pytest.raises(ConfigError, match="already exists"):
        converting.make(source, Plan(scheme="float32"), out=out)
    with pytest.raises(ConfigError, match="no format of a bundle's networks"):
        converting.make(source, Plan(scheme="float32", format="keras"), out=out, force=True)


def test_onnx_networks(tmp_path):
    out = tmp_path / "onnx.edgecv"
    bundles.bundled(two_stages.loaded(tmp_path), Plan(scheme="int8"), two_stages.data(), out=out, format_="onnx")
    image = two_stages.squares(np.random.default_rng(5))
    with runtime.load(out) as model:
        assert model.engine.startswith("onnxruntime")
        assert sorted(model.predict(image)[:2].names) == ["green", "red"]
    assert verify(out).passed


def test_a_detector_without_proposals_searches_for_them(tmp_path):
    out = tmp_path / "fast.edgecv"
    bundles.bundled(two_stages.loaded(tmp_path, proposals=False), Plan(scheme="float32"), two_stages.data(), out=out)
    image = two_stages.squares(np.random.default_rng(5))
    with runtime.load(out) as model:
        found = model.predict(image)
    truth = two_stages.boxes_of(image)
    assert iou(truth.xyxy[found.class_id[:1]], found.xyxy[:1])[0, 0] > 0.9


def test_other_models_make_no_bundle(tmp_path):
    from edgecv import zoo
    from edgecv.modelio import load_keras, manifest_for, save_keras

    model, spec = zoo.build("lenet5")
    path = save_keras(model, tmp_path / "lenet5.keras", manifest_for(spec, recipe={"step": "test"}))
    with pytest.raises(UnsupportedModelError, match="is no detector of two stages"):
        bundles.bundled(load_keras(path), Plan(scheme="float32"), None, out=tmp_path / "no.edgecv")


def _replace(path, member, change):
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[member] = change(members[member])
    with zipfile.ZipFile(path, "w") as archive:
        for name, found in members.items():
            archive.writestr(name, found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(schema="edgecv.bundle/9"), "bundle schema is 'edgecv.bundle/9'"),
        (lambda d: d.update(parts={"features": "features.tflite"}), "its parts are features"),
        (lambda d: d["parts"].update(regions="../../x.tflite"), "no plain file name"),
        (lambda d: d["parts"].update(regions="missing.tflite"), "damaged or truncated archive"),
        (lambda d: d["parts"].update(regions="features.tflite"), "no head that looks at regions"),
        (lambda d: d.update(surprise=1), "unknown key 'surprise'"),
    ],
)
def test_damaged_bundles(made, tmp_path, change, message):
    path = tmp_path / "damaged.edgecv"
    path.write_bytes(made["int8"].read_bytes())

    def changed(text):
        document = json.loads(text)
        change(document)
        return json.dumps(document).encode()

    _replace(path, "bundle.json", changed)
    with pytest.raises(UnsupportedModelError, match=message):
        runtime.load(path)


def test_a_compressed_part_is_refused(made, tmp_path):
    path = tmp_path / "deflated.edgecv"
    with zipfile.ZipFile(made["int8"]) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as other:
        for name in archive.namelist():
            other.writestr(name, archive.read(name))
    with pytest.raises(UnsupportedModelError, match="is compressed"):
        open_session(path)


def test_nothing_is_left_in_the_temporary_folder(made, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with runtime.load(made["float32"]) as model:
        model.predict(two_stages.squares(np.random.default_rng(0)))
        assert list(tmp_path.iterdir())
    bundle_runtime.replay(made["float32"], **RunOptions().arguments)
    assert not list(tmp_path.iterdir())
