"""Opening a data set from its address: the scheme before the colon picks the reader."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import ConfigError
from edgecv.core.registry import Registry
from edgecv.data.answers import answered
from edgecv.data.characters import open_characters
from edgecv.data.coco import open_coco
from edgecv.data.dataset import Dataset
from edgecv.data.digits import open_digits
from edgecv.data.folder import open_folder
from edgecv.data.identities import open_identities
from edgecv.data.keras_sets import open_keras
from edgecv.data.masks import open_masks
from edgecv.data.npz import open_npz
from edgecv.data.pictures import open_pictures
from edgecv.data.scenes import open_scenes
from edgecv.data.tfds import open_tfds
from edgecv.data.voc import open_voc
from edgecv.data.yolo import open_yolo


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One kind of data set address.

    Attributes:
        form: How an address looks, for help texts.
        title: What it opens.
        takes_path: Whether a path or a name follows the colon.
        choices: What may follow the colon of a scheme that takes no path; "" for nothing.
        open: From what follows the colon ("" for nothing) and the seed to the data set.
    """

    form: str
    title: str
    takes_path: bool = True
    choices: tuple[str, ...] = ("",)
    open: Callable[[str, int], Dataset]


def _path(reader: Callable[[Path, int], Dataset]) -> Callable[[str, int], Dataset]:
    return lambda path, seed: reader(Path(path), seed)


SCHEMES: Registry[Scheme] = Registry("data set")
for _name, _scheme in {
    "digits": Scheme(
        form="digits", title="1,797 scanned digits, 8x8, bundled", takes_path=False, open=lambda _, s: open_digits(s)
    ),
    "scenes": Scheme(
        form="scenes or scenes:one or scenes:noisy",
        title="64x64 scenes of digits, bundled: boxes, masks, classes, identities; or noisy and clean pictures",
        takes_path=False,
        choices=("", "one", "noisy"),
        open=open_scenes,
    ),
    "characters": Scheme(
        form="characters",
        title="6,300 made-up signs in 6 or 8 hands, 28x28, drawn: identities",
        takes_path=False,
        open=lambda _, s: open_characters(s),
    ),
    "npz": Scheme(
        form="npz:PATH",
        title="arrays x_train, y_train, x_test, y_test or x, y: images or feature vectors",
        open=_path(open_npz),
    ),
    "folder": Scheme(
        form="folder:PATH",
        title="a directory per class, or train/ and test/ with such directories",
        open=_path(open_folder),
    ),
    "masks": Scheme(
        form="masks:PATH",
        title="images/ and masks/, or train/, val/ and test/ with both; classes.txt",
        open=_path(open_masks),
    ),
    "pictures": Scheme(
        form="pictures:PATH",
        title="images/ and the pictures that they should become in targets/, or train/, val/ and test/ with both",
        open=_path(open_pictures),
    ),
    "voc": Scheme(
        form="voc:PATH", title="boxes of PASCAL VOC: Annotations/*.xml, JPEGImages/, ImageSets/", open=_path(open_voc)
    ),
    "coco": Scheme(form="coco:JSON", title="boxes of COCO: a JSON file, its images beside it", open=_path(open_coco)),
    "yolo": Scheme(
        form="yolo:PATH", title="boxes of YOLO: images/, labels/, classes.txt or data.yaml", open=_path(open_yolo)
    ),
    "identities": Scheme(
        form="identities:PATH",
        title="a folder of images per identity, or train/ and test/ with such folders",
        open=_path(open_identities),
    ),
    "answers": Scheme(
        form="answers:MODEL:DATA",
        title="images of any other address; what a model says of them is the truth",
        open=lambda text, seed: _answers(text, seed),
    ),
    "keras": Scheme(form="keras:NAME", title="mnist, fashion_mnist, cifar10 or cifar100; downloads", open=open_keras),
    "tfds": Scheme(
        form="tfds:NAME or tfds:NAME[SPLIT]", title="a set of tensorflow-datasets; downloads", open=open_tfds
    ),
}.items():
    SCHEMES.add(_name, _scheme)


def schemes() -> tuple[Scheme, ...]:
    """Return every kind of address."""
    return tuple(scheme for _, scheme in SCHEMES)


def _answers(text: str, seed: int) -> Dataset:
    """Open the data behind a model's path, and put the model's answers in the place of its truths."""
    known = "|".join(re.escape(name) for name in SCHEMES.names())
    parts = re.match(rf"(.+?):((?:{known})(?::.*)?)$", text)
    if parts is None:
        raise ConfigError(
            f"'answers:{text}' names no model and data", hint="expected the form answers:float.keras:folder:PATH"
        )
    return answered(Path(parts[1]), open_dataset(parts[2], seed=seed))


def open_dataset(uri: str, *, seed: int = 0) -> Dataset:
    """Open a data set as it is: one that brings no splits has the split "all".

    Args:
        uri: One of the forms of `schemes`: "digits", "scenes", "npz:PATH", "voc:PATH", …
        seed: Of a validation split that is carved from training: which samples are held out.

    Raises:
        ConfigError: Unknown scheme (with the nearest match), missing path, missing file.
        DataError: The data is inconsistent, and the message says where; or it cannot be downloaded.
        MissingDependencyError: The scheme needs a package that is not installed.
    """
    name, colon, path = uri.partition(":")
    if not colon and name not in SCHEMES and Path(name).exists():
        kind = "folder" if Path(name).is_dir() else "npz"
        raise ConfigError(f"'{uri}' is a path, not a data set address", hint=f"write {kind}:{uri}")
    scheme = SCHEMES.get(name)
    if not path if scheme.takes_path else path not in scheme.choices:
        raise ConfigError(f"'{uri}' is not a data set address", hint=f"expected the form {scheme.form}")
    return scheme.open(path, seed)


def open_divided(uri: str, *, seed: int = 0) -> Dataset:
    """Open a data set with the splits "train", "validation" and "test"; what it does not bring is divided by `seed`.

    Raises:
        ConfigError, DataError, MissingDependencyError: As `open_dataset`; or there are too few samples to divide.
    """
    return open_dataset(uri, seed=seed).divided(seed)
