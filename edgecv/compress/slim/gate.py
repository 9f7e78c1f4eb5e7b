"""A layer that multiplies channels by shared gates. Imported inside functions only: it loads tensorflow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecv.compress.layer_graph import Array
from edgecv.modelio.env import keras, tensorflow


class Gate(keras().layers.Layer):  # type: ignore[misc]
    """`x * gates[labels]`; the gates belong to whoever made them, so the layer has no weights."""

    def __init__(self, gates: Any, labels: Array, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        # As an attribute, keras would track the variable as a weight of the layer.
        self._read: Callable[[], Any] = lambda: tensorflow().gather(gates, labels)

    def call(self, inputs: Any) -> Any:
        return inputs * self._read()
