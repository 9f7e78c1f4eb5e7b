"""Real conversions on workers, which tell a file that they began and ended, and in which process."""

from __future__ import annotations

import os
from pathlib import Path

from edgecv.jobs import conversions

LOG = "EDGECV_TEST_LOG"


def convert(one: conversions.Conversion) -> conversions.Converted:
    _say("begin", one)
    found = conversions.convert(one)
    _say("end", one)
    return found


def _say(word: str, one: conversions.Conversion) -> None:
    with Path(os.environ[LOG]).open("a") as out:
        out.write(f"{word} {one.ways[0]} {os.getpid()}\n")
