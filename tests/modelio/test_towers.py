import numpy as np
import pytest

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.boundary import output_names
from edgecv.modelio.towers import towers
from edgecv.values.specs import Head, InputSpec, ModelSpec

LINEAR = ("embedding", "linear")


def network(*, joined=False):
    keras = env.keras()
    first, second = keras.Input((4,), name="first"), keras.Input((3,), name="second")
    dense = keras.layers.Dense
    hidden = dense(5, name="hidden")(first)
    outputs = [dense(2, name="b")(second), dense(2, name="a")(hidden), dense(3, name="c")(hidden)]
    if joined:
        outputs.append(keras.layers.Concatenate(name="both")([hidden, second]))
    inputs = (InputSpec("first", (4,)), InputSpec("second", (3,)))
    heads = (Head("one", *LINEAR, outputs=("a", "b")), Head("two", *LINEAR, outputs=("c",)))
    return keras.Model([first, second], outputs), ModelSpec("net", inputs, heads)


def test_networks_that_share_nothing_are_taken_apart():
    model, spec = network()
    (one, own), (other, rest) = towers(model, spec)
    assert (output_names(one), output_names(other)) == (("a", "c"), ("b",))
    assert [(head.name, head.outputs) for head in own.heads] == [("one", ("a",)), ("two", ("c",))]
    assert [(head.name, head.outputs) for head in rest.heads] == [("one", ("b",))]
    assert ([i.name for i in own.inputs], [i.name for i in rest.inputs]) == (["first"], ["second"])
    values = [np.ones((1, 4), np.float32), np.ones((1, 3), np.float32)]
    whole = dict(zip(output_names(model), model(values), strict=True))
    np.testing.assert_array_equal(one(values[0])[0], whole["a"])
    np.testing.assert_array_equal(other(values[1]), whole["b"])


def test_an_output_of_both_inputs_holds_them_together():
    with pytest.raises(UnsupportedModelError, match="no model of separate networks"):
        towers(*network(joined=True))
