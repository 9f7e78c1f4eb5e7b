"""SavedModels without layers that serve several functions, with open batch, height and width."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.jobs import contract, models
from edgecv.modelio import env
from tests.cli.conftest import edgecv


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tf.Module with two functions, neither of them the one that is served by default."""
    tf, rng = env.tensorflow(), np.random.default_rng(0)

    class Net(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.kernel = tf.Variable(rng.normal(0, 0.3, (3, 3, 1, 8)).astype(np.float32))
            self.dense = tf.Variable(rng.normal(0, 0.3, (8, 10)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1), tf.float32, "image")])  # type: ignore[untyped-decorator]
        def classify(self, image):  # type: ignore[no-untyped-def]
            return {"scores": tf.nn.softmax(self.embed(image)["vector"] @ self.dense)}

        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.float32, "image")])  # type: ignore[untyped-decorator]
        def embed(self, image):  # type: ignore[no-untyped-def]
            return {"vector": tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(image, self.kernel, 2, "SAME")), [1, 2])}

    net, folder = Net(), tmp_path_factory.mktemp("served") / "two"
    tf.saved_model.save(net, str(folder), signatures={"classify": net.classify, "embed": net.embed})
    return folder


def test_one_of_two_is_chosen_and_calibrated(two: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.tflite"
    line = ("quantize", two, "--preset", "unit", "--data", "digits", "--out", out)
    undecided = edgecv(*line)
    assert undecided.code == 2
    assert "has no signature 'serving_default': it has classify, embed" in undecided.err
    assert "--signature classify" in undecided.err
    done = edgecv(*line, "--signature", "classify")
    assert done.code == 0, done.err
    assert "holds 10 probabilities" in done.err
    assert "softmax would be taken twice" not in done.err
    assert {part.split(":")[0] for part in done.err.splitlines()} >= {"wrote " + str(out)}
    assert not [one for one in done.err.splitlines() if one.startswith(("I0", "W0", "E0", "WARNING"))]


def test_open_sizes_are_given(two: Path) -> None:
    source = models.Source(path=two, signature="embed", preset="unit")
    with pytest.raises(UnsupportedModelError, match="dynamic shape"):
        models.load(source)
    loaded = contract.opened(models.Source(path=two, signature="embed", preset="unit", input_size="12x16"))
    assert loaded.model.input_shape == (None, 12, 16, 1)
    assert [head.activation for head in loaded.require_spec().heads] == ["logits"]


def test_a_name_that_is_none_is_refused(two: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="no signature 'other': it has classify, embed"):
        models.load(models.Source(path=two, signature="other"))
    file = tmp_path / "m.keras"
    file.write_bytes(b"PK\x03\x04")
    with pytest.raises(ConfigError, match="has no signatures"):
        models.load(models.Source(path=file, signature="other"))
