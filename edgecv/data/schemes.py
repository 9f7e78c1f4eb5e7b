"""Opening a data set from its address: the scheme before the colon picks the reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import ConfigError
from edgecv.core.registry import Registry
from edgecv.data.dataset import Dataset
from edgecv.data.digits import open_digits
from edgecv.data.folder import open_folder
from edgecv.data.keras_sets import open_keras
from edgecv.data.npz import open_npz
from edgecv.data.tfds import open_tfds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One kind of data set address.

    Attributes:
        form: How an address looks, for help texts.
        takes_path: Whether a path or a name follows the colon.
        open: From what follows the colon ("" for nothing) and the seed to the data set.
    """

    form: str
    title: str
    takes_path: bool
    open: Callable[[str, int], Dataset]


_SCHEMES: Registry[Scheme] = Registry("data set")
_SCHEMES.add(
    "digits",
    Scheme(
        form="digits", title="1,797 scanned digits, 8x8, bundled", takes_path=False, open=lambda _, s: open_digits(s)
    ),
)
_SCHEMES.add(
    "npz",
    Scheme(
        form="npz:PATH",
        title="arrays x_train, y_train, x_test, y_test or x, y: images or feature vectors",
        takes_path=True,
        open=lambda path, seed: open_npz(Path(path), seed),
    ),
)
_SCHEMES.add(
    "folder",
    Scheme(
        form="folder:PATH",
        title="a directory per class, or train/ and test/ with such directories",
        takes_path=True,
        open=lambda path, seed: open_folder(Path(path), seed),
    ),
)
_SCHEMES.add(
    "keras",
    Scheme(
        form="keras:NAME",
        title="mnist, fashion_mnist, cifar10 or cifar100; downloads",
        takes_path=True,
        open=open_keras,
    ),
)
_SCHEMES.add(
    "tfds",
    Scheme(
        form="tfds:NAME or tfds:NAME[SPLIT]",
        title="a set of tensorflow-datasets; downloads",
        takes_path=True,
        open=open_tfds,
    ),
)


def schemes() -> tuple[Scheme, ...]:
    """Return every kind of address."""
    return tuple(scheme for _, scheme in _SCHEMES)


def open_dataset(uri: str, *, seed: int = 0) -> Dataset:
    """Open a data set.

    Args:
        uri: "digits", "npz:PATH", "folder:PATH", "keras:NAME", "tfds:NAME" or "tfds:NAME[SPLIT]".
        seed: Of the splits: which samples are held out.

    Raises:
        ConfigError: Unknown scheme (with the nearest match), missing path, missing file.
        DataError: The data is inconsistent, and the message says where; or it cannot be downloaded.
        MissingDependencyError: The scheme needs a package that is not installed.
    """
    name, colon, path = uri.partition(":")
    if not colon and name not in _SCHEMES and Path(name).exists():
        kind = "folder" if Path(name).is_dir() else "npz"
        raise ConfigError(f"'{uri}' is a path, not a data set address", hint=f"write {kind}:{uri}")
    scheme = _SCHEMES.get(name)
    if scheme.takes_path != bool(path):
        raise ConfigError(f"'{uri}' is not a data set address", hint=f"expected the form {scheme.form}")
    return scheme.open(path, seed)
