"""What tests of targets share."""

from __future__ import annotations

import pytest

from edgecv.targets import inspect
from tests.graphs.tiny import Net, build


@pytest.fixture
def judge(tmp_path):
    """Return the Edge TPU's judgement of a small network."""

    def run(net: Net):
        path = tmp_path / "m.tflite"
        path.write_bytes(build(net))
        return inspect(path, "edgetpu")

    return run
