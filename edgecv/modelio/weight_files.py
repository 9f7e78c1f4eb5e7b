"""Files that hold the weights of a network and not its layers: the layers come from a function that builds them.

`save_weights` writes two forms: `.weights.h5`, by the place of each layer in the network, the same in Keras 3 and
tf_keras; and the older one, layer after layer by name. Both are read by place and compared by shape.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.modelio import env
from edgecv.modelio.contents import under_its_suffix
from edgecv.modelio.opening import Opening

Array = np.ndarray[Any, Any]
ASIDE = frozenset({"seed_generator", "optimizer", "vars", "layers"})
"""Groups beside the weights of a layer that inference does without, and those that are walked."""


def build(source: Path, opening: Opening) -> tuple[Any, Any]:
    """Return a network with the weights of a file, of tf_keras or Keras 3, and its contract if its builder gives one.

    Raises:
        UnsupportedModelError: Nobody says which network it is, or the weights are of another; the message names the
            first layer that differs.
        ConfigError: The builder gives no model.
    """
    if opening.architecture is None:
        raise UnsupportedModelError(
            f"{source} holds weights only, without the layers",
            hint="name the network with --architecture NAME (see edgecv zoo list), or your own function that builds "
            "it: --architecture FILE.py:FUNCTION; or save the whole model: model.save(path)",
        )
    built = opening.architecture()
    model, spec = built if isinstance(built, tuple) and len(built) == 2 else (built, None)
    if not hasattr(model, "layers") or not hasattr(model, "set_weights"):
        raise ConfigError(f"the architecture gives {type(model).__name__}, expected a keras model", hint="return it")
    with require("h5py", why="to read weights").File(source, "r") as file:
        if "layer_names" in file.attrs:
            rows = _by_name(file, model)
        elif "layers" in file or "_layer_checkpoint_dependencies" in file:
            rows = list(_by_place(file, model, ""))
        else:
            raise UnsupportedModelError(
                f"{source} holds no weights of keras: its groups are {', '.join(list(file)[:5]) or 'none'}",
                hint="expected what model.save_weights writes",
            )
    _load(model, rows, source)
    return model, spec


class _Row:
    """One layer: what it is called in the network and in the file, and its values in both."""

    def __init__(self, layer: Any, name: str, stored_name: str, stored: Sequence[Array] | None) -> None:
        self.layer, self.name, self.stored_name, self.stored = layer, name, stored_name, stored

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of the network's weights."""
        return [] if self.layer is None else [tuple(weight.shape) for weight in _weights(self.layer)]


def _weights(layer: Any) -> list[Any]:
    """Return a layer's weights in the order of files; what draws at random has none there."""
    weights = [*layer.trainable_weights, *layer.non_trainable_weights]
    return [weight for weight in weights if "seed_generator" not in str(getattr(weight, "path", weight.name))]


def _by_name(file: Any, model: Any) -> list[_Row]:
    stored = []
    for name in (_text(name) for name in file.attrs["layer_names"]):
        values = [np.asarray(file[name][_text(key)]) for key in file[name].attrs["weight_names"]]
        if values:
            stored.append((name, values))
    layers = [layer for layer in model.layers if _weights(layer)]
    places = {layer.name: place for place, layer in enumerate(layers)}
    if {name for name, _ in stored} == set(places):  # Else the names were counted on, and their order tells.
        stored.sort(key=lambda row: places[row[0]])
    pairs = itertools.zip_longest(layers, stored, fillvalue=None)
    return [_Row(layer, layer.name if layer is not None else "", *(pair or ("", None))) for layer, pair in pairs]


def _by_place(group: Any, model: Any, path: str) -> Iterator[_Row]:
    key = "layers" if "layers" in group else "_layer_checkpoint_dependencies"
    stored = group.get(key, {})
    used: dict[str, int] = {}
    seen = set()
    for layer in model.layers:
        kind = _snake(type(layer).__name__)
        used[kind] = used.get(kind, -1) + 1
        place = f"{kind}_{used[kind]}" if used[kind] else kind
        seen.add(place)
        inner = stored.get(place, {})
        if hasattr(layer, "layers"):
            yield from _by_place(inner, layer, f"{path}{layer.name}/")
            continue
        values = list(_values(inner)) if inner else None
        if values or _weights(layer):
            yield _Row(layer, f"{path}{layer.name}", f"{path}{place}", values)
    for place in (one for one in stored if one not in seen):
        values = list(_values(stored[place]))
        if values:
            yield _Row(None, "", f"{path}{place}", values)


def _values(group: Any) -> Iterator[Array]:
    """Yield the values of a layer: its own, then those of the parts inside it."""
    own = group.get("vars", {})
    yield from (np.asarray(own[key]) for key in sorted(own, key=int))
    for part in (one for one in group if one not in ASIDE):
        yield from _values(group[part])


def _load(model: Any, rows: Sequence[_Row], source: Path) -> None:
    for row in rows:
        stored = None if row.stored is None else [value.shape for value in row.stored]
        if row.layer is None:
            raise _differs(source, model, f"has nothing for '{row.stored_name}' {_told(stored)} of the file")
        if stored is None or sorted(stored) != sorted(row.shapes):
            found = f"'{row.stored_name}' {_told(stored)}" if stored is not None else "nothing"
            raise _differs(source, model, f"layer '{row.name}' {_told(row.shapes)} meets {found} in the file")
    parted = [row for row in rows if [value.shape for value in row.stored or ()] != row.shapes]
    if parted or any(_is_parted(row.layer) for row in rows):
        # Parts inside a layer have an order that only the package knows which wrote it.
        with under_its_suffix(source, ".weights.h5") as path:
            model.load_weights(path)
        return
    for row in rows:
        for weight, value in zip(_weights(row.layer), row.stored or (), strict=True):
            weight.assign(value)


def _is_parted(layer: Any) -> bool:
    inner = getattr(layer, "_layers", None) or [one for one in layer._flatten_layers() if one is not layer]
    return not hasattr(layer, "layers") and any(_weights(one) for one in inner if hasattr(one, "trainable_weights"))


def _differs(source: Path, model: Any, how: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{source} holds the weights of another network than '{model.name}': {how}",
        hint="check the number of classes, the input size and the variant: --architecture NAME:classes=N,variant=V",
    )


def _told(shapes: Sequence[tuple[int, ...]] | None) -> str:
    return ", ".join("x".join(map(str, shape)) or "scalar" for shape in shapes or ()) or "without weights"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _snake(name: str) -> str:
    """Return a class name as Keras writes it in files. Source: keras.src.utils.naming.to_snake_case."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def is_keras3(model: Any) -> bool:
    """Say whether a model is of Keras 3 rather than of tf_keras."""
    return not isinstance(model, env.keras().Model)
