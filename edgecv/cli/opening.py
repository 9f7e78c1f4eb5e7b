"""The options that say how a float model is opened, declared once for all commands that take one."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.cli import options as opt

if TYPE_CHECKING:
    from edgecv.jobs.models import Source

OPTIONS: dict[str, Any] = {
    "unsafe": opt.Unsafe, "spec": opt.Spec, "preset": opt.Preset, "input_size": opt.InputSize,
    "architecture": opt.Architecture, "custom_objects": opt.CustomObjects, "signature": opt.Signature,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a user says of a model on the command line; the fields are those of `jobs.models.Source`."""

    unsafe: bool = False
    spec: Path | None = None
    preset: str | None = None
    input_size: str | None = None
    architecture: str | None = None
    custom_objects: Path | None = None
    signature: str | None = None

    def source(self, path: Path) -> Source:
        """Return a model that is opened so."""
        from edgecv.jobs.models import Source

        return Source(path=path, **asdict(self))


AS_IT_IS = Opening()
PARAMETER = "opening"


def opens(*, without: tuple[str, ...] = ()) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options of `OPTIONS` in place of its parameter `opening`, which gets what they say.

    Args:
        without: Options that the command lacks, or has in a form of its own.
    """
    own = {name: kind for name, kind in OPTIONS.items() if name not in without}

    def given(command: Callable[..., Any]) -> Callable[..., Any]:
        signature = inspect.signature(command, eval_str=True)
        shown = [one for each in signature.parameters.values() for one in _options(each, own)]

        @functools.wraps(command)
        def run(**values: Any) -> Any:
            said = {name: values.pop(name) for name in own}
            return command(**values, **{PARAMETER: Opening(**said)})

        run.__signature__ = signature.replace(parameters=shown)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in shown}
        return run

    return given


def _options(parameter: inspect.Parameter, own: dict[str, Any]) -> list[inspect.Parameter]:
    if parameter.name != PARAMETER:
        return [parameter]
    defaults = asdict(AS_IT_IS)
    return [parameter.replace(name=name, annotation=kind, default=defaults[name]) for name, kind in own.items()]
