"""The figures that ship with the package are those of the networks."""

import pytest

from edgecv import zoo

EVERY = [(entry.name, variant) for entry in zoo.entries() for variant in entry.variants]
QUICK = [key for key in EVERY if key[0] in ("lenet5", "resnet8", "mlp_multitask", "googlenet", "mobilenet_v2")]


def test_every_variant_is_there():
    assert [key for key in EVERY if zoo.stored_profile(*key) is None] == []


@pytest.mark.parametrize(
    ("name", "variant"), [*QUICK, *(pytest.param(*key, marks=pytest.mark.slow) for key in EVERY if key not in QUICK)]
)
def test_the_stored_cost_is_the_networks(name, variant):
    with zoo.weightless():
        model, _ = zoo.build(name, variant=variant)
    assert zoo.stored_profile(name, variant) == zoo.profile(model)


def test_readiness_names_known_networks_and_adds_up():
    known = {entry.name for entry in zoo.entries() if zoo.readiness(entry.name)}
    for name in known:
        for ways in zoo.readiness(name).values():
            for found in ways.values():
                assert 0 <= found.n_mapped <= found.n_ops
                assert bool(found.unmapped) == (found.n_mapped < found.n_ops)


def test_what_was_not_counted_is_unknown():
    assert zoo.stored_profile("lenet5", "no such variant") is None
    assert zoo.readiness("no such network") == {}
