"""Reporters for tests."""

from __future__ import annotations

from edgecv.core.progress import Quiet


class Told(Quiet):
    """Keeps what it is warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)
