import dataclasses
import importlib
from pathlib import Path

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.modelio.boundary import output_names
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs
from edgecv.zoo.families import applications
from tests.zoo.outline import figures, outline

FAMILIES = sorted((Path(__file__).parent / "families").glob("test_*.py"))
EVERY = [(entry.name, variant) for entry in zoo.entries() for variant in entry.variants]
# Those of Keras take seconds each, and tests/zoo/families/test_applications.py looks at them.
BUILT_HERE = [(name, variant) for name, variant in EVERY if name not in {e.name for e in applications.ENTRIES}]
SEEDED = ["mlp_bodysize", "lenet5", "cnn_5class", "inception_cifar", "resnet8"]
TARGETS = {"", "cpu", "gpu", "edgetpu"}


def golden():
    found = {}
    for path in FAMILIES:
        module = importlib.import_module(f"tests.zoo.families.{path.stem}")
        numbers = getattr(module, "GOLDEN", {})
        assert not set(numbers) & set(found), path
        found |= numbers
    return found


def test_every_variant_has_golden_numbers():
    assert sorted(golden()) == sorted(EVERY)


def test_every_entry_says_where_it_is_from_and_what_is_hard():
    for entry in zoo.entries():
        assert entry.title, entry.name
        assert entry.source, entry.name
        assert set(entry.notes) <= TARGETS, entry.name
        assert all(entry.notes.values()), entry.name
        assert next(iter(entry.variants)) == "canonical", entry.name
        assert all(variant.title for variant in entry.variants.values()), entry.name


@pytest.mark.parametrize(("name", "variant"), BUILT_HERE)
def test_the_small_input_keeps_the_contract(name, variant):
    entry = zoo.get(name)
    model, spec = outline(name, variant=variant, input_shape=entry.small_shape)
    assert [tuple(one.shape) for one in model.inputs] == [(None, *one.shape) for one in spec.inputs]
    assert {one.shape for one in spec.inputs if one.preprocessing or len(entry.small_shape) == 1} == {entry.small_shape}
    bound = bind_outputs(spec, output_names(model), name)
    assert sorted(place for places in bound for place in places) == list(range(len(model.outputs)))
    for head, places in zip(spec.heads, bound, strict=True):
        shapes = [(1, *model.outputs[place].shape[1:]) for place in places]
        task_of(head).check(head, shapes)
        if head.labels and len(shapes) == 1:  # of several outputs the task knows which values belong to the labels
            assert shapes[0][-1] == len(head.labels)
    assert np.prod(entry.small_shape) <= np.prod(entry.input_shape)
    assert zoo.profile(model).weight_bytes == 4 * zoo.profile(model).parameters


@pytest.mark.parametrize(("name", "variant"), [case for case in EVERY if case[0] in SEEDED])
def test_weights_follow_the_seed(name, variant):
    shape = zoo.get(name).small_shape
    first, again, other = (
        zoo.build(name, variant=variant, input_shape=shape, seed=seed)[0].get_weights() for seed in (1, 1, 2)
    )
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any((a != b).any() for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", [name for name in SEEDED if name != "mlp_bodysize"])
def test_canonical_nets_give_probabilities_for_any_labels(name):
    model, spec = zoo.build(name, labels=("a", "b", "c"), input_shape=zoo.get(name).small_shape)
    image = np.random.default_rng(0).random((2, *spec.input_shape), dtype=np.float32)
    assert model(image).numpy().sum(axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert spec.labels == ("a", "b", "c")


def test_a_variant_may_have_heads_of_its_own():
    assert zoo.get("mlp_fraud").spec().head.task == "multilabel"
    spec = zoo.get("mlp_fraud").spec("softmax", labels=("no", "yes"))
    assert (spec.head.task, spec.labels) == ("classification", ("no", "yes"))
    with pytest.raises(ConfigError, match="2 or more distinct labels"):
        zoo.get("mlp_fraud").spec("softmax", labels=("fraud",))


def test_a_variant_may_have_settings_that_hang_on_its_input_and_labels():
    entry = zoo.get("unet_small")

    def settings(shape, labels):
        return {"resize": "nearest", "ignore_index": shape[0] + len(labels)}

    head = dataclasses.replace(entry.heads[0], settings={"resize": "bilinear"})
    variants = {"canonical": dataclasses.replace(entry.variants["canonical"], settings=settings)}
    changed = dataclasses.replace(entry, heads=(head,), variants=variants)
    assert changed.spec(input_shape=(64, 64, 3)).head.settings == {"resize": "nearest", "ignore_index": 67}
    assert changed.spec(labels=("a", "b")).head.settings["ignore_index"] == 130


def test_figures_without_weights_are_those_of_the_model():
    for name, variant in (("lenet5", "book"), ("resnet8", "canonical"), ("mlp_surgery", "frozen")):
        profile = zoo.profile(zoo.build(name, variant=variant)[0])
        assert figures(name, variant) == (profile.parameters, profile.trainable, profile.macs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "lenet"}, "unknown architecture 'lenet'\n.*did you mean 'lenet5'"),
        ({"name": "lenet5", "variant": "bok"}, "unknown variant of lenet5 'bok'\n.*did you mean 'book'"),
        ({"name": "lenet5", "variant": "book", "labels": ("a", "b")}, "exactly 10 outputs, got 2 labels"),
        ({"name": "lenet5", "labels": ("a",)}, "2 or more distinct labels"),
        ({"name": "lenet5", "labels": ("a", "a")}, "2 or more distinct labels"),
        ({"name": "lenet5", "auxiliary": True}, "no option 'auxiliary'\n.*these have it: googlenet"),
        ({"name": "lenet5", "weights": "imagenet"}, "no option 'weights'"),
        ({"name": "lenet5", "width": 0.5}, "no option 'width'"),
        ({"name": "googlenet", "width": 0.0}, "width must be > 0"),
        ({"name": "lenet5", "input_shape": (32, 32, 3)}, r"takes inputs like \(32, 32, 1\)"),
        (
            {"name": "cnn_5class", "input_shape": (16, 16, 3)},
            r"cannot be built for inputs of \(16, 16, 3\).*\n.*\(17, 17, 3\) and larger",
        ),
    ],
)
def test_wrong_requests(arguments, message):
    with pytest.raises(ConfigError, match=message):
        zoo.build(**arguments)


def test_entries_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        zoo.get("lenet5").name = "x"


@pytest.mark.slow
def test_names_do_not_tell_what_was_built_before():
    keras = env.keras()
    first, _ = zoo.build("mlp_multitask")
    other = keras.Sequential([keras.layers.Dense(2) for _ in range(3)])
    networks = [zoo.build("densenet121", input_shape=(32, 32, 3), weights=None)[0] for _ in range(2)]
    assert [layer.name for layer in networks[0].layers] == [layer.name for layer in networks[1].layers]
    assert {"input_1"} <= {layer.name for layer in networks[1].layers}
    later = [keras.layers.Dense(2).name, keras.Input((3,)).name.split("/")[0]]
    taken = [layer.name for model in (first, other, *networks) for layer in model.layers]
    assert not set(later) & set(taken)
