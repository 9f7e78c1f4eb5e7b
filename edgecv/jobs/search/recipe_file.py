"""A recipe as TOML that `edgecv compress` reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from edgecv.jobs.compress_recipe import CompressionRecipe


def toml_of(recipe: CompressionRecipe, remarks: Sequence[str] = ()) -> str:
    """Return a recipe's text; remarks come first, as comments."""
    lines = [*(f"# {remark}" for remark in remarks), f"title = {_value(recipe.title)}"]
    if recipe.data is not None:
        lines.append(f"data = {_value(recipe.data)}")
    lines.append(f"seed = {recipe.seed}")
    for step in recipe.steps:
        lines += ["", "[[step]]", f"method = {_value(step.method)}"]
        lines += [f"{key} = {_value(value)}" for key, value in step.options.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(one) for one in value) + "]"
    return repr(value)
