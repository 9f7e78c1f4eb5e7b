import numpy as np
import pytest

from edgecv import zoo
from edgecv.convert import convert
from edgecv.data.synthetic import synthetic
from edgecv.graphs import read_graph
from edgecv.jobs.zoo_check import cells
from edgecv.modelio import LoadedModel, env, load_keras, manifest_for, save_keras
from edgecv.tasks.registry import task_of
from edgecv.train import TrainRecipe, train
from tests.zoo.outline import cases, dense, figures, outline, shapes

GOLDEN = {
    ("mlp_housing", "canonical"): (261, 261, 240),
    ("mlp_housing", "linear"): (261, 261, 240),
    ("mlp_fraud", "canonical"): (261, 261, 240),
    ("mlp_fraud", "softmax"): (272, 272, 250),
    ("mlp_bodysize", "canonical"): (215, 215, 190),
    ("mlp_multilabel", "canonical"): (227, 227, 200),
    ("mlp_multitask", "canonical"): (227, 227, 200),
    ("mlp_mnist_512x2", "canonical"): (669_706, 669_706, 668_672),
    ("mlp_mnist_512x2", "dropout"): (669_706, 669_706, 668_672),
    ("mlp_mnist_1024x2", "canonical"): (1_863_690, 1_863_690, 1_861_632),
    ("mlp_mnist_1024x2", "book"): (1_863_690, 1_863_690, 1_861_632),
    ("mlp_mnist_1024x2", "folded"): (7_850, 7_850, 7_840),
    ("mlp_mnist_512", "canonical"): (407_050, 407_050, 406_528),
    ("mlp_mnist_128x2", "canonical"): (118_282, 118_282, 118_016),
    ("mlp_mnist_128x2", "book"): (118_282, 118_282, 118_016),
    ("mlp_surgery", "canonical"): (26_176, 26_176, 26_112),
    ("mlp_surgery", "frozen"): (26_176, 25_120, 26_112),
    ("mlp_surgery", "extended"): (27_232, 27_232, 27_136),
    ("mlp_surgery", "replaced"): (26_704, 26_704, 26_624),
    ("poly_fit", "canonical"): (4, 4, 3),
    ("custom_loss_net", "canonical"): (74_570, 74_570, 74_368),
}
HIDDEN = {
    "mlp_housing": (13, 10, 10, 1), "mlp_fraud": (13, 10, 10, 1), "mlp_bodysize": (4, 10, 10, 5),
    "mlp_multilabel": (3, 10, 10, 7), "mlp_mnist_512x2": (784, 512, 512, 10), "mlp_mnist_512": (784, 512, 10),
    "mlp_mnist_1024x2": (784, 1024, 1024, 10), "mlp_mnist_128x2": (784, 128, 128, 10), "mlp_surgery": (784, 32, 32),
    "custom_loss_net": (512, 128, 64, 10),
}  # fmt: skip


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


@pytest.mark.parametrize(("name", "widths"), HIDDEN.items())
def test_parameters_by_arithmetic(name, widths):
    assert GOLDEN[name, "canonical"][0] == dense(*widths)
    kernels = [layer.kernel.shape.as_list() for layer in outline(name)[0].layers if hasattr(layer, "kernel")]
    assert kernels == [list(pair) for pair in zip(widths, widths[1:], strict=False)]


def test_features_are_fed_as_they_are_and_digits_are_grey():
    assert zoo.get("mlp_housing").spec().preprocessing is None
    assert zoo.get("mlp_housing").spec().input_shape == (13,)
    raw, unit = (zoo.get("mlp_mnist_128x2").spec(v).preprocessing for v in ("book", "canonical"))
    assert (raw.color, raw.std, unit.std) == ("gray", (1.0,), (255.0,))
    assert shapes(outline("mlp_mnist_512")[0])["flatten"] == (784,)


@pytest.mark.parametrize(
    ("name", "task", "activation", "metric", "layer"),
    [
        ("mlp_housing", "regression", "linear", "mae", "linear"),
        ("mlp_fraud", "multilabel", "probabilities", "exact_match", "sigmoid"),
        ("mlp_bodysize", "classification", "probabilities", "top1", "softmax"),
        ("mlp_multilabel", "multilabel", "probabilities", "exact_match", "sigmoid"),
        ("mlp_mnist_1024x2", "classification", "logits", "top1", "linear"),
        ("custom_loss_net", "regression", "linear", "mae", "linear"),
        ("poly_fit", "regression", "linear", "mae", "linear"),
    ],
)
def test_heads_say_what_the_graph_gives(name, task, activation, metric, layer):
    model, spec = outline(name)
    head = spec.head
    assert (head.task, head.activation, task_of(head).metric.name) == (task, activation, metric)
    assert model.get_layer("output").activation.__name__ == layer
    assert model.output_shape[-1] == len(head.labels)


def test_multitask_has_one_output_per_head():
    model, spec = zoo.build("mlp_multitask")
    assert [(head.name, len(head.labels), head.task) for head in spec.heads] == [
        ("first", 5, "classification"),
        ("second", 2, "classification"),
    ]
    assert model.output_names == ["first", "second"]
    first, second = (np.asarray(out) for out in model(np.ones((3, 3), np.float32)))
    assert (first.shape, second.shape) == ((3, 5), (3, 2))
    np.testing.assert_allclose([*first.sum(1), *second.sum(1)], 1, rtol=1e-5)


