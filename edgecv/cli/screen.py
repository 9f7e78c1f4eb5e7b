"""How wide the screen is, and prose that fits it."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from typing import TextIO


def screen_width() -> int | None:
    """Return the characters in a line of stdout: $COLUMNS, or the terminal's; None in a pipe, which has no width."""
    told = os.environ.get("COLUMNS", "")
    if told.isdigit() and int(told):
        return int(told)
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def for_screen(text: str, stream: TextIO) -> str:
    """Return a text as a stream shows it best: folded between words on a terminal, whole in a pipe."""
    return folded(text, shutil.get_terminal_size().columns) if stream.isatty() else text


def folded(text: str, width: int) -> str:
    """Fold each line between words, further in than it begins; a word longer than the line stays whole."""
    return "\n".join(_fold(line, width) if len(line) > width else line for line in text.split("\n"))


def _fold(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())] + "  "
    lines = textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines)
