"""The examples that commands show in their help, in the order of `edgecv --help`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[list[str], Any]]:
    """Yield every command that help lists, with the words that lead to it."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield [*path, name], command


def examples(command: Any) -> list[str]:
    return re.findall(r"^\s*Example: `(edgecv .+)`$", command.help or "", flags=re.MULTILINE)


def pasted(group: Any) -> list[str]:
    """Return all examples, in order."""
    return [line for _, command in commands(group) for line in examples(command)]
