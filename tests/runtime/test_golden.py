from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.runtime.golden import compare
from edgecv.values.manifest import SAMPLED, Golden, pack_array, pack_output, sampled_positions, unpack_array

from .conftest import manifest


def test_the_file_answers_as_it_did(golden):
    with runtime.load(golden) as model:
        result = runtime.replay(model)
    assert result.passed
    assert (result.max_abs_diff, result.n, result.tolerance) == (0.0, 1, 1e-6)
    assert [(detail.vector, detail.output) for detail in result.details] == [(0, 0)]


def test_another_file_with_the_same_vectors_fails(golden, files):
    with runtime.load(golden) as made, runtime.load(files.int8) as other:
        other.manifest = made.manifest
        result = runtime.replay(other)
    assert not result.passed
    assert 1e-6 < result.max_abs_diff < 0.1


def test_without_vectors_there_is_nothing_to_verify(files):
    with runtime.load(files.float32) as model, pytest.raises(UnsupportedModelError, match="golden"):
        runtime.replay(model)


@pytest.mark.parametrize(
    "changes",
    [
        {"data": "A"},
        {"data": "\ufffd" * 4},
        {"dtype": "no such type"},
        {"dtype": "O"},
        {"dtype": "<U1"},
        {"dtype": "V1"},
        {"dtype": "{"},
        {"shape": (3, 2)},
        {"shape": (-2, 2)},
        {"shape": (2**70,)},
        {"shape": (2**40, 2**40)},
    ],
)
def test_a_golden_array_that_cannot_be_read_is_named(changes):
    packed = dataclasses.replace(pack_array(np.zeros((2, 2), np.uint8)), **changes)
    with pytest.raises(ConfigError, match="an array of type"):
        unpack_array(packed)


def test_a_golden_output_that_keeps_another_number_of_values_does_not_pass():
    output = dataclasses.replace(
        pack_output("y", np.zeros(3, np.float32)), values=pack_array(np.zeros((2, 5), np.float32)), sha256="0"
    )
    content = manifest("tflite", "float32", golden=(Golden(inputs=(), outputs=(output,)),), golden_tolerance=1.0)
    result = compare(content, [[np.zeros(3, np.float32)]])
    assert not result.passed
    assert result.max_abs_diff == float("inf")


def vector(*outputs: np.ndarray) -> Golden:
    packed = tuple(pack_output(str(place), output) for place, output in enumerate(outputs))
    return Golden(inputs=(pack_array(np.zeros((2, 2), np.uint8)),), outputs=packed)


class TestCompare:
    EXPECTED = np.array([0.25, 0.75], np.float32)
    CONTENT = manifest(
        "tflite",
        "float32",
        golden=(vector(EXPECTED),),
        golden_tolerance=0.125,
    )

    @pytest.mark.parametrize(
        ("answer", "difference", "passed"),
        [
            ([0.25, 0.75], 0.0, True),
            ([0.125, 0.8], 0.125, True),
            ([0.0, 0.75], 0.25, False),
            ([np.nan, 0.75], np.inf, False),
            ([0.25], np.inf, False),
        ],
    )
    def test_by_hand(self, answer, difference, passed):
        result = compare(self.CONTENT, [[np.array(answer, np.float32)]])
        assert (result.max_abs_diff, result.passed) == (difference, passed)

    def test_a_missing_output_fails(self):
        assert not compare(self.CONTENT, [[]]).passed

    def test_no_vectors_do_not_pass(self):
        assert not compare(dataclasses.replace(self.CONTENT, golden=()), []).passed

    def test_each_output_has_its_own_tolerance(self):
        years, share = np.array([30.0], np.float32), np.array([0.5], np.float32)
        content = dataclasses.replace(
            self.CONTENT, golden=(vector(years, share),), golden_tolerance=1.0, golden_tolerances=(1.0, 0.01)
        )
        assert compare(content, [[years + 0.9, share]]).passed
        result = compare(content, [[years + 0.9, share + 0.02]])
        assert (result.passed, result.tolerance) == (False, 0.01)
        assert result.max_abs_diff == pytest.approx(0.02)

    def test_an_accelerators_own_rounding_widens_the_tolerance_by_the_size_of_the_output(self):
        large = np.array([300.0, -400.0], np.float32)
        content = dataclasses.replace(self.CONTENT, golden=(vector(large),))
        near = [[large + np.float32(7.5)]]
        assert not compare(content, near).passed
        found = compare(content, near, relative=0.02)
        assert (found.passed, found.tolerance) == (True, pytest.approx(8.0))
        assert not compare(content, [[large + np.float32(8.5)]], relative=0.02).passed
        strict = compare(self.CONTENT, [[np.array([0.0, 0.75], np.float32)]], relative=1e-6)
        assert not strict.passed, "never below the file's own tolerance"


class TestLargeOutputs:
    MAP = np.random.default_rng(0).random((64, 48)).astype(np.float32)
    CONTENT = manifest("tflite", "float32", golden=(vector(MAP),), golden_tolerance=0.01)

    def test_are_kept_as_samples(self):
        (kept,) = self.CONTENT.golden[0].outputs
        assert kept.shape == (64, 48)
        assert kept.values.shape[0] <= SAMPLED

    def test_an_equal_answer_is_known_as_a_whole(self):
        result = compare(self.CONTENT, [[self.MAP]])
        assert (result.passed, result.max_abs_diff) == (True, 0.0)

    def test_the_samples_are_compared(self):
        off = self.MAP + np.float32(0.125)
        result = compare(self.CONTENT, [[off]])
        assert not result.passed
        assert result.max_abs_diff == pytest.approx(0.125)
        assert compare(self.CONTENT, [[self.MAP + np.float32(0.005)]]).passed

    def test_a_place_that_is_kept_is_seen_alone(self):
        off = self.MAP.copy()
        off.reshape(-1)[sampled_positions(off.size)[700]] += 0.5
        assert compare(self.CONTENT, [[off]]).max_abs_diff == pytest.approx(0.5)

    def test_another_shape_of_as_many_values_fails(self):
        assert not compare(self.CONTENT, [[self.MAP.reshape(48, 64)]]).passed

    def test_samples_cover_every_row_and_column(self):
        rows, columns = np.unravel_index(sampled_positions(self.MAP.size), self.MAP.shape)
        assert (len(set(rows)), len(set(columns))) == self.MAP.shape
