"""The stopwatch of a latency budget measures real files."""

from __future__ import annotations

from typing import Any

from edgecv.modelio import env
from edgecv.pipeline.stopwatch import stopwatch


def network(filters: int) -> Any:
    keras = env.keras()
    image = keras.Input((32, 32, 8))
    x = keras.layers.Conv2D(filters, 3, activation="relu")(keras.layers.Conv2D(filters, 3)(image))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(x))


def test_a_candidate_is_compared_with_its_parent() -> None:
    with stopwatch(network(64), wanted=True, seed=0) as measure:
        assert measure is not None
        share = measure(network(4))
    assert share > 0


def test_no_stopwatch_without_need() -> None:
    with stopwatch(None, wanted=False, seed=0) as measure:
        assert measure is None
