"""int8 files of the applications at full size: pure integer, and as large as such files are."""

import pytest

from edgecv.jobs import zoo_check as matrix

# Bytes of the int8 .tflite that TensorFlow 2.21 makes of random weights, without a manifest.
GOLDEN = {
    "mobilenet_v2": 3_940_032,
    "mobilenet_v1": 4_524_800,
    "efficientnet_b0": 6_064_448,
    "nasnet_mobile": 6_289_096,
    "densenet121": 8_259_568,
    "resnet50_v1": 26_198_560,
    "xception": 24_083_648,
    "inception_v3": 24_281_168,
    "unet_small": 1_903_440,
    "facenet": 23_674_112,
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_int8_file_size(name):
    (cell,) = matrix.cells(name, ways=("int8-ptq",), formats=("tflite",), targets=("edgetpu",), labels=None)
    assert cell.error == ""
    # The manifest with its golden vectors adds up to a hundred kilobytes; folded constants save up to 6 %.
    assert 0.94 * GOLDEN[name] <= cell.size_bytes <= 1.02 * GOLDEN[name] + 150_000
