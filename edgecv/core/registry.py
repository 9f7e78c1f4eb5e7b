"""A small typed registry: names to values, no scanning, no silent replacement."""

from __future__ import annotations

from typing import Dict, Generic, Iterator, Tuple, TypeVar

from edgecv.core.errors import ConfigError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps names to values of one kind.

    Args:
        kind: What the values are, for messages: "scheme", "architecture", …
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: Dict[str, T] = {}

    def add(self, name: str, value: T) -> T:
        """Register `value` under `name`.

        Raises:
            ConfigError: `name` is taken.
        """
        if name in self._entries:
            raise ConfigError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = value
        return value

    def remove(self, name: str) -> None:
        """Forget what is registered under `name`. Raises ConfigError as `get` does."""
        self.get(name)
        del self._entries[name]

    def get(self, name: str) -> T:
        """Return the value registered under `name`.

        Raises:
            ConfigError: Nothing is; the hint has the nearest match and every known name.
        """
        try:
            return self._entries[name]
        except KeyError:
            raise unknown_name(self.kind, name, self._entries) from None

    def names(self) -> Tuple[str, ...]:
        """Return every name, in order of registration."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Tuple[str, T]]:
        return iter(self._entries.items())
