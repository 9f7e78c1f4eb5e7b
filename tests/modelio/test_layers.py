import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError
from edgecv.modelio import env, layers
from edgecv.zoo.families.lenet import C3_TABLE

tf, keras = env.tensorflow(), env.keras()


@st.composite
def tables(draw):
    channels = draw(st.integers(1, 5))
    row = st.lists(st.integers(0, channels - 1), min_size=1, unique=True)
    return channels, draw(st.lists(row, min_size=1, max_size=6))


@settings(max_examples=25, deadline=None)
@given(case=tables(), kernel=st.integers(1, 3), padding=st.sampled_from(["valid", "same"]), seed=st.integers(0, 99))
def test_sparse_conv_equals_a_masked_dense_one(case, kernel, padding, seed):
    channels, table = case
    rng = np.random.default_rng(seed)
    image = rng.standard_normal((2, 5, 6, channels)).astype(np.float32)
    sparse = layers.SparseConv2D(table, kernel, padding=padding)
    sparse.build((None, 5, 6, channels))
    dense_kernel = rng.standard_normal((kernel, kernel, channels, len(table))).astype(np.float32)
    mask = layers.connection_mask(table, kernel, channels)
    bias = rng.standard_normal(len(table)).astype(np.float32)
    sparse.set_weights([dense_kernel[mask], bias])
    expected = tf.nn.conv2d(image, dense_kernel * mask, 1, padding.upper()).numpy() + bias
    assert sparse(image).numpy() == pytest.approx(expected, abs=1e-5)
    assert tuple(sparse.compute_output_shape((2, 5, 6, channels))) == expected.shape


def test_sparse_conv_by_hand():
    layer = layers.SparseConv2D([[1], [0, 1]], 1)
    layer.build((None, 1, 1, 2))
    # C order of the kernel (1, 1, in, out): in 0 -> out 1, in 1 -> out 0, in 1 -> out 1
    layer.set_weights([np.array([10.0, 2.0, 3.0]), np.array([0.0, 1.0])])
    assert layer(np.array([[[[5.0, 7.0]]]], np.float32)).numpy().ravel().tolist() == [14.0, 10 * 5 + 3 * 7 + 1]


def test_c3_of_1998():
    layer = layers.SparseConv2D(C3_TABLE, 5)
    layer.build((None, 14, 14, 6))
    assert [w.shape.as_list() for w in layer.trainable_weights] == [[1500], [16]]
    assert layer.macs((None, 10, 10, 16)) == 150_000
    # each map of S2 feeds ten maps of C3
    assert [sum(channel in row for row in C3_TABLE) for channel in range(6)] == [10] * 6


@pytest.mark.parametrize("table", [[[0, 2]], [[0, 0]], [[]]])
def test_wrong_tables_are_refused(table):
    with pytest.raises(ConfigError, match="connection table row 0"):
        layers.SparseConv2D(table, 3).build((None, 8, 8, 2))


def test_subsampling_by_hand():
    layer = layers.Subsampling2D(2)
    image = np.array([[1, 3, 5, 7], [4, 5, 11, 3], [4, 1, 21, 6], [13, 15, 1, 2]], np.float32)[None, ..., None]
    layer.build(image.shape)
    layer.set_weights([np.array([2.0]), np.array([0.5])])
    # averages 3.25 6.5 8.25 7.5
    assert layer(image).numpy().ravel().tolist() == [7.0, 13.5, 17.0, 15.5]


def test_subsampling_equals_average_pooling_scaled_per_channel():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((2, 7, 9, 3)).astype(np.float32)
    layer = layers.Subsampling2D(2, activation="tanh")
    layer.build(image.shape)
    scale, bias = rng.standard_normal((2, 3)).astype(np.float32)
    layer.set_weights([scale, bias])
    expected = np.tanh(keras.layers.AveragePooling2D(2)(image).numpy() * scale + bias)
    assert layer(image).numpy() == pytest.approx(expected, abs=1e-6)
    assert tuple(layer.compute_output_shape(image.shape)) == expected.shape


def test_rbf_by_hand():
    layer = layers.RbfOutput([[1, -1], [-1, -1]])
    values = layer(np.array([[0.5, 2.0]], np.float32)).numpy()
    assert values.tolist() == [[0.25 + 9.0, 2.25 + 9.0]]
    assert (layer.trainable_weights, layer.macs((None, 2))) == ([], 4)


def test_rbf_refuses_another_width():
    with pytest.raises(ConfigError, match="codes have 2 features, the input 3"):
        layers.RbfOutput([[1, -1]]).build((None, 3))


def test_euclidean_distance_by_hand():
    first, second = np.array([[0, 0], [1, 1]], np.float32), np.array([[3, 4], [1, 1]], np.float32)
    layer = layers.EuclideanDistance()
    assert layer([first, second]).numpy() == pytest.approx(np.array([[5.0], [1e-7**0.5]]))
    assert layer.compute_output_shape([(None, 2), (None, 2)]) == (None, 1)


def test_euclidean_distance_has_a_slope_where_both_are_equal():
    values = tf.Variable([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(layers.EuclideanDistance()([values, tf.constant([[1.0, 2.0]])]))
    assert tape.gradient(loss, values).numpy().tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("int8", [False, True])
def test_the_distance_of_two_inputs_converts(int8):
    first, second = keras.Input((4,), name="first"), keras.Input((4,), name="second")
    model = keras.Model([first, second], layers.EuclideanDistance(name="distance")([first, second]))
    rng = np.random.default_rng(0)
    pairs = rng.random((32, 2, 1, 4)).astype(np.float32)
    specs = [tf.TensorSpec((1, 4), name=name) for name in ("first", "second")]
    function = tf.function(lambda a, b: model([a, b])).get_concrete_function(*specs)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], model)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([one, other] for one, other in pairs)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    assert [
        op["op_name"] for op in interpreter._get_ops_details() if op["op_name"] not in ("QUANTIZE", "DEQUANTIZE")
    ] == ["SUB", "MUL", "SUM", "ADD", "SQRT"]
    interpreter.allocate_tensors()
    for index, values in enumerate(pairs[0]):
        name = ("first", "second")[index]
        place = next(d for d in interpreter.get_input_details() if name in d["name"])
        interpreter.set_tensor(place["index"], values)
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert found[0, 0] == pytest.approx(np.linalg.norm(pairs[0, 0] - pairs[0, 1]), rel=0.05 if int8 else 1e-5)


def test_a_frozen_book_lenet_has_one_operator_per_layer():
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    from edgecv import zoo

    model, _ = zoo.build("lenet5", variant="book")
    call = tf.function(lambda x: model(x, training=False))
    frozen = convert_variables_to_constants_v2(call.get_concrete_function(tf.TensorSpec((1, 32, 32, 1))))
    content = tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert()
    ops = [op["op_name"] for op in tf.lite.Interpreter(model_content=content)._get_ops_details()]
    assert ops.count("CONV_2D") == 3
    assert ops.count("DEPTHWISE_CONV_2D") == 2
    assert not set(ops) & {"GATHER", "SCATTER_ND", "CONCATENATION", "MUL"}
