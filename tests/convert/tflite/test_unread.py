"""Splits of which a part is not read become slices, and other splits stay."""

import numpy as np
import pytest

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import converter as tflite
from edgecv.convert.tflite.unread import without_unread_parts
from edgecv.core.optional import require
from edgecv.graphs import read_tflite
from edgecv.modelio import env


def parts(tf, kind, x):
    if kind == "SPLIT":
        return tf.split(x, 3, axis=-1)
    return tf.split(x, [1, 3, 2], axis=-1) if kind == "SPLIT_V" else tf.unstack(x, axis=1)


def file_of(kind, chosen):
    keras, tf = env.keras(), env.tensorflow()
    i = keras.Input((3, 6), name="x")
    found = keras.layers.Lambda(lambda x: parts(tf, kind, x), name="parts")(i)
    out = keras.layers.Concatenate(name="out")([found[index] for index in chosen])
    return tflite.convert_float(freeze(keras.Model(i, out, name="net")), "float32")


def answer(data, values):
    interpreter = require("ai_edge_litert.interpreter", why="to run a file").Interpreter(model_content=data)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize("kind", ["SPLIT", "SPLIT_V", "UNPACK"])
def test_the_parts_that_are_read_are_sliced(kind):
    values = np.arange(18, dtype=np.float32).reshape(1, 3, 6)
    data = file_of(kind, (0, 2))
    assert kind in {op.op for op in read_tflite(data).ops}
    changed = without_unread_parts(data)
    assert [op.op for op in read_tflite(changed).ops].count("STRIDED_SLICE") == 2
    assert kind not in {op.op for op in read_tflite(changed).ops}
    # By hand: the first and last third, the columns 0, 4 and 5, or the first and last row.
    expected = {
        "SPLIT": values[..., [0, 1, 4, 5]],
        "SPLIT_V": values[..., [0, 4, 5]],
        "UNPACK": values[:, [0, 2]].reshape(1, 12),
    }[kind]
    np.testing.assert_array_equal(answer(changed, values), expected)


@pytest.mark.parametrize("kind", ["SPLIT", "UNPACK"])
def test_splits_that_are_read_whole_stay(kind):
    data = file_of(kind, (0, 1, 2))
    assert without_unread_parts(data) is data
