from __future__ import annotations

import itertools

import numpy as np
import pytest

from edgecv.bench import matching
from edgecv.bench.matching import Match, by_name, fits, in_order

CONV, DEPTH, FC = "Convolution (NHWC, QC8) IGEMM", "Convolution (NHWC, QC8) DWConv", "Fully Connected (NC, F32) GEMM"


def indices(matches):
    return [match.index for match in matches]


@pytest.mark.parametrize(
    ("name", "op", "expected"),
    [
        (CONV, "CONV_2D", True),
        (CONV, "DEPTHWISE_CONV_2D", False),
        (DEPTH, "DEPTHWISE_CONV_2D", True),
        (DEPTH, "CONV_2D", False),
        (FC, "FULLY_CONNECTED", True),
        (FC, "CONV_2D", True),
        (FC, "DEPTHWISE_CONV_2D", False),
        ("Average Pooling (NHWC, F32) Average Pooling", "AVERAGE_POOL_2D", True),
        ("Mean (ND) Reduce2", "MEAN", True),
        ("Softmax (NC, F32)", "SOFTMAX", True),
        ("TanH (NC)", "TANH", True),
        ("Sine (NC)", "SIN", True),
        ("Add (ND)", "ADD", True),
        ("Add (ND)", "MUL", False),
        ("CUMSUM", "CUMSUM", True),
        ("Static Reshape (NC)", "RESHAPE", True),
    ],
)
def test_what_fits_what(name, op, expected):
    assert fits(name, op) is expected


def test_a_plain_chain():
    found = in_order([CONV, DEPTH, FC, "Softmax (NC, F32)"], [None] * 4,
                     ["CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "SOFTMAX"])  # fmt: skip
    assert found == tuple(Match(index=i, certain=True) for i in range(4))


def test_work_that_xnnpack_adds_belongs_to_nobody():
    names = [CONV, "Static Reshape (NC)", FC, "Softmax (NC, F32)"]
    found = in_order(names, [None] * 4, ["CONV_2D", "FULLY_CONNECTED", "SOFTMAX"])
    assert indices(found) == [0, None, 1, 2]
    assert all(match.certain for match in found)


def test_operators_that_xnnpack_fused_away_are_skipped():
    found = in_order([CONV, CONV], [None, None], ["PAD", "CONV_2D", "RELU", "CONV_2D"])
    assert indices(found) == [1, 3]
    assert all(match.certain for match in found)


def test_several_explanations_are_not_certain():
    found = in_order(["Add (ND)"], [None], ["ADD", "MUL", "ADD"])
    assert found == (Match(index=0, certain=False),)
    twice = in_order(["Static Reshape (NC)"] * 2, [None] * 2, ["RESHAPE"])
    assert indices(twice) == [0, None], "one operator is never two rows' work"
    assert not any(match.certain for match in twice)


def test_a_known_operator_anchors_the_others():
    names, ops = ["Add (ND)", "SOFTMAX", "Add (ND)"], ["ADD", "ADD", "SOFTMAX", "ADD", "ADD"]
    found = in_order(names, [None, 2, None], ops)
    assert found[1] == Match(index=2, certain=True)
    assert found[0].index in (0, 1)
    assert found[2].index in (3, 4)
    assert not found[0].certain


def test_nothing_fits_or_nothing_is_there():
    assert in_order(["Mystery (NC)"], [None], ["CONV_2D"]) == (Match(index=None, certain=True),)
    assert in_order([], [], ["CONV_2D"]) == ()
    assert in_order([CONV], [None], []) == (Match(index=None, certain=True),)


def test_the_alignment_is_the_best_of_all():
    """Against every subset of pairs, on small random cases."""
    rng = np.random.default_rng(0)
    kinds = {"Add (ND)": "ADD", "Multiply (ND)": "MUL", "Clamp (NC)": "RELU"}
    for _ in range(60):
        names = [list(kinds)[i] for i in rng.integers(3, size=rng.integers(1, 5))]
        ops = [list(kinds.values())[i] for i in rng.integers(3, size=rng.integers(1, 6))]
        found = indices(in_order(names, [None] * len(names), ops))
        used = [index for index in found if index is not None]
        assert used == sorted(set(used))
        assert all(index is None or kinds[name] == ops[index] for name, index in zip(names, found, strict=True))
        most = max(
            size
            for size in range(min(len(names), len(ops)) + 1)
            for rows in itertools.combinations(range(len(names)), size)
            for columns in itertools.combinations(range(len(ops)), size)
            if all(kinds[names[r]] == ops[c] for r, c in zip(rows, columns, strict=True))
        )
        assert len(used) == most


def test_names_that_onnx_runtime_derives():
    nodes = [("c1/Conv", ("v1",)), ("c1/Tanh", ("v2",)), ("f6/Gemm", ("v3",)), ("", ("probabilities",))]
    rows = ["v2_nchwc", "ReorderOutput_token_3", "fused f6/Gemm", "c1/Conv", "probabilities_quant"]
    assert indices(by_name(rows, nodes)) == [1, None, 2, 0, 3]
    assert [match.certain for match in by_name(rows, nodes)] == [True, False, True, True, True]


def test_the_known_kinds_are_plain_names():
    assert all(kind == matching._plain(kind) for kind in matching._XNNPACK)
