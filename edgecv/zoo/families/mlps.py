"""Dense networks: feature vectors and flattened digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from edgecv.modelio import env
from edgecv.values.specs import Activation, Head, Preprocessing
from edgecv.zoo import blocks
from edgecv.zoo.entry import Build, Variant, ZooEntry
from edgecv.zoo.families import inputs, labels, notes

RAW_GRAY = Preprocessing(color="gray", mean=(0.0,), std=(1.0,))
"""0..255, as they are."""

SIZES = ("XS", "S", "M", "L", "XL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What tells one dense network from another.

    Attributes:
        hidden: Units of the hidden layers.
        activation: Of the hidden layers.
        outputs: Name and activation of each head's dense layer.
        rate: Of the dropout after each hidden layer; None for none.
        frozen: Layers that do not train.
    """

    hidden: tuple[int, ...] = (10, 10)
    activation: str = "relu"
    outputs: tuple[tuple[str, str], ...] = (("output", "softmax"),)
    rate: float | None = None
    frozen: tuple[str, ...] = ()


def builder(plan: Plan, name: str) -> Callable[[Build], Any]:
    """Return what builds the network of a plan; images are flattened first."""

    def build(request: Build) -> Any:
        source = _source(request)
        x = blocks.flatten(source) if len(request.input_shape) > 1 else source
        x = blocks.hidden_layers(x, plan.hidden, activation=plan.activation, rate=plan.rate)
        pairs = zip(plan.outputs, request.units, strict=True)
        heads = [blocks.dense(x, units, activation=kind, name=head) for (head, kind), units in pairs]
        model = blocks.model(source, heads if len(heads) > 1 else heads[0], name=name)
        for layer in plan.frozen:
            model.get_layer(layer).trainable = False
        return model

    return build


def build_polynomial(request: Build) -> Any:
    """c0 + c1 x + c2 x^2 + c3 x^3: powers by multiplication, then one dense unit; four coefficients."""
    layers = env.keras().layers
    x = _source(request)
    square = layers.Multiply(name="square")([x, x])
    powers = blocks.concat([x, square, layers.Multiply(name="cube")([square, x])], name="powers")
    return blocks.model(x, blocks.dense(powers, request.labels, activation="linear", name="output"), name="poly_fit")


def build_hidden_loss(request: Build) -> Any:
    """D128-D64 sigmoid-D(labels) whose training adds the mean square of the first layer's activations to the loss.

    The term is an activity regulariser, so every training loop that adds `model.losses` has it and no file has its
    operators.
    """
    keras = env.keras()
    x = source = _source(request)
    # Keras divides the sum over a batch by the batch: 1 / units makes a mean of it.
    penalty = keras.regularizers.L2(1 / HIDDEN_LOSS_UNITS)
    x = keras.layers.Dense(HIDDEN_LOSS_UNITS, activation="relu", activity_regularizer=penalty, name="fc1")(x)
    x = blocks.dense(x, 64, activation="sigmoid", name="fc2")
    return blocks.model(source, blocks.dense(x, request.labels, activation="linear", name="output"), name=CUSTOM_LOSS)


def _source(request: Build) -> Any:
    return blocks.image_input(request.input_shape, name="features" if len(request.input_shape) == 1 else "image")


CUSTOM_LOSS = "custom_loss_net"
HIDDEN_LOSS_UNITS = 128
SIGMOID = (("output", "sigmoid"),)
LINEAR = (("output", "linear"),)
DENSE_PAIR = "dense layers are FULLY_CONNECTED everywhere; feature vectors are fed as float32, as they are"


def _head(task: str, names: tuple[str, ...], *, name: str = "output") -> Head:
    activation: Activation = "linear" if task == "regression" else "probabilities"
    return Head(name=name, task=task, activation=activation, labels=names)


def _variant(title: str, plan: Plan, name: str, preprocessing: Preprocessing | None = None, **more: Any) -> Variant:
    return Variant(title=title, build=builder(plan, name), preprocessing=preprocessing, **more)


def _vectors(name: str, title: str, features: int, heads: tuple[Head, ...], variants: dict[str, Variant]) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=f"{title}, {features} feature{'s' if features > 1 else ''}",
        input_shape=(features,),
        small_shape=(features,),
        heads=heads,
        variants=variants,
        source="an introductory dense network",
        notes={"": DENSE_PAIR},
    )


def _digits(name: str, title: str, variants: dict[str, Variant], **more: Any) -> ZooEntry:
    return ZooEntry(
        name=name,
        title=f"{title}, 28x28 grey images",
        input_shape=(28, 28, 1),
        small_shape=(8, 8, 1),
        heads=more.pop("heads", labels.classifier_head(labels.DIGITS)),
        variants=variants,
        source="an introductory dense network on MNIST",
        notes={"": notes.SMALL},
    )


def _digit_variant(
    title: str, plan: Plan, name: str, preprocessing: Preprocessing = inputs.GRAY, **more: Any
) -> Variant:
    return _variant(title, plan, name, preprocessing, **more)


