"""Kernels as matrices and back, and the integer grid, by hand and against TFLite's rule."""

import numpy as np
import pytest

from edgecv.compress import weight_grid as grid


def test_scales_and_integers_by_hand():
    matrix = np.array([[[1.0, -0.5], [-2.0, 0.26]]])
    scales = grid.full_scales(matrix, bits=4, per_channel=True)
    assert scales.tolist() == [[[pytest.approx(2 / 7), pytest.approx(0.5 / 7)]]]
    assert grid.nearest(matrix, scales, bits=4).tolist() == [[[4, -7], [-7, 4]]]
    whole = grid.full_scales(matrix, bits=8, per_channel=False)
    assert np.unique(whole).tolist() == [2 / 127]
    assert grid.nearest(matrix, whole, bits=8).tolist() == [[[64, -32], [-127, 17]]]


def test_a_channel_of_zeros_has_a_scale_that_divides():
    scales = grid.full_scales(np.zeros((1, 3, 2)), bits=8, per_channel=True)
    assert np.all(scales == 1)
    assert not grid.nearest(np.zeros((1, 3, 2)), scales, bits=8).any()


@pytest.mark.parametrize(
    ("kind", "shape", "groups"),
    [("Conv2D", (3, 2, 4, 5), 1), ("DepthwiseConv2D", (3, 2, 4, 2), 4), ("Dense", (6, 5), 1)],
)
def test_matrix_and_kernel_are_one_to_one(kind, shape, groups):
    kernel = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    matrix = grid.to_matrix(kind, kernel)
    assert matrix.shape[0] == groups
    assert matrix.size == kernel.size
    assert np.array_equal(grid.from_matrix(kind, matrix, shape), kernel)


def test_columns_of_a_depthwise_matrix_are_output_channels():
    kernel = np.zeros((2, 2, 3, 2), np.float32)
    kernel[:, :, 1, 1] = 5
    matrix = grid.to_matrix("DepthwiseConv2D", kernel)
    assert matrix[1, :, 1].tolist() == [5, 5, 5, 5]
    assert np.count_nonzero(matrix) == 4
