"""`import edgecv`: light, callable whichever way its parts come in, and the same jobs as the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import edgecv
from edgecv.core.errors import GateFailure

HEAVY = "{'tensorflow', 'typer', 'rich', 'PIL', 'keras'}"


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    assert (
        python(f"import sys, edgecv; dir(edgecv); print({HEAVY} & {{m.split('.')[0] for m in sys.modules}})") == "set()"
    )


@pytest.mark.parametrize("name", edgecv.__all__)
def test_every_function_is_there_and_documented(name: str) -> None:
    from edgecv import api

    offered = getattr(api, name)
    assert callable(getattr(edgecv, name))
    assert offered.__doc__
    assert name in dir(edgecv)


@pytest.mark.parametrize(
    "order", ["import edgecv.train.loop, edgecv", "import edgecv; edgecv.train; import edgecv.train"]
)
def test_a_part_of_a_commands_name_can_be_called_and_imported_from(order: str) -> None:
    code = (
        f"{order}\nfrom edgecv.core.errors import ConfigError\nfrom edgecv.train import TrainRecipe\n"
        "try:\n    edgecv.train('lenet6', out='m.keras', quiet=True)\n"
        "except ConfigError as error:\n    print(error.message)"
    )
    assert "lenet6" in python(code)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'quantise'"):
        edgecv.quantise  # noqa: B018


def test_python_m_edgecv_is_the_command() -> None:
    command = [sys.executable, "-m", "edgecv", "--version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.startswith("edgecv ")


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("api") / "lenet5.keras"
    saved = edgecv.train("lenet5", data="digits", epochs=2, out=out, quiet=True)
    assert saved.path == str(out)
    assert "lenet5" in str(saved)
    return out


def test_a_file_is_made_judged_and_shown(lenet: Path, tmp_path: Path) -> None:
    model, out = edgecv.load_model(lenet), tmp_path / "m.tflite"
    assert "gives output: classification" in str(model)
    made = edgecv.quantize(model, data="digits", out=out, quiet=True)
    assert "int8" in str(made)
    assert made._repr_html_().startswith("<pre")
    assert made.loss.heads[0].verdict in ("passed", "not shown")
    found = edgecv.evaluate(out, data="digits", split="validation", quiet=True)
    assert found.value == made.loss.heads[0].after
    assert str(found).startswith("top1 ")
    assert edgecv.verify(out).passed
    assert edgecv.inspect(out, "edgetpu", quiet=True).target == "edgetpu"
    assert edgecv.save(lenet, out=tmp_path / "again.keras", quiet=True).spec == model.spec


def test_a_loss_beyond_the_allowed_one_is_raised(lenet: Path, tmp_path: Path) -> None:
    with pytest.raises(GateFailure, match="allowed -100"):
        edgecv.quantize(lenet, scheme="float16", data="digits", max_drop=-100.0, out=tmp_path / "m.tflite", quiet=True)


def test_a_keras_3_model_in_memory(tmp_path: Path) -> None:
    from edgecv.modelio import env

    keras = env.keras3()
    layers = [keras.Input((8, 8, 1), name="image"), keras.layers.Rescaling(1 / 255), keras.layers.Flatten()]
    net = keras.Sequential([*layers, keras.layers.Dense(4, activation="softmax", name="out")])
    model = edgecv.load_model(net)
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 1)).astype(np.float32)
    assert np.asarray(model.keras(images)) == pytest.approx(np.asarray(net(images)), abs=1e-6)
    assert model.spec.preprocessing.std == (1.0,)
    made = edgecv.convert(model, out=tmp_path / "net.tflite", quiet=True)
    assert made.max_abs_diff < 1e-5


def test_the_page_works_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).parents[2] / "docs" / "python.md"
    known: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(block, str(page), "exec"), known)
    assert capsys.readouterr().out.count("True") >= 1
    assert (tmp_path / "lenet5-int8.tflite").exists()
    assert (tmp_path / "net.tflite").exists()
