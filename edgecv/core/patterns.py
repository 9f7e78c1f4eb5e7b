"""Names with wildcards, as users give them for layers."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from edgecv.core.errors import unknown_name


def matching(patterns: Sequence[str], names: Iterable[str], *, kind: str) -> tuple[str, ...]:
    """Return the names that any pattern matches, in their own order.

    Args:
        patterns: Names, or wildcards ("block1*"), case-sensitive.
        names: What can be named.
        kind: What they are, for the error.

    Raises:
        ConfigError: A pattern matches nothing; the hint has the nearest name.
    """
    known = tuple(names)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(name, pattern) for name in known):
            raise unknown_name(kind, pattern, known)
    return tuple(name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))
