import hashlib

import pytest

from edgecv.core.errors import ConfigError
from edgecv.report import artifact_result
from edgecv.values.inspection import MappingSummary
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.scores import Drop
from edgecv.values.specs import Head, one_input

SPEC = one_input(name="m", input_shape=(2,), heads=(Head("y", "regression", "linear"),))
MANIFEST = Manifest(
    spec=SPEC, format="tflite", scheme="int8", method="qat", target="edgetpu", sparsity=0.5,
    provenance=Provenance(recipe={}, tools={}),
)  # fmt: skip


def test_facts_come_from_the_file_and_the_manifest(tmp_path):
    path = tmp_path / "artifacts" / "m.tflite"
    path.parent.mkdir()
    path.write_bytes(b"12345")
    mappings = [
        MappingSummary(target=t, n_ops=3, n_mapped=n, unmapped=(), kind="predicted")
        for t, n in (("cpu", 3), ("edgetpu", 2))
    ]
    drop = Drop(value=0.01, ci95=(0.0, 0.02))
    result = artifact_result(path, MANIFEST, folder=tmp_path, mappings=mappings, drop=drop)
    assert (result.name, result.path) == ("m", "artifacts/m.tflite")
    assert (result.size_bytes, result.sha256) == (5, hashlib.sha256(b"12345").hexdigest())
    assert (result.scheme, result.method, result.sparsity, result.target) == ("int8", "qat", 0.5, "edgetpu")
    assert result.mapping.n_mapped == 2
    assert [m.target for m in result.other_mappings] == ["cpu"]
    assert (result.drop, result.drop_ci95, result.value) == (0.01, (0.0, 0.02), None)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        artifact_result(tmp_path / "m.tflite", MANIFEST, folder=tmp_path)
