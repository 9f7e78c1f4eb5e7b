"""Answers from an agent: what it takes, what it refuses, and that the host's predictor reads them as its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgecv.bench.devices import LocalDevice
from edgecv.bench.remote import open_on_device
from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.runtime import load

FINE = {"dtype": "float32", "shape": [1, 4], "data": "AACAPwAAAEAAAEBAAACAQA=="}


@pytest.fixture
def loaded(onnx_file):
    channel = LocalDevice().start()

    def ask(request):
        channel.send(json.dumps(request))
        return json.loads(channel.receive(60))

    answer = ask({"command": "load", "path": str(onnx_file)})
    assert answer["inputs"] == [{"name": "x", "shape": [1, 4], "dtype": "float32", "scale": None, "zero_point": None}]
    assert answer["outputs"][0]["shape"] == [1, 3]
    yield ask
    channel.close()


def test_answers_come_in_order(loaded):
    zero = {**FINE, "data": "A" * 22 + "=="}
    answer = loaded({"command": "predict", "samples": [[FINE], [zero]]})
    raw = [np.frombuffer(__import__("base64").b64decode(one["data"]), "<f4").tolist() for (one,) in answer["samples"]]
    assert raw == [[10, 10, 10], [0, 0, 0]]
    assert loaded({"command": "predict", "samples": []}) == {"samples": []}


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (None, "'samples' must be a list"),
        ([FINE], "sample 0 must be a list of 1 tensors"),
        ([[]], "sample 0 must be a list of 1 tensors"),
        ([[FINE, FINE]], "sample 0 must be a list of 1 tensors"),
        ([[FINE], [{"dtype": "float32", "shape": [1, 4]}]], "sample 1: the key 'data' is missing"),
        ([[{**FINE, "dtype": "float64", "shape": [1, 2]}]], "input 'x' takes float32 (1, 4), got float64 (1, 2)"),
        ([[{**FINE, "shape": [4]}]], "got float32 (4,)"),
        ([[{**FINE, "shape": [1, 5]}]], "cannot be read"),
        ([[{**FINE, "data": "%%%"}]], "cannot be read"),
        ([[{**FINE, "data": "A"}]], "cannot be read"),
        ([[{**FINE, "dtype": "object"}]], "cannot be read"),
        ([[{**FINE, "dtype": "os.system"}]], "cannot be read"),
        ([[7]], "expected a table, got int"),
    ],
)
def test_wrong_samples_are_refused_and_the_agent_lives_on(loaded, samples, words):
    error = loaded({"command": "predict", "samples": samples})["error"]
    assert error["type"] in ("ConfigError", "DeviceError")
    assert words in error["message"]
    assert "samples" in loaded({"command": "predict", "samples": [[FINE]]})


def test_a_predictor_on_a_device_is_one_of_this_hosts(lenet):
    rng = np.random.default_rng(0)
    with load(lenet) as here, open_on_device(lenet, LocalDevice()) as there:
        assert there.engine == here.engine
        assert there.inputs == here.inputs
        assert there.outputs == here.outputs
        shape = here.inputs[0].shape
        batch = rng.random((5, *shape[1:])).astype(np.float32)
        (answers,) = there.run([batch])
        expected = np.concatenate([here.run([batch[i : i + 1]])[0] for i in range(5)])
        assert (answers == expected).all()
        image = rng.integers(0, 256, (20, 20), dtype=np.uint8)
        assert there.predict(image).label == here.predict(image).label
        with pytest.raises(DataError, match="takes shape"):
            there.run([batch[:, :3]])
        with pytest.raises(DataError, match="takes 1 inputs, got 2"):
            there.run([batch, batch])


def test_a_file_without_a_contract(onnx_file):
    with pytest.raises(UnsupportedModelError, match="no edgecv manifest"):
        open_on_device(onnx_file, LocalDevice())
