"""The errors edgecv raises, one class per party who must act.

Every message says what went wrong, where, what was expected and got, and the next step; `hint` holds that next step.
"""

from __future__ import annotations

import difflib
from typing import ClassVar, Iterable, Optional


class EdgecvError(Exception):
    """Base of every error that edgecv raises on purpose.

    Args:
        message: What is wrong and where, with expected and actual values.
        hint: What to do next, as one sentence; empty when the message says it all.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigError(EdgecvError):
    """The request cannot be met as written: an option, a TOML file, a path or a data set is wrong."""


class UnsupportedModelError(EdgecvError):
    """The model file is unreadable, or holds something that edgecv or the target cannot take."""


class CrashError(UnsupportedModelError):
    """A model file ended the process that ran it, or took more time or memory than it may have."""


class DataError(EdgecvError):
    """A data set or an image is missing, corrupt or inconsistent."""


class MissingDependencyError(EdgecvError):
    """An optional package is not installed; the hint names the extra that brings it."""


class ConversionError(EdgecvError):
    """A converter failed, or its output did not pass the checks that follow every conversion."""


class DeviceError(EdgecvError):
    """A device, accelerator or agent process failed or dropped out."""

    exit_code: ClassVar[int] = 3


class PartialAccelerationError(DeviceError):
    """An accelerator takes only a part of a model, and running the rest on the CPU was not allowed."""


class GateFailure(EdgecvError):
    """An artifact failed a regression gate or a verification."""

    exit_code: ClassVar[int] = 1


def nearest(name: str, choices: Iterable[str]) -> Optional[str]:
    """Return the choice most like `name`, or None when nothing is close."""
    found = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=0.5)
    return found[0] if found else None


def unknown_name(kind: str, name: str, choices: Iterable[str]) -> ConfigError:
    """Return the error for a name outside its vocabulary, with the nearest match and all choices."""
    known = sorted(choices)
    match = nearest(name, known)
    guess = f"did you mean '{match}'? " if match else ""
    return ConfigError(f"unknown {kind} '{name}'", hint=f"{guess}known: {', '.join(known)}")
