"""Recipes as TOML: the shipped ones by architecture, and a user's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecv.core import codec
from edgecv.core.errors import unknown_name
from edgecv.train.recipes import TrainRecipe
from edgecv.values.profiles import read_toml
from edgecv.values.specs import ModelSpec

FOLDER = Path(__file__).resolve().parent / "shipped"
DEFAULT = "_default"


def recipe_names() -> tuple[str, ...]:
    """Return the names of the shipped recipes; those that others extend start with an underscore."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.toml")))


def recipe(name: str) -> TrainRecipe:
    """Return a recipe.

    Args:
        name: Of a shipped one ("resnet8", "lenet5.book"), or the path of a file that ends in .toml. A file may say
            `extends = "NAME"` and give what differs, table by table.

    Raises:
        ConfigError: It is unknown, or has a wrong key or value.
    """
    if Path(name).suffix == ".toml" and name not in recipe_names():
        source = Path(name)
    elif name in recipe_names():
        source = FOLDER / f"{name}.toml"
    else:
        raise unknown_name("training recipe", name, recipe_names())
    return codec.decode(TrainRecipe, _extended(source), where=str(source))


def default_recipe(spec: ModelSpec) -> TrainRecipe:
    """Return the recipe for a model: its variant's, else its architecture's, else the default one."""
    known = recipe_names()
    for name in (f"{spec.name}.{spec.variant}", spec.name):
        if name in known:
            return recipe(name)
    return recipe(DEFAULT)


def _extended(source: Path) -> dict[str, Any]:
    own = read_toml(source, what="training recipe")
    parent = own.pop("extends", None)
    if parent is None:
        return own
    if parent not in recipe_names():
        raise unknown_name("training recipe", str(parent), recipe_names())
    base = _extended(FOLDER / f"{parent}.toml")
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _merged(base: Any, own: Any) -> Any:
    return {**base, **own} if isinstance(base, dict) and isinstance(own, dict) else own
