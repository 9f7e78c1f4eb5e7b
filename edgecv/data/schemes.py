"""Opening a data set from its address: the scheme before the colon picks the reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecv.data.dataset import Dataset
from edgecv.data.digits import open_digits
from edgecv.data.folder import open_folder
from edgecv.data.npz import open_npz
from edgecv.errors import ConfigError
from edgecv.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One kind of data set address.

    Attributes:
        form: How an address looks, for help texts.
        takes_path: Whether a path follows the colon.
        open: From the path ("" without one) and the seed to the data set.
    """

    form: str
    title: str
    takes_path: bool
    open: Callable[[Path, int], Dataset]


_SCHEMES: Registry[Scheme] = Registry("data set")
_SCHEMES.add(
    "digits",
    Scheme(
        form="digits", title="1,797 scanned digits, 8x8, bundled", takes_path=False, open=lambda _, s: open_digits(s)
    ),
)
_SCHEMES.add(
    "npz",
    Scheme(form="npz:PATH", title="arrays x_train, y_train, x_test, y_test or x, y", takes_path=True, open=open_npz),
)
_SCHEMES.add("folder", Scheme(form="folder:PATH", title="a directory per class", takes_path=True, open=open_folder))


def schemes() -> tuple[Scheme, ...]:
    """Return every kind of address."""
    return tuple(scheme for _, scheme in _SCHEMES)


def open_dataset(uri: str, *, seed: int = 0) -> Dataset:
    """Open a data set.

    Args:
        uri: "digits", "npz:PATH" or "folder:PATH".
        seed: Of the splits: which samples are held out.

    Raises:
        ConfigError: Unknown scheme (with the nearest match), missing path, missing file.
        DataError: The data is inconsistent; the message says where.
    """
    name, colon, path = uri.partition(":")
    if not colon and name not in _SCHEMES and Path(name).exists():
        kind = "folder" if Path(name).is_dir() else "npz"
        raise ConfigError(f"'{uri}' is a path, not a data set address", hint=f"write {kind}:{uri}")
    scheme = _SCHEMES.get(name)
    if scheme.takes_path != bool(path):
        raise ConfigError(f"'{uri}' is not a data set address", hint=f"expected the form {scheme.form}")
    return scheme.open(Path(path), seed)
