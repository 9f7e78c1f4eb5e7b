import numpy as np

from edgecv.zoo.families.lenet_codes import HEIGHT, WIDTH, digit_codes


def test_codes_are_ten_distinct_bitmaps_of_plus_and_minus_one():
    codes = np.array(digit_codes())
    assert codes.shape == (10, WIDTH * HEIGHT) == (10, 84)
    assert set(codes.ravel()) == {-1.0, 1.0}
    distances = (codes[:, None] != codes[None]).sum(-1) + 84 * np.eye(10, dtype=int)
    assert distances.min() >= 12


def test_a_code_reads_row_by_row():
    eight = np.array(digit_codes()[8]).reshape(HEIGHT, WIDTH)
    assert (eight == eight[:, ::-1]).all()
    one = np.array(digit_codes()[1]).reshape(HEIGHT, WIDTH)
    assert (one[:, 3] == 1).all()
