"""Classes and functions of the user's own that a model file names, and model classes of which the graph is enough."""

from __future__ import annotations

import contextlib
import importlib.util
import inspect
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.core.files import sha256
from edgecv.core.optional import require
from edgecv.modelio import env
from edgecv.modelio.contents import kind_of

_GRAPHS = ("Functional", "Sequential", "Model")


def read_objects(path: Path | None, *, keras3: bool = False) -> dict[str, Any]:
    """Run a Python file and return its classes and functions, by the names that Keras files have for them.

    Args:
        path: The file; None gives nothing. It is run once in a process.
        keras3: Whether `tensorflow.keras` means Keras 3 to it, as where models of Keras 3 are made.

    Raises:
        ConfigError: It does not exist, or does not run.
    """
    if path is None:
        return {}
    module = module_of(path, keras3=keras3)
    found: dict[str, Any] = {}
    for name, value in vars(module).items():
        if (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__ == module.__name__:
            found |= {name: value, _registered(value): value}
    return found


def module_of(path: Path, *, keras3: bool = False) -> Any:
    """Run a Python file, once in a process, and return its module. Raises ConfigError when it cannot be run."""
    if not path.is_file():
        raise ConfigError(f"{path} does not exist", hint="give the Python file that holds your classes")
    # Saved models name the module, so that its name hangs on the content alone.
    name = f"edgecv_user_{path.stem}_{sha256(path)[:8]}{'_keras3' * keras3}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} is no Python file", hint="its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.resolve().parent))  # for what stands beside it
    try:
        with _tensorflow_keras(keras3):
            spec.loader.exec_module(module)
    # The file is the user's: it may raise anything.
    except Exception as error:
        del sys.modules[name]
        raise ConfigError(
            f"{path} cannot be run: {type(error).__name__}: {error}", hint="it must run by itself: python FILE"
        ) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


@contextlib.contextmanager
def _tensorflow_keras(keras3: bool) -> Iterator[None]:
    """Let `tensorflow.keras` be Keras 3 for a while: here it is tf_keras, which the toolchain works on."""
    if not keras3:
        yield
        return
    tensorflow = env.tensorflow()
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_tensorflow_keras(name)}
    own = tensorflow.keras
    tensorflow.keras = sys.modules["tensorflow.keras"] = require("keras", why="to read models written by Keras 3")
    try:
        yield
    finally:
        tensorflow.keras = own
        for name in [name for name in sys.modules if _is_tensorflow_keras(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_tensorflow_keras(name: str) -> bool:
    return name == "tensorflow.keras" or name.startswith("tensorflow.keras.")


def _registered(value: Any) -> str:
    """Return the name under which Keras 3 or tf_keras saves a class or function."""
    keras3 = sys.modules.get("keras")
    names = [keras.saving.get_registered_name(value) for keras in (env.keras(), keras3) if keras is not None]
    return next((str(name) for name in names if ">" in str(name)), str(value.__name__))


def graph_classes(config: Any) -> dict[str, str]:
    """Return the model classes of others in a file's config whose graph stands there in full: names to Keras' own.

    A class with its own `train_step` is one: it trains in another way, and answers by the graph that it was built of.
    """
    return dict(_graph_classes(config))


def _graph_classes(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, Mapping):
        kind, config = node.get("class_name"), node.get("config")
        if isinstance(kind, str) and isinstance(config, Mapping) and not _is_of_keras(node, kind):
            graph = _graph_kind(config)
            if graph:
                yield from ((name, graph) for name in (kind, node.get("registered_name")) if isinstance(name, str))
        for value in node.values():
            yield from _graph_classes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _graph_classes(value)


def _is_of_keras(node: Mapping[str, Any], kind: str) -> bool:
    module = node.get("module")
    return kind in _GRAPHS or (isinstance(module, str) and module.split(".")[0] in ("keras", "tf_keras"))


def _graph_kind(config: Mapping[str, Any]) -> str:
    layers = config.get("layers")
    if not isinstance(layers, list) or not all(isinstance(one, Mapping) and "class_name" in one for one in layers):
        return ""
    return "Functional" if {"input_layers", "output_layers"} <= set(config) else "Sequential"


def config_of(path: Path) -> Any:
    """Return the configuration in a `.keras` archive or an HDF5 file, parsed; None when there is none."""
    if kind_of(path) == "archive":
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))
    with require("h5py", why="to read HDF5 models").File(path, "r") as file:
        raw = file.attrs.get("model_config")
    return None if raw is None else json.loads(raw)
