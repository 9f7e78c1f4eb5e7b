"""Networks of the zoo on the real accelerator, over a software adapter: coverage and answers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgecv.targets.vulkan import drivers

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def coverage():
    if not drivers():
        pytest.skip("no Vulkan driver: make swiftshader installs a software one")
    import gpu_coverage

    return gpu_coverage


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("network", "way", "precision", "whole"),
    [
        ("lenet5", "float32", "float16", True),
        pytest.param("resnet8", "float32", "float32", True, marks=pytest.mark.slow),
        pytest.param("se_resnet20", "float32", "float16", True, marks=pytest.mark.slow),
        pytest.param("mobilenet_v2", "int8-ptq", "float32", True, marks=pytest.mark.slow),
        pytest.param("alexnet", "float32", "float32", False, marks=pytest.mark.slow),
    ],
)
def test_inspect_says_what_the_accelerator_takes_and_it_answers_as_the_cpu(coverage, network, way, precision, whole):
    record = coverage.in_process(network, way, precision)
    assert not coverage.problem(record), record
    assert (record["accelerator"] == record["n_ops"]) == whole
    assert record["found_precision"] == precision
    assert record["kind"] in ("simulated", "measured")


def test_a_record_that_is_wrong_is_a_problem(coverage):
    good = {"n_ops": 5, "inspect": 5, "known_wrong": 0, "accelerator": 5, "strict": "opens", "difference": 1e-6,
            "way": "float32", "precision": "float32"}  # fmt: skip
    assert coverage.problem(good) == ""
    assert "disagree" in coverage.problem({**good, "inspect": 4})
    assert "disagree" in coverage.problem({**good, "strict": "refuses"})
    assert "differ" in coverage.problem({**good, "difference": 0.01})
    assert coverage.problem({"failed": "killed"}) == "killed"
