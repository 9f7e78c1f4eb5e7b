"""LiteRT's GPU accelerator, on whatever Vulkan adapter there is; a software one will do for everything but times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecv.runtime.engines.litert_gpu import read_log

ROOT = Path(__file__).parents[2]
# Where Debian's chromium package keeps SwiftShader and a Vulkan loader.
CHROMIUM = Path("/usr/lib/chromium")

LOG = """INFO: [environment.cc:36] Creating LiteRT environment with options
I0000 00:00:17.54 84 environment.cc:532] Selected adapter: {adapter}, backend=Vulkan, adapterType={kind}
ERROR: Following operations are not supported by GPU delegate:
CONV_3D: Operation is not supported.
RESHAPE: Tensor dimensions must be less than 5. Reshape
1 operations will run on the GPU, and the remaining 2 operations will run on the CPU.
"""

LOAD = """
import json, sys
import numpy as np
import edgecv.runtime as runtime
from edgecv.errors import DeviceError
path, strict, accelerator = sys.argv[1], sys.argv[2] == "strict", sys.argv[3]
image = (np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)
try:
    with runtime.load(path, accelerator=accelerator, strict=strict) as model:
        whole = model.session.fully_accelerated
        found = [model.adapter, model.is_software_adapter, whole, model.predict(image).outputs[0].tolist()]
        print(json.dumps(found))
except DeviceError as error:
    print(json.dumps({"message": error.message, "hint": error.hint}))
"""


def software_vulkan() -> dict[str, str]:
    """Return the variables that give a process a Vulkan adapter; skip where there is none to give."""
    if os.environ.get("VK_ICD_FILENAMES") or os.environ.get("VK_DRIVER_FILES"):
        return {}
    if (CHROMIUM / "vk_swiftshader_icd.json").exists():
        icd = str(CHROMIUM / "vk_swiftshader_icd.json")
        return {"VK_ICD_FILENAMES": icd, "LD_LIBRARY_PATH": str(CHROMIUM)}
    pytest.skip("no Vulkan driver: set VK_ICD_FILENAMES, or install a software one")


def load(path: Path, strict: bool = True, accelerator: str = "gpu", **variables: str) -> tuple[object, str]:
    """Load and ask in a process of its own; return what it printed, which is JSON and nothing else, and its stderr."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(path), "strict" if strict else "mixed", accelerator],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def refused(tmp_path_factory) -> Path:
    """A classifier with an operator that the accelerator does not have."""
    from edgecv.convert.embed import embed_tflite
    from edgecv.modelio import env

    from .conftest import convert, manifest

    keras, tf = env.keras(), env.tensorflow()

    class Reverse(keras.layers.Layer):
        def call(self, x):
            return tf.reverse_sequence(x, [3], 1, 0)

    layers = [Reverse(), keras.layers.Flatten(), keras.layers.Dense(5, activation="softmax")]
    net = keras.Sequential([keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), *layers])
    path = tmp_path_factory.mktemp("gpu") / "refused.tflite"
    path.write_bytes(embed_tflite(convert(net), manifest("tflite", "float32")))
    return path


class TestLog:
    def test_software_adapter_and_refusals(self):
        verdict = read_log(LOG.format(adapter="SwiftShader Device (Subzero), arch=x", kind="CPU / Software"))
        assert (verdict.adapter, verdict.is_software) == ("SwiftShader Device (Subzero)", True)
        assert verdict.refused == (
            ("CONV_3D", "Operation is not supported."),
            ("RESHAPE", "Tensor dimensions must be less than 5. Reshape"),
        )

    def test_real_adapter(self):
        verdict = read_log(LOG.format(adapter="Some GPU, arch=y", kind="Discrete GPU"))
        assert (verdict.adapter, verdict.is_software) == ("Some GPU", False)

    def test_nothing(self):
        verdict = read_log("INFO: nothing of note\n")
        assert (verdict.adapter, verdict.is_software, verdict.refused) == ("", False, ())


def test_without_a_driver_it_is_an_error_and_never_the_cpu(files, tmp_path):
    nowhere = str(tmp_path / "none.json")
    for strict in (True, False):
        found, _ = load(files.float32, strict, VK_ICD_FILENAMES=nowhere, VK_DRIVER_FILES=nowhere, LD_LIBRARY_PATH="")
        assert "no Vulkan adapter" in found["message"]
        assert "Vulkan driver" in found["hint"]


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["float32", "int8", "uint8", "int8_float_io"])
def test_matches_the_cpu(files, name):
    (adapter, _, whole, there), _ = load(getattr(files, name), **software_vulkan())
    assert adapter
    assert whole
    (nothing, software, _, here), _ = load(getattr(files, name), accelerator="cpu")
    assert (nothing, software) == (None, False)
    # Half precision on adapters that have it; one step of 1/256 in 8 bits.
    np.testing.assert_allclose(there, here, atol=5e-3)


@pytest.mark.gpu
def test_a_software_adapter_is_known_as_one(files):
    variables = software_vulkan()
    if not variables:
        pytest.skip("VK_ICD_FILENAMES or VK_DRIVER_FILES chooses the adapter")
    (adapter, software, _, _), _ = load(files.float32, **variables)
    assert "SwiftShader" in adapter
    assert software


@pytest.mark.gpu
def test_refused_operators_are_named(refused):
    found, _ = load(refused, **software_vulkan())
    assert "REVERSE_SEQUENCE" in found["message"]
    assert "strict=False" in found["hint"]


@pytest.mark.gpu
def test_not_strict_runs_them_on_the_cpu_and_says_so(refused):
    (adapter, _, whole, there), _ = load(refused, strict=False, **software_vulkan())
    assert adapter
    assert not whole
    (_, _, _, here), _ = load(refused, accelerator="cpu")
    np.testing.assert_allclose(there, here, atol=5e-3)
