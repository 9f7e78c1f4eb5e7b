"""Removing channels gives what zeroing them gives, on every kind of connection; what cannot be removed stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from edgecv.compress.layer_graph import build, read
from edgecv.compress.slim import plan as plans
from edgecv.compress.slim.channels import Dependencies, dependencies
from edgecv.compress.slim.cost import CostModel
from edgecv.compress.slim.plan import ChannelPlan, LayerChannels, plan_of, removed_by
from edgecv.compress.slim.surgery import without
from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.zoo.profiling import profile
from tests.compress.slim.networks import NETWORKS


def random_choice(known: Dependencies, seed: int) -> np.ndarray[Any, Any]:
    """Remove a third of the components, and leave one of each group."""
    rng = np.random.default_rng(seed)
    removed = known.removable & (rng.random(len(known.removable)) < 0.35)
    for group in known.groups:
        removed[rng.choice(group.components)] = False
    return removed


def zeroed(model: Any, stays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Return `model` with the removed channels of each layer's output, after its activation, set to zero.

    A second way to the same answers: no layer gets smaller, the masks alone do it.
    """
    keras = env.keras()
    tensors = {id(tensor): tensor for tensor in model.inputs}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if type(node.layer).__name__ == "InputLayer":
                continue
            taken = [tensors[id(tensor)] for tensor in env.tensorflow().nest.flatten(node.keras_inputs)]
            given = node.layer(taken if len(taken) > 1 else taken[0])
            mask = stays[node.layer.name].astype(np.float32)
            tensors[id(node.outputs)] = given * mask
    return keras.Model(model.inputs, [tensors[id(tensor)] for tensor in model.outputs])


def answers(model: Any, seed: int = 5) -> list[np.ndarray[Any, Any]]:
    images = np.random.default_rng(seed).normal(size=(4, *model.input_shape[1:])).astype(np.float32)
    found = model(images, training=False)
    return [np.asarray(one) for one in (found if isinstance(found, list) else [found])]


@dataclass(frozen=True)
class Cut:
    """A network, a random choice of its components, and the network without them."""

    model: Any
    known: Dependencies
    removed: np.ndarray[Any, Any]
    small: Any


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def cut(request: pytest.FixtureRequest) -> Cut:
    model = NETWORKS[request.param]()
    known = dependencies(read(model))
    removed = random_choice(known, seed=1)
    return Cut(model=model, known=known, removed=removed, small=build(without(known, removed)))


def test_the_smaller_model_answers_like_the_zeroed_one(cut: Cut) -> None:
    assert cut.removed.sum() >= 1
    stays = {call.name: ~cut.removed[cut.known.tensors[call.output]] for call in cut.known.graph.calls}
    small = answers(cut.small)
    for one, other in zip(small, answers(zeroed(cut.model, stays)), strict=True):
        assert one.shape == other.shape
        scale = np.abs(other).max()
        np.testing.assert_allclose(one, other, atol=2e-5 * scale, rtol=2e-4)
    # The masks matter: without them the answers differ.
    assert any(
        np.abs(one - other).max() > 1e-4 * np.abs(other).max()
        for one, other in zip(small, answers(cut.model), strict=True)
    )


def test_the_cost_is_known_before_the_model_is_built(cut: Cut) -> None:
    costs = CostModel(cut.known)
    full = costs.sizes
    assert (costs.size(full).macs, costs.size(full).parameters) == (profile(cut.model).macs, cut.model.count_params())
    left = np.array([(~cut.removed[list(group.components)]).sum() for group in cut.known.groups])
    assert (costs.size(left).macs, costs.size(left).parameters) == (profile(cut.small).macs, cut.small.count_params())
    one = np.zeros(len(full))
    one[0] = 1
    macs, parameters = costs.after(full, np.ones(len(full)))
    assert (round(macs[0]), round(parameters[0])) == (costs.size(full - one).macs, costs.size(full - one).parameters)


@pytest.mark.parametrize("name", ["gated", "shared"])
def test_removing_nothing_changes_nothing(name: str) -> None:
    model = NETWORKS[name]()
    known = dependencies(read(model))
    same = build(without(known, np.zeros(len(known.removable), bool)))
    assert [layer.name for layer in same.layers] == [layer.name for layer in model.layers]
    for one, other in zip(answers(same), answers(model), strict=True):
        np.testing.assert_array_equal(one, other)


def components(known: Dependencies, layer: str) -> list[int]:
    return next(known.tensors[call.output] for call in known.graph.calls if call.name == layer).tolist()


