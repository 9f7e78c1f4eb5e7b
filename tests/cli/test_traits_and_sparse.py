"""Pruned and clustered models on the command line: what is kept by training on, and what zeros are worth."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgecv.runtime.container import read_manifest

from .conftest import Made, edgecv


@pytest.fixture(scope="module")
def pruned(made: Made) -> tuple[Path, dict[str, object]]:
    out = made.keras.with_name("pruned.keras")
    done = edgecv("prune", made.keras, "--sparsity", "0.8", "--epochs", 2, "-o", out, "--json")
    assert done.code == 0, done.err
    return out, json.loads(done.out)


@pytest.fixture(scope="module")
def both(pruned: tuple[Path, dict[str, object]]) -> Path:
    out = pruned[0].with_name("both.keras")
    done = edgecv("prune", pruned[0], "--clusters", "8", "--epochs", 1, "-o", out)
    assert done.code == 0, done.err
    return out


def test_prune_says_that_zeros_make_this_network_no_faster(pruned: tuple[Path, dict[str, object]]) -> None:
    assert pruned[1]["sparse_kernels"] == {
        "layers": [], "sparse": 0, "danger": "", "where": "Arm processors; x86 only without AVX",
    }  # fmt: skip


def test_a_sparse_file_is_smaller_and_says_what_runs_sparse(
    made: Made, pruned: tuple[Path, dict[str, object]], tmp_path: Path
) -> None:
    out = tmp_path / "sparse.tflite"
    done = edgecv("convert", pruned[0], "--sparse", "-o", out)
    assert done.code == 0, done.err
    assert "smaller, and no faster: XNNPACK has sparse kernels for 1x1 convolutions only" in done.out
    assert out.stat().st_size < 0.45 * made.float32.stat().st_size
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.provenance.recipe["sparse"] is True
    checked = edgecv("verify", out)
    assert checked.code == 0, checked.err
    refused = edgecv("convert", made.keras, "--sparse", "-o", tmp_path / "no.tflite")
    assert refused.code == 2
    assert "prune first" in refused.err
    assert not (tmp_path / "no.tflite").exists()


@pytest.mark.slow
def test_training_with_quantisation_keeps_zeros_and_clusters(both: Path, tmp_path: Path) -> None:
    out = tmp_path / "qat.tflite"
    done = edgecv("quantize", both, "--method", "qat", "--epochs", 1, "-o", out, "--json")
    assert done.code == 0, done.err
    assert "keeps 80.0% zeros, 8 values in each kernel" in done.err
    kept = json.loads(done.out)["kept"]
    assert kept["source"]["clusters"] == 8
    assert kept["zeros"] >= kept["source"]["sparsity"] - 1e-9
    assert kept["values_per_channel"] <= 8
    assert kept["gzip_bytes"] < 0.5 * out.stat().st_size
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.provenance.recipe["keeps"]["clusters"] == 8
    shown = edgecv("quantize", both, "-o", out, "--force")
    assert "8 values in each kernel" in shown.out
    assert "at most 8 values in an output channel" in shown.out
