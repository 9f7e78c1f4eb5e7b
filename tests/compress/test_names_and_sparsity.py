"""Names lead back to the source layers, and zeros are counted in the weights that pruning is about."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.compress import measure, source_layer_name
from tests.train.small import model


@pytest.mark.parametrize(
    ("name", "source"),
    [("quant_c1", "c1"), ("prune_low_magnitude_c1", "c1"), ("c1", "c1"), ("quantize_layer", None)],
)
def test_source_layer_names(name: str, source: str | None) -> None:
    assert source_layer_name(name) == source


def test_zeros_are_counted_by_layer_and_biases_are_not() -> None:
    net = model()
    kernel, bias = net.get_layer("c1").get_weights()
    kernel[..., :2] = 0.0
    net.get_layer("c1").set_weights([kernel, np.zeros_like(bias)])
    found = measure(net)
    assert found.zeros_by_layer == {"c1": 18, "output": 0}
    assert found.size_by_layer == {"c1": 72, "output": 2880}
    assert found.share == pytest.approx(18 / 2952)
    assert found.by_layer["c1"] == pytest.approx(0.25)
