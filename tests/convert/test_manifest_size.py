"""Golden vectors of maps are samples and digests, so that a manifest stays small however large the outputs are."""

import pytest

from edgecv import zoo
from edgecv.convert import convert
from edgecv.modelio import manifest_for
from edgecv.runtime import load, read_manifest, replay
from edgecv.values.manifest import to_json
from tests.convert.conftest import loaded

MOST = 64 * 1024


@pytest.mark.parametrize("size", [32, 160])
def test_a_manifest_of_maps_is_small(size, tmp_path):
    model, spec = zoo.build("unet_small", input_shape=(size, size, 3), width=0.05)
    source = loaded(model, manifest_for(spec, recipe={"step": "test"}))
    made = convert(source, format="tflite", scheme="float32", out=tmp_path / "m.tflite")
    text = to_json(read_manifest(made.path))
    assert len(text.encode()) <= MOST
    with load(made.path) as predictor:
        assert replay(predictor).passed
