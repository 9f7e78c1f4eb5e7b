"""Dropout and its kin, made to follow from (seed, epoch): a resumed run draws what an uninterrupted one does."""

from __future__ import annotations

from typing import Any, Sequence

import numpy as np

from edgecv.modelio.env import tensorflow


def reseedable(model: Any) -> tuple[Any, ...]:
    """Return one `tf.random.Generator` per random layer of `model`, switched in for the layer's own stream.

    By default tf_keras layers draw from op-level counters inside the runtime, which can be neither saved nor set;
    its "stateful" generator type keeps the state in a variable instead. No public call changes the type of a layer
    that stands already.
    """
    return tuple(_variable_state(layer) for layer in _random_layers(model))


def reseed(generators: Sequence[Any], seed: int, epoch: int) -> None:
    """Set every generator to a state that follows from (seed, epoch, its position)."""
    for position, generator in enumerate(generators):
        drawn = np.random.SeedSequence((seed, epoch, position)).generate_state(1, np.uint64)[0]
        generator.reset_from_seed(int(drawn >> np.uint64(1)))


def _random_layers(model: Any) -> list[Any]:
    found = [module for module in model.submodules if hasattr(module, "_random_generator")]
    return sorted(found, key=lambda layer: str(layer.name))


def _variable_state(layer: Any) -> Any:
    random = layer._random_generator
    random._rng_type = random.RNG_STATEFUL
    random._generator = tensorflow().random.Generator.from_seed(0, alg="philox")
    random._built = True
    return random._generator
