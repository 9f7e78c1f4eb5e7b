"""TensorFlow as the baseline's engine: on the CPU for real, on a GPU as far as a host without one can tell."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgecv.convert.graphdef import write_graphdef
from edgecv.core.errors import ConfigError, DeviceError, PartialAccelerationError, UnsupportedModelError
from edgecv.runtime import open_session
from edgecv.runtime.engines import tensorflow as engine

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def graph(net, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tf") / "net.graphdef"
    write_graphdef(net, path)
    return path


# In a process of its own: TensorFlow takes threads and placement before its first operator only.
RUN = """
import json, sys
import numpy as np
from edgecv.core.errors import EdgecvError
from edgecv.runtime import open_session
path, accelerator, claim = sys.argv[1:4]
import tensorflow as tf
if claim == "claim":
    real = tf.config.list_physical_devices
    tf.config.list_physical_devices = lambda kind=None: real("CPU")
try:
    session = open_session(path, engine="tensorflow", accelerator=accelerator, threads=1)
    session.fill(0)
    session.invoke()
    print(json.dumps({"outputs": [o.tolist() for o in session.get_outputs()], "engine": session.engine,
                      "inputs": [list(i.shape) for i in session.inputs]}))
except EdgecvError as error:
    print(json.dumps({"error": type(error).__name__, "message": error.message}))
"""


def run(path: Path, accelerator: str, claim: str = "") -> dict[str, object]:
    command = [sys.executable, "-c", RUN, str(path), accelerator, claim]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_answers_as_the_keras_model_does(graph, net):
    found = run(graph, "cpu")
    assert str(found["engine"]).startswith("tensorflow ")
    assert found["inputs"] == [[1, 8, 8, 1]]
    image = np.random.default_rng(0).random((1, 8, 8, 1)).astype(np.float32)
    np.testing.assert_allclose(found["outputs"][0], net(image).numpy(), atol=1e-6)


def test_without_a_gpu_it_is_an_error_and_never_the_cpu(graph):
    tensorflow = pytest.importorskip("tensorflow")
    if tensorflow.config.list_physical_devices("GPU"):
        pytest.skip("this host has a GPU")
    with pytest.raises(DeviceError, match="sees no GPU"):
        open_session(graph, engine="tensorflow", accelerator="gpu")


@pytest.mark.slow
def test_the_graph_is_bound_to_the_gpu_and_never_runs_elsewhere(graph):
    found = run(graph, "gpu", "claim")
    assert found["error"] == "DeviceError", found
    assert "/device:GPU:0" in str(found["message"])


def test_an_operator_without_a_gpu_kernel_is_a_partial_acceleration():
    session = engine.TensorflowGpuSession.__new__(engine.TensorflowGpuSession)
    session.adapter, session.engine = "Some GPU", "tensorflow 2"
    reason = "Cannot assign a device for operation net/nms: Could not satisfy explicit device specification"
    refusal = session._failed(reason)
    assert isinstance(refusal, PartialAccelerationError)
    assert "net/nms" in refusal.message
    assert type(session._failed("out of memory")) is DeviceError


def test_float16_is_no_precision_of_a_float32_graph(graph):
    with pytest.raises(ConfigError, match="the graph's own type"):
        open_session(graph, engine="tensorflow", accelerator="gpu", precision="float16")


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"inputs": [], "outputs": []}\n\xff\xff'])
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "x.graphdef"
    path.write_bytes(content)
    with pytest.raises(UnsupportedModelError, match="no frozen graph"):
        engine._read(pytest.importorskip("tensorflow"), str(path))
