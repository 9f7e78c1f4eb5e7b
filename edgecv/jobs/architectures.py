"""The network of a file that holds weights only: of the zoo, or built by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgecv import zoo
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.modelio.custom import module_of
from edgecv.values.specs import ModelSpec

OPTIONS = ("classes", "input_size", "variant", "width")
Builder = Callable[[], Any]


def builder(text: str, *, spec: ModelSpec | None, input_size: tuple[int, int] | None) -> Builder:
    """Return what builds the network that `--architecture` names.

    Args:
        text: "NAME" or "NAME:option=value,…" of the zoo, with the options `classes`, `input_size`, `variant` and
            `width`; or "FILE.py:FUNCTION", whose file is run, and whose function returns a keras model, or a model and
            its contract.
        spec: The user's contract: its labels and size go to the zoo where no option says otherwise.
        input_size: Height and width, likewise.

    Raises:
        ConfigError: An unknown name or option, a wrong value, or a file without such a function.
    """
    name, _, rest = text.partition(":")
    if name.endswith(".py") or "/" in name:
        return _function(text)
    entry, options = zoo.get(name), _options(rest)
    size = input_size or (spec.input_shape[:2] if spec and len(spec.input_shape) == 3 else None)
    if "input_size" in options:
        size = (int(options["input_size"]),) * 2
    labels = spec.labels if spec and spec.labels else None
    if "classes" in options:
        labels = tuple(str(index) for index in range(int(options["classes"])))
    settings: dict[str, Any] = {
        "variant": options.get("variant", "canonical"), "width": float(options.get("width", 1.0)), "labels": labels,
        "input_shape": (*size, *entry.input_shape[2:]) if size and len(entry.input_shape) == 3 else None,
    }  # fmt: skip
    return lambda: zoo.build(name, **settings)


def _options(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, given, value = part.partition("=")
        if key not in OPTIONS:
            raise unknown_name("option of --architecture", key, OPTIONS)
        if not given or (key in ("classes", "input_size") and not value.isdecimal()):
            raise ConfigError(f"--architecture: '{part}' has no value that fits", hint=f"write {key}=VALUE")
        found[key] = value
    return found


def _function(text: str) -> Builder:
    file, _, name = text.rpartition(":")
    if not file or not name:
        raise ConfigError(f"--architecture {text} names no function", hint="write FILE.py:FUNCTION")
    function = getattr(module_of(Path(file)), name, None)
    if not callable(function):
        raise ConfigError(f"{file} has no function '{name}'", hint="it takes nothing and returns a keras model")
    return _telling(function, text)


def _telling(function: Builder, text: str) -> Builder:
    def call() -> Any:
        try:
            return function()
        # The function is the user's: it may raise anything.
        except Exception as error:
            raise ConfigError(
                f"--architecture {text} fails: {type(error).__name__}: {error}", hint="it is called without arguments"
            ) from error

    return call
