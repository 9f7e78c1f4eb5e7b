import numpy as np
import pytest

from edgecv import zoo
from tests.zoo.outline import cases, figures, shapes

GOLDEN = {
    ("lenet5", "canonical"): (61_706, 61_706, 416_520),
    ("lenet5", "book"): (60_840, 60_000, 326_520),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_layers_and_stages():
    assert shapes(zoo.build("lenet5")[0]) == {
        "c1": (28, 28, 6), "s2": (14, 14, 6), "c3": (10, 10, 16), "s4": (5, 5, 16),
        "c5": (1, 1, 120), "flatten": (120,), "f6": (84,), "output": (10,),
    }  # fmt: skip


def test_parameters_of_the_book_variant_per_stage():
    model, spec = zoo.build("lenet5", variant="book")
    trainable = {x.name: sum(np.prod(w.shape) for w in x.trainable_weights) for x in model.layers if x.weights}
    assert trainable == {"c1": 156, "s2": 12, "c3": 1516, "s4": 32, "c5": 48_120, "f6": 10_164, "output": 0}
    assert spec.head.activation == "distances"
    black, white = ((p - spec.preprocessing.mean[0]) / spec.preprocessing.std[0] for p in (0, 255))
    assert (black, white) == pytest.approx((-0.1, 1.175))
