"""Models that end at their logits: which heads do, and that the runtime's answers are those of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")
pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.compress import at_logits
from edgecv.core.errors import ConfigError
from edgecv.modelio import LoadedModel, boundary, env, manifest_for
from edgecv.tasks.prediction import scores
from edgecv.values.specs import Head, Preprocessing, one_input


def head(name="out", task="classification", labels=("a", "b", "c"), **more):
    return Head(name=name, task=task, activation="probabilities", labels=labels, **more)


def loaded(model, *heads, method="none"):
    spec = one_input(
        name="net", input_shape=(6, 6, 1), heads=heads or (head(),), preprocessing=Preprocessing(color="gray")
    )
    manifest = manifest_for(spec, recipe={"step": "test"}, method=method)
    return LoadedModel(model=model, manifest=manifest, path=Path("net.keras"), sha256="00" * 32)


def image():
    env.keras().utils.set_random_seed(1)
    return env.keras().Input((6, 6, 1), name="image")


def layers():
    return env.keras().layers


def answers(model):
    x = np.random.default_rng(0).normal(size=(5, 6, 6, 1)).astype(np.float32)
    return [np.asarray(answer) for answer in boundary.call(model, [x])]


ENDS = {
    "in the dense layer": lambda x: layers().Dense(3, activation="softmax", name="out")(x),
    "a layer of its own": lambda x: layers().Softmax(name="out")(layers().Dense(3, name="fc")(x)),
    "an activation": lambda x: layers().Activation("softmax", name="out")(layers().Dense(3, name="fc")(x)),
    "behind a name": lambda x: layers().Activation("linear", name="out")(
        layers().Dense(3, activation="softmax", name="fc")(x)
    ),
    "behind two names": lambda x: layers().Activation("linear", name="out")(
        layers().Activation("linear", name="mid")(layers().Softmax(name="fc")(layers().Dense(3)(x)))
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_softmax_goes_and_names_stay(end) -> None:
    x = image()
    model = env.keras().Model(x, ENDS[end](layers().Flatten()(x)), name="net")
    found = at_logits(loaded(model))
    (logits,), (wanted,) = answers(found.loaded.model), answers(model)
    assert found.heads == ("out",)
    assert boundary.output_names(found.loaded.model) == ("out",)
    assert found.loaded.require_spec().head.activation == "logits"
    assert abs(logits.sum(axis=1) - 1).max() > 0.1
    np.testing.assert_allclose(scores(logits, "logits"), wanted, atol=1e-6)
    assert loaded(model).require_spec().head.activation == "probabilities"


def test_a_sequential_model() -> None:
    image()
    model = env.keras().Sequential(
        [layers().InputLayer((6, 6, 1)), layers().Flatten(), layers().Dense(3, activation="softmax", name="out")]
    )
    (logits,), (wanted,) = answers(at_logits(loaded(model)).loaded.model), answers(model)
    np.testing.assert_allclose(scores(logits, "logits"), wanted, atol=1e-6)


def test_independent_labels_lose_their_sigmoid() -> None:
    x = image()
    model = env.keras().Model(x, layers().Dense(3, activation="sigmoid", name="out")(layers().Flatten()(x)))
    found = at_logits(loaded(model, head(task="multilabel")))
    (logits,), (wanted,) = answers(found.loaded.model), answers(model)
    np.testing.assert_allclose(scores(logits, "logits", independent=True), wanted, atol=1e-6)


def test_maps_of_classes() -> None:
    x = image()
    model = env.keras().Model(x, layers().Conv2D(3, 1, activation="softmax", name="out")(x))
    found = at_logits(loaded(model, head(task="segmentation")))
    (logits,), (wanted,) = answers(found.loaded.model), answers(model)
    np.testing.assert_allclose(scores(logits, "logits"), wanted, atol=1e-6)


def test_only_the_heads_that_end_so() -> None:
    x = image()
    flat = layers().Flatten()(x)
    one = layers().Dense(3, activation="softmax", name="one")(flat)
    two = layers().Dense(1, name="two")(flat)
    value = Head(name="two", task="regression", activation="linear")
    found = at_logits(loaded(env.keras().Model(x, [one, two]), head("one"), value))
    assert [each.activation for each in found.loaded.require_spec().heads] == ["logits", "linear"]
    assert found.heads == ("one",)


def test_who_else_reads_the_probabilities_still_gets_them() -> None:
    x = image()
    one = layers().Dense(3, activation="softmax", name="one")(layers().Flatten()(x))
    two = layers().Dense(2, name="two")(one)
    value = Head(name="two", task="regression", activation="linear", labels=("u", "v"))
    model = env.keras().Model(x, [one, two])
    found = at_logits(loaded(model, head("one"), value)).loaded.model
    np.testing.assert_allclose(answers(found)[1], answers(model)[1], atol=1e-6)
    np.testing.assert_allclose(scores(answers(found)[0], "logits"), answers(model)[0], atol=1e-6)


REFUSED = {
    "softmax over another axis": (lambda x: layers().Flatten()(layers().Softmax(axis=1)(x)), "classification"),
    "softmax over two axes": (lambda x: layers().Flatten()(layers().Softmax(axis=[1, 2])(x)), "classification"),
    "a sigmoid where one class is meant": (
        lambda x: layers().Dense(3, activation="sigmoid", name="out")(layers().Flatten()(x)), "classification"
    ),
    "a softmax of independent labels": (
        lambda x: layers().Dense(3, activation="softmax", name="out")(layers().Flatten()(x)), "multilabel"
    ),
    "no activation": (lambda x: layers().Dense(3, name="out")(layers().Flatten()(x)), "classification"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_runtime_does_not_compute_stays(case) -> None:
    make, task = REFUSED[case]
    x = image()
    with pytest.raises(ConfigError, match="ends in a softmax or sigmoid that the runtime"):
        at_logits(loaded(env.keras().Model(x, make(x)), head(task=task)))


def test_a_layer_that_is_called_twice_keeps_its_activation() -> None:
    x = image()
    shared = layers().Dense(3, activation="softmax", name="shared")
    flat = layers().Flatten()(x)
    both = layers().Average(name="out")([shared(flat), shared(layers().ReLU()(flat))])
    with pytest.raises(ConfigError, match="ends in a softmax"):
        at_logits(loaded(env.keras().Model(x, both)))


def test_a_quantisation_aware_model_names_the_way() -> None:
    x = image()
    model = env.keras().Model(x, layers().Dense(3, activation="softmax", name="out")(layers().Flatten()(x)))
    with pytest.raises(ConfigError) as caught:
        at_logits(loaded(model, method="qat"))
    assert "--method qat --softmax runtime" in caught.value.hint
