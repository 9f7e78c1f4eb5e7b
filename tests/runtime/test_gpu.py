"""LiteRT's GPU accelerator, on whatever Vulkan adapter there is; a software one will do for everything but times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DeviceError
from edgecv.graphs import read_tflite
from edgecv.runtime import open_session
from edgecv.runtime.engines.gpu_program import probe_model
from edgecv.runtime.engines.litert_gpu import _check, read_log

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
INVALID = """I0000 00:00:17.54 84 environment.cc:532] Selected adapter: Some GPU, arch=y, adapterType=Discrete GPU
E0000 00:00:17.57 84 environment.cc:105] Validation error: Binding size for [Buffer (unlabeled)] is zero.
"""

LOAD = """
import json, sys
import numpy as np
import edgecv.runtime as runtime
from edgecv.core.errors import DeviceError
path, strict, accelerator = sys.argv[1], sys.argv[2] == "strict", sys.argv[3]
options = json.loads(sys.argv[4])
image = (np.arange(64, dtype=np.uint8) * 4).reshape(8, 8)
try:
    with runtime.load(path, accelerator=accelerator, strict=strict, **options) as model:
        session = model.session
        found = [model.adapter, model.is_software_adapter, model.fully_accelerated]
        found.append(model.predict(image).outputs[0].tolist())
        if options:
            found = {"outputs": found[-1], "precision": model.precision, "compile_ms": session.compile_ms,
                     "from_cache": session.from_cache, "counts": [session.n_accelerated, session.n_operators]}
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


def load(
    path: Path,
    strict: bool = True,
    accelerator: str = "gpu",
    options: dict[str, object] | None = None,
    **variables: str,
) -> tuple[object, str]:
    """Load and ask in a process of its own; return what it printed, which is JSON and nothing else, and its stderr."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LOAD,
            str(path),
            "strict" if strict else "mixed",
            accelerator,
            json.dumps(options or {}),
        ],
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

    def test_counts(self):
        assert read_log(LOG.format(adapter="Some GPU, arch=y", kind="Discrete GPU")).counts == (1, 3)
        none = "No operations will run on the GPU, and all 4 operations will run on the CPU.\n"
        assert read_log(none).counts == (0, 4)
        assert read_log("").counts == (None, None)

    def test_invalid_programs_are_an_error_though_it_takes_the_file(self):
        with pytest.raises(DeviceError, match="answers would be wrong: Binding size") as raised:
            _check("m.tflite", read_log(INVALID), None, True, INVALID)
        assert "grouped convolutions" in raised.value.hint


def test_the_probe_is_one_float_operator(tmp_path):
    graph = read_tflite(probe_model())
    assert [op.op for op in graph.ops] == ["ABS"]
    assert [(graph.tensors[i].dtype, graph.tensors[i].shape) for i in graph.ops[0].inputs] == [("float32", (1, 4))]


def test_options_of_a_gpu_are_errors_elsewhere_and_when_unknown(files, tmp_path):
    with pytest.raises(ConfigError, match="on the cpu takes no precision"):
        open_session(files.float32, precision="float16")
    with pytest.raises(ConfigError, match="takes no program cache"):
        open_session(files.float32, program_cache=tmp_path)
    with pytest.raises(ConfigError, match="unknown precision 'float61'") as raised:
        open_session(files.float32, accelerator="gpu", precision="float61")
    assert "float16" in raised.value.hint


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


@pytest.fixture(scope="module")
def five_axes(tmp_path_factory) -> Path:
    """A classifier with a channel shuffle: tensors of five axes, which XNNPACK takes and the GPU refuses."""
    from edgecv.convert.embed import embed_tflite
    from edgecv.modelio import env

    from .conftest import convert, manifest

    keras, tf = env.keras(), env.tensorflow()

    class Shuffle(keras.layers.Layer):
        def call(self, x):
            return tf.reshape(tf.transpose(tf.reshape(x, (1, 6, 6, 2, 2)), (0, 1, 2, 4, 3)), (1, 6, 6, 4))

    layers = [keras.layers.Conv2D(4, 3), Shuffle(), keras.layers.Flatten(), keras.layers.Dense(5, "softmax")]
    net = keras.Sequential([keras.layers.Input((8, 8, 1)), *layers])
    path = tmp_path_factory.mktemp("gpu") / "five.tflite"
    path.write_bytes(embed_tflite(convert(net), manifest("tflite", "float32")))
    return path


@pytest.mark.gpu
def test_what_xnnpack_takes_is_not_called_accelerated(five_axes):
    found, _ = load(five_axes, False, options={"precision": "float32"}, **software_vulkan())
    taken, whole = found["counts"]
    assert whole == len(read_tflite(five_axes).ops)
    assert 0 <= taken < whole
    found, _ = load(five_axes, True, **software_vulkan())
    assert "less than 5" in found["message"]


@pytest.mark.gpu
def test_precision_is_what_was_asked_and_found_out_on_the_adapter(files):
    (_, _, _, here), _ = load(files.float32, accelerator="cpu")
    answers = {}
    for precision in ("float16", "float32"):
        found, _ = load(files.float32, options={"precision": precision}, **software_vulkan())
        assert found["precision"] == precision
        assert found["compile_ms"] > 0
        answers[precision] = np.array(found["outputs"])
    np.testing.assert_allclose(answers["float32"], here, atol=1e-6)
    np.testing.assert_allclose(answers["float16"], here, atol=5e-3)
    assert np.abs(answers["float16"] - here).max() > 1e-6, "16 bits that round nothing are 32"


@pytest.mark.gpu
def test_compiled_programs_come_from_the_cache_at_the_second_start(files, tmp_path):
    options = {"precision": "float16", "program_cache": str(tmp_path / "programs")}
    first, _ = load(files.float32, options=options, **software_vulkan())
    second, _ = load(files.float32, options=options, **software_vulkan())
    assert (first["from_cache"], second["from_cache"]) == (False, True)
    assert second["outputs"] == first["outputs"]
    other, _ = load(files.int8, options=options, **software_vulkan())
    assert not other["from_cache"], "another model's programs must not be served"
    assert len(list((tmp_path / "programs").iterdir())) == 2


@pytest.mark.gpu
def test_a_cache_that_cannot_be_made(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        open_session(files.float32, accelerator="gpu", program_cache=tmp_path / "file" / "programs")
