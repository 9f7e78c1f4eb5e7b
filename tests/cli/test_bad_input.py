"""Bad input: exit 2, one clear message, no traceback, nothing half-written."""

from __future__ import annotations

import functools
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import Made, edgecv

FILE_LIMIT = 20_000


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder that must not gain a file while a bad request is refused."""
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    yield tmp_path
    assert not list(tmp_path.rglob(".*partial*"))
    assert all(p.read_bytes() == content for p, content in before.items())


def check_refused(*arguments: object, says: str) -> None:
    result = edgecv(*arguments)
    assert result.code == 2, result.err
    assert says in result.err, result.err
    assert result.err.count("error:") == 1, result.err
    assert "Traceback" not in result.err
    assert result.out == ""


def images(folder: Path, classes: dict[str, int], *, size: int = 12) -> Path:
    """Write a folder data set: class name to number of images."""
    rng = np.random.default_rng(0)
    for name, count in classes.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(rng.integers(0, 255, (size, size), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def npz(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("command", ["inspect", "verify", "evaluate", "bench"])
def test_a_missing_model(command: str, work: Path) -> None:
    check_refused(command, work / "nothing.tflite", says="does not exist")


def test_a_missing_keras_model(work: Path) -> None:
    check_refused("convert", work / "nothing.keras", "--out", work / "m.tflite", says="does not exist")


@pytest.mark.parametrize("command", ["inspect", "verify", "evaluate", "bench"])
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_a_truncated_tflite(command: str, keep: float, made: Made, work: Path) -> None:
    data = made.int8.read_bytes()
    cut = work / "cut.tflite"
    cut.write_bytes(data[: int(keep * len(data))])
    check_refused(command, cut, says="cut.tflite")


@pytest.mark.parametrize("command", ["inspect", "verify", "evaluate", "bench"])
def test_a_text_file_named_onnx(command: str, work: Path) -> None:
    text = work / "model.onnx"
    text.write_text("this is no model\n")
    check_refused(command, text, says="model.onnx")


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_text_file_named_keras(name: str, work: Path) -> None:
    text = work / name
    text.write_text("this is no model\n")
    check_refused("convert", text, "--out", work / "m.tflite", says=name)


def test_a_model_with_dynamic_shapes(work: Path) -> None:
    from edgecv.modelio import env

    keras = env.keras()
    inputs = keras.Input((None, None, 1))
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    keras.Model(inputs, outputs).save(work / "dynamic.keras")
    check_refused("convert", work / "dynamic.keras", "--out", work / "m.tflite", says="dynamic.keras")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("--target", "edgetup"), "did you mean 'edgetpu'"),
        (("--scheme", "int9"), "did you mean 'int8'"),
        (("--calibration", "minmx"), "did you mean 'minmax'"),
        (("--format", "tflit"), "did you mean 'tflite'"),
        (("--io", "int9"), "did you mean 'int8'"),
        (("--data", "digitz"), "did you mean 'digits'"),
    ],
)
def test_an_unknown_name_gets_the_nearest_match(change: tuple[str, str], says: str, made: Made, work: Path) -> None:
    check_refused("quantize", made.keras, "--out", work / "m.tflite", *change, says=says)
    assert list(work.iterdir()) == []


def test_an_unknown_architecture(work: Path) -> None:
    check_refused("train", "lenet6", "--out", work / "m.keras", says="did you mean 'lenet5'")
    check_refused("zoo", "show", "lenet6", says="did you mean 'lenet5'")
    check_refused("zoo", "show", "lenet5", "--variant", "boook", says="did you mean 'book'")


def test_a_gates_file_with_an_unknown_key(work: Path) -> None:
    gates = work / "gates.toml"
    gates.write_text('report = "report.json"\n[[gate]]\nartefact = "m"\n')
    check_refused("check", gates, says="did you mean 'artifact'")


@pytest.mark.parametrize(("mode", "shape"), [("RGBA", (9, 9, 4)), ("LA", (9, 9, 2))])
def test_an_image_of_wrong_channels(mode: str, shape: tuple[int, ...], made: Made, work: Path) -> None:
    Image.fromarray(np.zeros(shape, np.uint8), mode).save(work / "image.png")
    check_refused("predict", made.int8, work / "image.png", says="channel")


def test_a_corrupt_image_and_a_missing_one(made: Made, work: Path) -> None:
    (work / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    check_refused("predict", made.int8, work / "image.png", says="image.png")
    check_refused("predict", made.int8, work / "nothing.png", says="nothing.png")


def test_a_folder_data_set_with_an_empty_class(work: Path) -> None:
    images(work / "data", {"a": 8, "b": 8, "c": 0})
    check_refused("data", "show", f"folder:{work / 'data'}", says="'c'")


def test_a_folder_data_set_with_a_corrupt_image(work: Path) -> None:
    images(work / "data", {"a": 12, "b": 12})
    (work / "data" / "a" / "3.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
    check_refused("train", "lenet5", "--data", f"folder:{work / 'data'}", "--out", work / "m.keras", says="3.png")


def test_a_folder_data_set_with_a_single_class(made: Made, work: Path) -> None:
    images(work / "data", {"a": 8})
    check_refused("evaluate", made.int8, "--data", f"folder:{work / 'data'}", says="has no labels")
    check_refused("train", "lenet5", "--data", f"folder:{work / 'data'}", "--out", work / "m.keras", says="no labels")


def test_labels_out_of_range(work: Path) -> None:
    x = np.zeros((40, 8, 8), np.uint8)
    path = npz(work / "d.npz", x=x, y=np.arange(40) % 4 - 1)
    check_refused("data", "show", f"npz:{path}", says="label")


def test_a_model_evaluated_on_other_classes(made: Made, work: Path) -> None:
    names = np.array(["cat", "dog", "cow"])
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8), dtype=np.uint8)
    path = npz(work / "d.npz", x=x, y=np.arange(60) % 3, class_names=names)
    check_refused("evaluate", made.int8, "--data", f"npz:{path}", says="10 labels are not the 3 of")


def test_nan_pixels(work: Path) -> None:
    x = np.zeros((40, 8, 8), np.float32)
    x[7, 3, 3] = np.nan
    path = npz(work / "d.npz", x=x, y=np.arange(40) % 4)
    check_refused("data", "show", f"npz:{path}", says="NaN")


def test_an_output_that_exists_is_kept(made: Made, work: Path) -> None:
    out = work / "m.tflite"
    out.write_bytes(b"precious")
    check_refused("convert", made.keras, "--out", out, says="--force")
    assert out.read_bytes() == b"precious"
    assert edgecv("convert", made.keras, "--out", out, "--force").code == 0
    assert out.read_bytes()[4:8] == b"TFL3"


def test_a_read_only_output_folder(made: Made) -> None:
    # /proc takes no new files whoever asks, root included.
    check_refused("convert", made.keras, "--out", "/proc/edgecv/m.tflite", says="/proc/edgecv")


def test_a_full_disk(made: Made, tmp_path: Path) -> None:
    # A file size limit stops the write as a full disk does, without needing to be root. It is set once the model is
    # loaded, since unpacking a .keras needs temporary files of its own.
    script = (
        "import resource, signal, sys\n"
        "from edgecv.cli.main import main\n"
        "from edgecv.jobs import convert as artifacts\n"
        "convert = artifacts.convert\n"
        "def on_a_full_disk(*args, **kwargs):\n"
        "    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"    resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_LIMIT}, {resource.RLIM_INFINITY}))\n"
        "    return convert(*args, **kwargs)\n"
        "artifacts.convert = on_a_full_disk\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", script, "convert", str(made.keras), "--out", str(tmp_path / "m.tflite")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "error: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_room_to_unpack_a_model_is_not_the_models_fault(made: Made, tmp_path: Path) -> None:
    script = (
        "import resource, signal, sys\n"
        "from edgecv.cli.main import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_LIMIT}, {resource.RLIM_INFINITY}))\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", script, "convert", str(made.keras), "--out", str(tmp_path / "m.tflite")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be unpacked" in done.stderr
    assert "TMPDIR" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["evil.keras", "evil.h5"])
def test_a_lambda_layer_is_refused_unless_unsafe(name: str, work: Path) -> None:
    from edgecv.modelio import env

    keras = env.keras()
    inputs = keras.Input((8, 8, 1))
    hidden = keras.layers.Lambda(lambda x: x * 2)(inputs)
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(hidden))).save(work / name)
    check_refused("convert", work / name, "--out", work / "m.tflite", says="--unsafe")
    (work / "spec.toml").write_text(
        'name = "evil"\ninput_shape = [8, 8, 1]\n[preprocessing]\ncolor = "gray"\n'
        '[[heads]]\nname = "class"\ntask = "classification"\nactivation = "logits"\nlabels = ["a", "b"]\n'
    )
    allowed = edgecv("convert", work / name, "--unsafe", "--spec", work / "spec.toml", "--out", work / "m.tflite")
    assert allowed.code == 0, allowed.err


def test_a_foreign_model_needs_its_contract(work: Path) -> None:
    from edgecv.modelio import env

    keras = env.keras()
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inputs))).save(work / "foreign.keras")
    for more in ((), ("--data", "digits")):  # ten digits show nothing of a model of two classes
        check_refused("quantize", work / "foreign.keras", *more, "--out", work / "m.tflite", says="--preset")


@pytest.mark.parametrize("value", ["0", "1", "-0.5", "1.5", "nan"])
def test_a_sparsity_outside_its_range(value: str, made: Made, work: Path) -> None:
    check_refused("prune", made.keras, "--sparsity", value, "--out", work / "p.keras", says="sparsity")


def test_format_and_suffix_that_disagree(made: Made, work: Path) -> None:
    check_refused("convert", made.keras, "--format", "onnx", "--out", work / "m.tflite", says="disagree")
    check_refused("convert", made.keras, "--out", work / "m.bin", says="names no format")


def test_a_killed_conversion_leaves_whole_files_only(made: Made, tmp_path: Path) -> None:
    out = tmp_path / "m.tflite"
    command = [sys.executable, "-m", "edgecv.cli.main", "convert", str(made.keras), "--out", str(out)]
    for seconds in (1.0, 4.0, 6.0):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if out.exists():
            assert edgecv("verify", out).code == 0
            break
    assert edgecv("convert", made.keras, "--out", out, "--force").code == 0
    assert [p.name for p in tmp_path.iterdir()] == ["m.tflite"]


def test_ctrl_c_says_that_nothing_is_lost(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgecv.cli.main", "train", "lenet5", "--out", str(tmp_path / "m.keras")]
    # A shell's background jobs ignore Ctrl-C, and so would what they start.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heard)
    deadline = time.monotonic() + 60
    while not (tmp_path / ".m.keras.state").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "interrupted" in err
    assert "Traceback" not in err
    assert [p.name for p in tmp_path.iterdir()] == [".m.keras.state"]
