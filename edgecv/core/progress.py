"""How long work tells what it is doing: the library calls a Reporter, the CLI draws it."""

from __future__ import annotations

import contextlib
from typing import Callable, ContextManager, Iterator, Protocol

Advance = Callable[..., None]
"""advance(steps=1, note=""): move the bar on; `note` is shown beside it ("val_accuracy 0.981")."""


class Reporter(Protocol):
    """Takes progress and remarks. Implementations never write to stdout."""

    def bar(self, label: str, total: int) -> ContextManager[Advance]:
        """Open a progress bar of `total` steps."""

    def info(self, message: str) -> None:
        """Say what was done."""

    def warn(self, message: str) -> None:
        """Say what the user should know and may act on."""


class Quiet:
    """A Reporter that says nothing: the library's default."""

    @contextlib.contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        yield lambda steps=1, note="": None

    def info(self, message: str) -> None:
        return

    def warn(self, message: str) -> None:
        return


class Unseen:
    """Passes bars and warnings on, and keeps remarks to itself: for files on the way, which no user gets to see."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def bar(self, label: str, total: int) -> ContextManager[Advance]:
        return self._reporter.bar(label, total)

    def info(self, message: str) -> None:
        return

    def warn(self, message: str) -> None:
        self._reporter.warn(message)


class About:
    """Passes all on, and says of what: for jobs that make many things of a kind.

    Args:
        name: Before each remark and warning.
        reporter: Gets them.
    """

    def __init__(self, name: str, reporter: Reporter) -> None:
        self._name, self._reporter = name, reporter

    def bar(self, label: str, total: int) -> ContextManager[Advance]:
        return self._reporter.bar(label, total)

    def info(self, message: str) -> None:
        self._reporter.info(f"{self._name}: {message}")

    def warn(self, message: str) -> None:
        self._reporter.warn(f"{self._name}: {message}")


QUIET = Quiet()