def test_a_residual_sum_ties_its_terms() -> None:
    known = dependencies(read(NETWORKS["resnet8"]()))
    assert components(known, "stem") == components(known, "group1_unit1_conv2")
    assert not set(components(known, "stem")) & set(components(known, "group1_unit1_conv1"))
    assert components(known, "group2_unit1_conv2") == components(known, "group2_unit1_shortcut")


def test_gates_and_depthwise_layers_are_tied_to_what_they_scale() -> None:
    known = dependencies(read(NETWORKS["gated"]()))
    assert components(known, "sep") == components(known, "expand") == components(known, "scale")
    assert components(known, "dw") == np.repeat(components(known, "stem"), 2).tolist()
    assert components(known, "flat") == components(known, "sep") * 64


def test_concatenation_keeps_the_order() -> None:
    known = dependencies(read(NETWORKS["unet"]()))
    assert components(known, "skip2") == components(known, "up2") + components(known, "enc2")
    assert components(known, "skip1") == components(known, "enc1") + components(known, "dec2")


def test_shared_layers_tie_what_they_are_called_with() -> None:
    known = dependencies(read(NETWORKS["shared"]()))
    assert components(known, "start") == components(known, "other")
    assert components(known, "join") == components(known, "twice") * 2


def test_what_cannot_be_told_apart_is_held_with_a_reason() -> None:
    known = dependencies(read(NETWORKS["kept"]()))
    assert {name for group in known.groups for name in group.producers} == {"free"}
    assert "grouped" in known.held["before"]
    assert "softmax" in known.held["attention"]
    assert known.held["what"] == known.held["output"] == "it is an output"
    assert "focus" in known.held["where"]


def test_functions_of_single_values_hand_channels_on_and_others_hold_them() -> None:
    from edgecv.modelio.tensor_function import TensorFunction

    keras = env.keras()
    squared = TensorFunction("square", {"args": [], "kwargs": {"x": {"tensor": 0}}}, name="squared")
    key = {"tuple": [{"ellipsis": True}, {"slice": [0, 2, None]}]}
    first = TensorFunction("get_item", {"args": [], "kwargs": {"x": {"tensor": 0}, "key": key}}, name="first")
    image = keras.Input((8, 8, 1))
    x = squared(keras.layers.Conv2D(4, 3, name="free")(image))
    x = first(keras.layers.Conv2D(4, 3, name="held")(x))
    known = dependencies(read(keras.Model(image, keras.layers.Conv2D(2, 1, name="output")(x))))
    assert components(known, "squared") == components(known, "free")
    assert {name for group in known.groups for name in group.producers} == {"free"}
    assert "layer 'first' (TensorFunction) needs all of them" in known.held["held"]


def test_a_plan_that_tears_tied_channels_is_refused() -> None:
    known = dependencies(read(NETWORKS["resnet8"]()))
    plan = plan_of(known, np.zeros(len(known.removable), bool))
    torn = dict(plan.layers) | {"stem": LayerChannels(channels=16, kept=tuple(range(8)))}
    with pytest.raises(ConfigError, match="tied"):
        removed_by(known, ChannelPlan(model="m", layers=torn))
    with pytest.raises(ConfigError, match="another network"):
        removed_by(known, ChannelPlan(model="m", layers={"stem": torn["stem"]}))
    for kept in ((), (0, 99), (3, 2)):
        wrong = dict(plan.layers) | {"stem": LayerChannels(channels=16, kept=kept)}
        with pytest.raises(ConfigError, match="'stem'"):
            removed_by(known, ChannelPlan(model="m", layers=wrong))
    output = dict(plan.layers) | {"output": LayerChannels(channels=10, kept=tuple(range(9)))}
    with pytest.raises(ConfigError, match="must stay"):
        removed_by(known, ChannelPlan(model="m", layers=output))


def test_a_plan_rebuilds_the_model_and_plans_compose(tmp_path: Any) -> None:
    parent = NETWORKS["inception"]()
    known = dependencies(read(parent))
    first = plan_of(known, random_choice(known, seed=3))
    once = plans.apply(parent, first)
    again = dependencies(read(once))
    second = plan_of(again, random_choice(again, seed=4))
    twice = plans.apply(once, second)
    plans.save(plans.composed(first, second), tmp_path / "plan.json")
    rebuilt = plans.apply(parent, plans.load(tmp_path / "plan.json"))
    for one, other in zip(rebuilt.get_weights(), twice.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
