"""`edgecv import`: from the files of another tool to a `.keras` that goes through the flow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgecv.jobs import demo
from edgecv.modelio import load_keras
from tests.cli.conftest import edgecv
from tests.modelio.darknet.networks import V2, V3, conv, linear, net, written
from tests.modelio.onnx.graphs_by_hand import Branches

TINY = demo.FOLDER / "left" / "tiny.cfg"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    cfg, weights, _ = written(tmp_path, V3)
    return cfg, weights


def test_the_command(files: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = files
    names, out = tmp_path / "things.names", tmp_path / "net.keras"
    names.write_text("dog\ncat\n\ntraffic light\n")
    done = edgecv("import", cfg, weights, "--labels", names, "--out", out)
    assert done.code == 0, done.err
    assert "net.keras: net, input 96x64x3, 3 labels" in done.out
    assert "output scores_1: 6x4x12" in done.out
    assert "seen 32,013,312 images" in done.out
    assert "warning" not in done.err
    loaded = load_keras(out)
    assert loaded.manifest is not None
    assert loaded.manifest.spec.labels == ("dog", "cat", "traffic light")
    assert loaded.manifest.provenance.recipe == {"step": "import", "file": "net.cfg", "weights": "net.weights"}
    assert "already exists" in edgecv("import", cfg, weights, "--out", out).err


def test_json_and_python_say_the_same(files: tuple[Path, Path], tmp_path: Path) -> None:
    import edgecv as package

    cfg, weights = files
    told = json.loads(edgecv("import", cfg, weights, "--out", tmp_path / "a.keras", "--json").out)
    made = package.import_model(cfg, weights, out=tmp_path / "b.keras", quiet=True)
    assert told["parameters"] == made.parameters == load_keras(tmp_path / "a.keras").model.count_params()
    assert told["outputs"]["boxes_0"] == [3, 2, 12]
    assert told["sha256"] == made.sha256
    assert "3 labels" in str(made)


def test_the_file_of_the_example_is_taken_and_said_to_be_random(tmp_path: Path) -> None:
    outs = [tmp_path / name for name in ("a.keras", "b.keras", "c.keras")]
    done = [edgecv("import", TINY, "--out", out, "--seed", seed) for out, seed in zip(outs, (1, 1, 2), strict=True)]
    assert [each.code for each in done] == [0, 0, 0]
    assert all("the weights are random" in each.err for each in done)
    assert outs[0].read_bytes() == outs[1].read_bytes() != outs[2].read_bytes()


def test_an_imported_network_converts_and_answers_as_before(files: tuple[Path, Path], tmp_path: Path) -> None:
    cfg, weights = files
    out = tmp_path / "net.keras"
    assert edgecv("import", cfg, weights, "--out", out).code == 0
    assert edgecv("convert", out, "--out", tmp_path / "net.tflite").code == 0
    assert edgecv("verify", tmp_path / "net.tflite").code == 0
    found = load_keras(out)
    from edgecv.modelio.darknet import import_darknet

    image = np.random.default_rng(0).random((1, 96, 64, 3), dtype=np.float32)
    ours, theirs = found.model(image), import_darknet(cfg, weights).model(image)
    assert all((a.numpy() == b.numpy()).all() for a, b in zip(ours, theirs, strict=True))


@pytest.mark.slow
def test_every_kind_of_layer_converts_to_int8(tmp_path: Path) -> None:
    """reorg, groups of routes, sums of other shapes, and layers with weights of their own at every place."""
    local = "[local]\nfilters=4\nsize=3\npad=1\nactivation=leaky\n"
    more = conv(8) + conv(12, 3, 2) + "[shortcut]\nfrom=-2\nactivation=linear\n"
    more += "[route]\nlayers=-1\ngroups=2\ngroup_id=1\n" + local + conv(4, 3, 2)
    more += "[connected]\noutput=5\nactivation=linear\n[softmax]\n"
    last = net(16, 16) + linear(4) + "[avgpool]\n"
    for name, text, data in (("net", V2, "scenes"), ("other", net(16, 16) + more, "digits"), ("last", last, "digits")):
        folder = tmp_path / name
        folder.mkdir()
        cfg, weights, _ = written(folder, text)
        out = folder / "net.keras"
        assert edgecv("import", cfg, weights, "--out", out).code == 0
        done = edgecv("quantize", out, "--data", data, "--out", folder / "int8.tflite")
        assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("missing.cfg", "--out", "a.keras"), "missing.cfg cannot be read"),
        (("net.weights", "--out", "a.keras"), "holds weights only\n  hint: give the .cfg file first"),
        (("net.bin", "--out", "a.keras"), "is of no format that is imported\n  hint: known: .onnx, .tflite, .cfg"),
        (("net.onnx", "--out", "a.keras"), "net.onnx cannot be read: it is not an ONNX model"),
        (("net.cfg", "--preset", "unit", "--out", "a.keras"), "says itself how it wants its images"),
        (("net.cfg", "--out", "a.tflite"), "keras models are written as .keras files"),
        (("net.cfg", "cut.weights", "--out", "a.keras"), "does not fit the cfg file: expected"),
        (("net.cfg", "--labels", "two.names", "--out", "a.keras"), "2 labels for 3 classes"),
        (("net.cfg", "--labels", "none.names", "--out", "a.keras"), "none.names does not exist"),
        (("odd.cfg", "--out", "a.keras"), "a section [lstm] cannot be imported\n  hint: "),
    ],
)
def test_wrong_requests(
    arguments: tuple[str, ...], message: str, files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cut.weights").write_bytes(files[1].read_bytes()[:-8])
    Path("two.names").write_text("a\nb\n")
    Path("net.bin").write_bytes(b"\0\1\2")
    Path("net.onnx").write_bytes(b"nothing of the kind")
    Path("odd.cfg").write_text(net() + "[lstm]\noutput=3\n")
    done = edgecv("import", *arguments)
    assert done.code == 2
    assert message in done.err
    assert not Path("a.keras").exists()


def test_a_keras_model_needs_no_import(files: tuple[Path, Path], tmp_path: Path) -> None:
    assert edgecv("import", *files, "--out", tmp_path / "net.keras").code == 0
    done = edgecv("import", tmp_path / "net.keras", "--out", tmp_path / "again.keras")
    assert "is a keras model, which needs no import" in done.err


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """An ONNX file of a small classifier, as an exporter writes it."""
    g = Branches({"image": ("batch", 3, 8, 8)})
    maps = g.node("Relu", g.node("Conv", "image", g.random(6, 3, 3, 3), g.random(6), pads=[1, 1, 1, 1]))
    vector = g.node("Flatten", g.node("GlobalAveragePool", maps))
    g.ends(g.node("Gemm", vector, g.random(2, 6), g.random(2), transB=1))
    return g.written(tmp_path / "net.onnx")


def test_an_onnx_file_that_does_not_say_how_it_wants_pixels(classifier: Path, tmp_path: Path) -> None:
    out = tmp_path / "net.keras"
    done = edgecv("import", classifier, "--out", out)
    assert done.code == 0, done.err
    assert "no contract: nothing in it says how pixels are scaled" in done.err
    assert "5 nodes became 6 layers" in done.out
    assert "largest difference from ONNX Runtime on random inputs: " in done.out
    assert f"next: edgecv spec {out} --data D" in done.out
    assert load_keras(out).manifest is None
    assert "does not say how it wants its pixels" in edgecv("quantize", out, "--out", tmp_path / "n.tflite").err
    done = edgecv("import", classifier, "--labels", tmp_path / "x.names", "--out", tmp_path / "b.keras")
    assert "--labels is part of a contract" in done.err


def test_an_onnx_file_with_a_contract(classifier: Path, tmp_path: Path) -> None:
    names, out = tmp_path / "two.names", tmp_path / "net.keras"
    names.write_text("cat\ndog\n")
    done = edgecv("import", classifier, "--preset", "imagenet-torch", "--labels", names, "--out", out, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert (told["format"], told["nodes"], told["labels"], told["open"]) == ("onnx", 5, 2, [])
    assert all(value < 1e-5 for value in told["differences"].values())
    manifest = load_keras(out).manifest
    assert manifest is not None
    assert manifest.spec.labels == ("cat", "dog")
    assert manifest.provenance.recipe["file"] == "net.onnx"
    renamed = classifier.rename(tmp_path / "network")
    assert edgecv("import", renamed, "--preset", "unit", "--out", tmp_path / "c.keras").code == 0


def test_what_edgecv_wrote_comes_back_with_its_contract(files: tuple[Path, Path], tmp_path: Path) -> None:
    """Channels lie last in its files, and its heads find their outputs by name."""
    keras, onnx = tmp_path / "net.keras", tmp_path / "net.onnx"
    assert edgecv("import", *files, "--out", keras).code == 0
    assert edgecv("convert", keras, "--out", onnx).code == 0
    back = tmp_path / "back.keras"
    done = edgecv("import", onnx, "--out", back)
    assert done.code == 0, done.err
    one, other = load_keras(keras), load_keras(back)
    assert one.require_spec() == other.require_spec()
    image = np.random.default_rng(0).random((1, 96, 64, 3), dtype=np.float32)
    for a, b in zip(one.model(image), other.model(image), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-4)
    assert "has a contract" in edgecv("import", onnx, "--preset", "unit", "--out", tmp_path / "d.keras").err


@pytest.mark.slow
def test_a_float_tflite_comes_back_as_layers(files: tuple[Path, Path], tmp_path: Path) -> None:
    keras, tflite, back = tmp_path / "net.keras", tmp_path / "net.tflite", tmp_path / "back.keras"
    assert edgecv("import", *files, "--out", keras).code == 0
    assert edgecv("convert", keras, "--out", tflite).code == 0
    done = edgecv("import", tflite, "--out", back, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["reference"] == "LiteRT"
    assert all(value < 1e-4 for value in told["differences"].values())
    assert load_keras(back).require_spec() == load_keras(keras).require_spec()
    done = edgecv("convert", keras, "--scheme", "dynamic", "--out", tmp_path / "small.tflite")
    assert done.code == 0, done.err
    assert "is quantised" in edgecv("import", tmp_path / "small.tflite", "--out", tmp_path / "e.keras").err