HOUSING = Plan(outputs=LINEAR)
MULTITASK = Plan(outputs=(("first", "softmax"), ("second", "softmax")))
TWICE_512 = Plan(hidden=(512, 512))
TWICE_1024 = Plan(hidden=(1024, 1024), outputs=LINEAR)
TWICE_128 = Plan(hidden=(128, 128))
SURGERY = Plan(hidden=(32,))
_LOGITS = (Head(name="output", task="classification", activation="logits", labels=labels.DIGITS),)

ENTRIES = (
    _vectors(
        "mlp_housing",
        "price of a house",
        13,
        (_head("regression", ("price",)),),
        {
            "canonical": _variant("ReLU", HOUSING, "mlp_housing"),
            "linear": _variant(
                "without activations: a linear model", replace(HOUSING, activation="linear"), "mlp_housing_linear"
            ),
        },
    ),
    _vectors(
        "mlp_fraud",
        "fraud or not",
        13,
        (_head("multilabel", ("fraud",)),),
        {
            "canonical": _variant("one sigmoid output", Plan(outputs=SIGMOID), "mlp_fraud"),
            "softmax": _variant(
                "two softmax outputs, for data with two classes",
                Plan(),
                "mlp_fraud_softmax",
                heads=(_head("classification", ("honest", "fraud")),),
            ),
        },
    ),
    _vectors(
        "mlp_bodysize",
        "body size in five classes",
        4,
        (_head("classification", SIZES),),
        {"canonical": _variant("as published", Plan(), "mlp_bodysize")},
    ),
    _vectors(
        "mlp_multilabel",
        "seven labels that do not exclude each other",
        3,
        (_head("multilabel", labels.numbered(7, stem="label")),),
        {"canonical": _variant("sigmoid outputs", Plan(outputs=SIGMOID), "mlp_multilabel")},
    ),
    _vectors(
        "mlp_multitask",
        "two heads of five and two classes",
        3,
        (
            _head("classification", labels.numbered(5), name="first"),
            _head("classification", labels.numbered(2), name="second"),
        ),
        {"canonical": _variant("two softmax heads", MULTITASK, "mlp_multitask")},
    ),
    _digits(
        "mlp_mnist_512x2",
        "two hidden layers of 512",
        {
            "canonical": _digit_variant("as published", TWICE_512, "mlp_mnist_512x2"),
            "dropout": _digit_variant(
                "with dropout 0.5 after each hidden layer", replace(TWICE_512, rate=0.5), "mlp_mnist_512x2_dropout"
            ),
        },
    ),
    _digits(
        "mlp_mnist_1024x2",
        "two hidden layers of 1,024, logits",
        {
            "canonical": _digit_variant("ReLU", TWICE_1024, "mlp_mnist_1024x2"),
            "book": _digit_variant(
                "without activations: a linear classifier",
                replace(TWICE_1024, activation="linear"),
                "mlp_mnist_1024x2_book",
            ),
            "folded": _digit_variant(
                "what the linear layers (book) compute, in one of 7,850 parameters",
                replace(TWICE_1024, hidden=()),
                "mlp_mnist_1024x2_folded",
            ),
        },
        heads=_LOGITS,
    ),
    _digits(
        "mlp_mnist_512",
        "one hidden layer of 512",
        {"canonical": _digit_variant("dropout 0.2", Plan(hidden=(512,), rate=0.2), "mlp_mnist_512")},
    ),
    _digits(
        "mlp_mnist_128x2",
        "two hidden layers of 128",
        {
            "canonical": _digit_variant("inputs 0..1", TWICE_128, "mlp_mnist_128x2"),
            "book": _digit_variant("inputs 0..255", TWICE_128, "mlp_mnist_128x2_book", RAW_GRAY),
        },
    ),
    _digits(
        "mlp_surgery",
        "two layers of 32, to freeze, remove and replace",
        {
            "canonical": _digit_variant("two layers", SURGERY, "mlp_surgery"),
            "frozen": _digit_variant(
                "the second layer does not train", replace(SURGERY, frozen=("output",)), "mlp_surgery_frozen"
            ),
            "extended": _digit_variant(
                "a third layer of 32", replace(SURGERY, hidden=(32, 32)), "mlp_surgery_extended"
            ),
            "replaced": _digit_variant(
                "a third layer of 16 in its place",
                replace(SURGERY, hidden=(32, 32)),
                "mlp_surgery_replaced",
                heads=labels.classifier_head(labels.numbered(16)),
            ),
        },
        heads=labels.classifier_head(labels.numbered(32)),
    ),
    _vectors(
        "poly_fit",
        "cubic polynomial",
        1,
        (_head("regression", ("y",)),),
        {"canonical": Variant(title="four coefficients", build=build_polynomial, preprocessing=None)},
    ),
    _vectors(
        CUSTOM_LOSS,
        "a loss on a hidden layer",
        512,
        (_head("regression", labels.numbered(10, stem="value")),),
        {"canonical": Variant(title="ten values", build=build_hidden_loss, preprocessing=None)},
    ),
)
