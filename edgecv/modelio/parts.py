"""The networks of a bundle as files of their own."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgecv.core.files import PathLike
from edgecv.runtime.container import unpack_bundle


@contextmanager
def unpacked(path: PathLike) -> Iterator[dict[str, Path]]:
    """Yield role -> file of each network of a bundle; the files are gone afterwards.

    Raises:
        ConfigError, UnsupportedModelError: As `unpack_bundle`.
    """
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        yield {role: Path(file) for role, file in unpack_bundle(path, folder).items()}
