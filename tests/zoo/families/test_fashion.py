import pytest

from edgecv import zoo
from tests.zoo.outline import cases, figures, sides

GOLDEN = {("cnn_fashion", "canonical"): (1_413_834, 1_413_834, 89_466_496)}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_layers_and_stages():
    model, spec = zoo.build("cnn_fashion")
    assert [layer.name for layer in model.layers] == [
        "image", "conv1", "pool1", "conv2a", "conv2b", "pool2", "conv3a", "conv3b", "pool3",
        "flatten", "fc1", "drop1", "fc2", "drop2", "output",
    ]  # fmt: skip
    assert sides("cnn_fashion", "conv1", "pool1", "pool2", "pool3") == [28, 14, 7, 3]
    assert spec.labels[9] == "Ankle boot"