def test_the_linear_variant_is_linear():
    model, _ = zoo.build("mlp_housing", variant="linear")
    a, b = np.random.default_rng(0).standard_normal((2, 1, 13)).astype(np.float32)
    origin = np.asarray(model(np.zeros((1, 13), np.float32)))
    np.testing.assert_allclose(model(a + b) - origin, (model(a) - origin) + (model(b) - origin), atol=1e-4)


def test_dropout_where_it_is_named():
    def rates(name, variant="canonical"):
        return [x.rate for x in outline(name, variant=variant)[0].layers if type(x).__name__ == "Dropout"]

    assert rates("mlp_mnist_512x2") == []
    assert rates("mlp_mnist_512x2", "dropout") == [0.5, 0.5]
    assert rates("mlp_mnist_512") == [0.2]


def test_a_frozen_layer_stays_frozen_in_its_file(tmp_path):
    model, spec = zoo.build("mlp_surgery", variant="frozen")
    assert sum(w.shape.num_elements() for w in model.trainable_weights) == 25_120
    path = save_keras(model, tmp_path / "frozen.keras", manifest_for(spec, recipe={"step": "train"}))
    loaded = load_keras(path).model
    assert not loaded.get_layer("output").trainable
    assert loaded.get_layer("fc1").trainable


def test_poly_fit_is_a_cubic():
    model, _ = zoo.build("poly_fit")
    # y = x^3 - 4 x^2 - 2 x + 2
    model.get_layer("output").set_weights([np.array([[-2], [-4], [1]], np.float32), np.array([2], np.float32)])
    x = np.arange(0, 5, 0.1, dtype=np.float32)[:, None]
    np.testing.assert_allclose(model(x), x**3 - 4 * x**2 - 2 * x + 2, rtol=1e-4, atol=1e-4)


def test_poly_fit_learns_a_cubic_from_its_features():
    # Least squares on the layer's own inputs: 50 points, four coefficients.
    model, _ = zoo.build("poly_fit")
    x = np.arange(0, 5, 0.1, dtype=np.float32)[:, None]
    powers = np.asarray(env.keras().Model(model.inputs, model.get_layer("powers").output)(x))
    design = np.concatenate([powers, np.ones_like(x)], axis=1)
    found = np.linalg.lstsq(design.astype(np.float64), x**3 - 4 * x**2 - 2 * x + 2, rcond=None)[0]
    np.testing.assert_allclose(found[:, 0], [-2, -4, 1, 2], atol=1e-3)


def test_the_loss_on_a_hidden_layer_is_its_mean_square():
    tf, model = env.tensorflow(), zoo.build("custom_loss_net")[0]
    x = np.random.default_rng(0).standard_normal((8, 512)).astype(np.float32)
    hidden = np.asarray(env.keras().Model(model.inputs, model.get_layer("fc1").output)(x))

    @tf.function
    def losses(batch):
        model(batch, training=True)
        return tf.add_n(model.losses)

    assert float(losses(x)) == pytest.approx(float((hidden**2).mean()), rel=1e-5)
    assert (hidden >= 0).all()


def test_the_training_loop_adds_the_hidden_loss():
    model, spec = zoo.build("custom_loss_net")
    data = synthetic(spec)
    split = data.split("train")
    x, y = np.stack([split.image(index) for index in range(len(split))]), split.targets[0]
    inner = env.keras().Model(model.inputs, [model.output, model.get_layer("fc1").output])
    outputs, hidden = (np.asarray(values) for values in inner(x))
    recipe = TrainRecipe(epochs=1, batch_size=len(split), learning_rate=1e-9)
    (epoch,) = train(model, spec, data, recipe).history
    assert epoch.loss == pytest.approx(((outputs - y) ** 2).mean() + (hidden**2).mean(), rel=1e-4)


def test_training_shrinks_the_hidden_layer():
    tf, model = env.tensorflow(), zoo.build("custom_loss_net")[0]
    x = np.random.default_rng(0).standard_normal((16, 512)).astype(np.float32)
    inner = env.keras().Model(model.inputs, model.get_layer("fc1").output)
    before = float(tf.reduce_mean(tf.square(inner(x))))
    for _ in range(5):
        with tf.GradientTape() as tape:
            model(x, training=True)
            loss = tf.add_n(model.losses)
        kernel = model.get_layer("fc1").kernel
        kernel.assign_sub(0.5 * tape.gradient(loss, kernel))
    assert float(tf.reduce_mean(tf.square(inner(x)))) < before


def test_the_loss_on_a_hidden_layer_is_no_operator_of_a_file(tmp_path):
    model, spec = zoo.build("custom_loss_net")
    path = save_keras(model, tmp_path / "net.keras", manifest_for(spec, recipe={"step": "train"}))
    source: LoadedModel = load_keras(path)
    assert len(source.model.get_layer("fc1").activity_regularizer.get_config()) == 1
    made = convert(source, format="tflite", scheme="float32", out=tmp_path / "net.tflite")
    assert [op.op for op in read_graph(made.path).ops] == [
        "FULLY_CONNECTED", "FULLY_CONNECTED", "LOGISTIC", "FULLY_CONNECTED",
    ]  # fmt: skip


def test_two_heads_on_features_reach_an_int8_file_by_quantisation_aware_training():
    (cell,) = cells("mlp_multitask", ways=("int8-qat",), formats=("tflite",), targets=("edgetpu",))
    assert cell.error == ""
    assert [reading.n_mapped == reading.n_ops for reading in cell.targets] == [True]
