"""Reporters for tests."""

from __future__ import annotations

from edgecv.core.progress import Quiet


class Told(Quiet):
    """Keeps what it is told and warned of."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.infos: list[str] = []

    def info(self, message: str) -> None:
        self.infos.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
