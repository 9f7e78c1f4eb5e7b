"""Commands that say at once what they are about to do: the packages they need take seconds to load."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

MOST_NAMED = 3


class Announced(TyperCommand):
    """A command whose first line on stderr names what it works on, before anything heavy is imported."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command, after a line like "quantize lenet5.keras, to lenet5-int8.tflite …"."""
        print(line(ctx.command_path, [ctx.params.get(p.name) for p in _arguments(self)], ctx.params.get("out")),
              file=sys.stderr, flush=True)  # fmt: skip
        return super().invoke(ctx)


def _arguments(command: TyperCommand) -> list[Any]:
    return [parameter for parameter in command.params if parameter.param_type_name == "argument"]


def line(path: str, arguments: list[Any], out: Any) -> str:
    """Return what is about to happen: the command, its arguments and where the result goes."""
    command = path.split(maxsplit=1)[1] if " " in path else path
    named = [text for argument in arguments for text in _texts(argument)]
    if len(named) > MOST_NAMED:
        named = [*named[:MOST_NAMED], f"and {len(named) - MOST_NAMED} more"]
    result = f", to {out}" if isinstance(out, (str, Path)) else ""
    return f"{' '.join([*command.split(), *named])}{result} …"


def _texts(argument: Any) -> list[str]:
    if argument is None:
        return []
    return [str(one) for one in argument] if isinstance(argument, (list, tuple)) else [str(argument)]
