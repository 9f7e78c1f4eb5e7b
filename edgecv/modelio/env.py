"""The one place that imports tensorflow and sets what must be set before it.

tensorflow-model-optimization needs the Keras 2 API, so the toolchain works on tf_keras: `TF_USE_LEGACY_KERAS=1`.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.core.optional import require
from edgecv.runtime.engines.native_log import captured


def _prepare() -> None:
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def tensorflow() -> Any:
    """Return the tensorflow module. Raises MissingDependencyError when it is not installed."""
    if "tensorflow" in sys.modules:
        return _quiet(sys.modules["tensorflow"])
    _prepare()
    # Its C++ libraries announce themselves on stderr before any log level counts.
    with captured():
        tf = require("tensorflow", why="to train, compress and convert models")
        # Importing tf_keras here keeps the announcement of its second plug-in scan inside as well.
        require("tf_keras", why="to train, compress and convert models")
    return _quiet(tf)


def _quiet(tf: Any) -> Any:
    """Silence warnings: some of AutoGraph's print all of the environment's variables, secrets included."""
    tf.get_logger().setLevel("ERROR")
    return tf


def keras() -> Any:
    """Return the tf_keras module. Raises MissingDependencyError when it is not installed."""
    tensorflow()
    return require("tf_keras", why="to train, compress and convert models")


def keras3() -> Any:
    """Return the keras module, of version 3, which computes with tensorflow here.

    Raises:
        MissingDependencyError: It is not installed.
        ConfigError: It was imported to compute with another library.
    """
    tensorflow()  # which keras would import itself, with all that it says while that happens
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
    found = require("keras", why="to read models written by Keras 3")
    if found.backend.backend() != "tensorflow":
        raise ConfigError(
            f"keras computes with {found.backend.backend()} in this process, and edgecv with tensorflow",
            hint="set KERAS_BACKEND=tensorflow, or import edgecv before keras",
        )
    return found


def tfmot() -> Any:
    """Return the tensorflow_model_optimization module. Raises MissingDependencyError when it is not installed."""
    tensorflow()
    return require("tensorflow_model_optimization", why="to prune and to train with quantisation")


def infer(model: Any, inputs: Any) -> Any:
    """Return a tf_keras or Keras 3 model's answers in inference, also where it has convolutions with channels first.

    Without oneDNN, which is off on CPUs without AVX-512, TensorFlow has no such kernels; its compiler has them all.
    """
    tf = tensorflow()
    try:
        return model(inputs, training=False)
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError):
        return tf.function(lambda given: model(given, training=False), jit_compile=True)(inputs)


@contextlib.contextmanager
def first_names() -> Iterator[None]:
    """Let keras count layers without a name from one: a network's names do not tell what was built before.

    Afterwards it goes on above what either counted, so that layers added later have names of their own.
    """
    tensorflow()
    counts = require("tf_keras.src.backend", why="to build models").PER_GRAPH_OBJECT_NAME_UIDS
    before = {graph: dict(names) for graph, names in counts.items()}
    for names in counts.values():
        names.clear()
    try:
        yield
    finally:
        for graph, names in before.items():
            counts[graph].update({name: max(count, counts[graph][name]) for name, count in names.items()})


def seed_everything(seed: int) -> None:
    """Seed python, numpy and tensorflow, and ask tensorflow for deterministic kernels."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    keras().utils.set_random_seed(seed)
    tensorflow().config.experimental.enable_op_determinism()
