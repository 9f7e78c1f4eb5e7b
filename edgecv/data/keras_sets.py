"""The image sets that Keras downloads: small, well known, and the same bytes for everybody."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

import numpy as np

from edgecv.core.errors import DataError, unknown_name
from edgecv.data.columns import read_more, read_target
from edgecv.data.dataset import ONLY, Array, Dataset, Split
from edgecv.data.grouping import divide
from edgecv.data.sources import ArrayImages
from edgecv.data.splits import ORDER, VALIDATION_SHARE, Indices
from edgecv.modelio import env

SETS = {
    "mnist": "0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
    "fashion_mnist": "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot",
    "cifar10": "airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck",
    "cifar100": "apple, aquarium_fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, "
    "butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, "
    "crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, "
    "keyboard, lamp, lawn_mower, leopard, lion, lizard, lobster, man, maple_tree, motorcycle, mountain, mouse, "
    "mushroom, oak_tree, orange, orchid, otter, palm_tree, pear, pickup_truck, pine_tree, plain, plate, poppy, "
    "porcupine, possum, rabbit, raccoon, ray, road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, "
    "snail, snake, spider, squirrel, streetcar, sunflower, sweet_pepper, table, tank, telephone, television, "
    "tiger, tractor, train, trout, tulip, turtle, wardrobe, whale, willow_tree, wolf, woman, worm",
}
"""Name to class names. Sources: LeCun, Cortes, Burges, "The MNIST database"; Xiao, Rasul, Vollgraf 2017,
arXiv:1708.07747, table 2; Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images" (the classes of its
files, in their order)."""


@dataclass(frozen=True, slots=True)
class _Part:
    images: Array
    labels: Array


def open_keras(name: str, seed: int) -> Dataset:
    """Open mnist, fashion_mnist, cifar10 or cifar100; downloads it to ~/.keras/datasets on first use.

    The test images are kept; the validation split is taken from the training images.

    Raises:
        MissingDependencyError: tf_keras is not installed.
        ConfigError: Unknown name.
        DataError: It cannot be downloaded.
    """
    if name not in SETS:
        raise unknown_name("keras data set", name, SETS)
    train, test = _load(name)
    uri = f"keras:{name}"
    target, values = read_target(ONLY, train.labels, SETS[name].split(", "), where=f"{uri}: train")
    everything = ArrayImages(train.images, np.arange(len(values)))
    parts = divide((target,), (values,), everything, {"validation": VALIDATION_SHARE}, seed=seed, where=uri)
    splits = {part: _split(part, train.images, values, index) for part, index in parts.items()}
    more = read_more(target, test.labels, where=f"{uri}: test")
    splits["test"] = _split("test", test.images, more, np.arange(len(more)))
    return Dataset(name=name, uri=uri, targets=(target,), splits={part: splits[part] for part in ORDER})


def _load(name: str) -> tuple[_Part, _Part]:
    loader = getattr(env.keras().datasets, name)
    try:
        # Keras reports the download on stdout, which belongs to results.
        with contextlib.redirect_stdout(sys.stderr):
            train, test = loader.load_data()
    # Keras raises a bare Exception when a download fails, and others when what it got is cut off.
    except Exception as error:
        raise DataError(
            f"the data set '{name}' cannot be downloaded: {error}",
            hint="download it on a machine with a network and copy ~/.keras/datasets, or save it as npz: or folder:",
        ) from error
    return _Part(*train), _Part(*test)


def _split(name: str, images: Array, values: Array, index: Indices) -> Split:
    return Split(name=name, images=ArrayImages(images, index), targets=(values[index],))
