"""Settings of a call as the command line takes them: --set score=0.4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tomllib

from edgecv.core.errors import ConfigError


def parsed(given: Sequence[str] | None) -> dict[str, Any]:
    """Return the settings of `KEY=VALUE` texts: values as TOML has them, or else plain words.

    `HEAD.KEY=VALUE` is a setting of another head than the first, and gives {HEAD: {KEY: value}}.

    Raises:
        ConfigError: A text is no `KEY=VALUE`, or a key is given twice.
    """
    found: dict[str, Any] = {}
    for text in given or ():
        _merge(found, _one(text), text)
    return found


def _one(text: str) -> Mapping[str, Any]:
    key, equals, value = text.partition("=")
    if not (key.strip() and equals and value.strip()):
        raise ConfigError(f"--set {text}: expected KEY=VALUE", hint="for example --set score=0.4 --set nms=agnostic")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        pass
    try:
        return tomllib.loads(f"{key} = '{value.strip()}'")
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"--set {text}: {error}", hint="a value is a number, a word, or TOML: --set 'label_scores={cat = 0.6}'"
        ) from error


def _merge(found: dict[str, Any], more: Mapping[str, Any], text: str) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping) and isinstance(found.get(key), dict):
            _merge(found[key], value, text)
        elif key in found:
            raise ConfigError(f"--set {text}: '{key}' is given twice")
        else:
            found[key] = value
