"""Data sets of pictures and what they should become: images/ and targets/, split or not."""

from __future__ import annotations

from pathlib import Path

from edgecv.core.errors import DataError
from edgecv.data.dataset import Dataset, Split, Target
from edgecv.data.grouping import completed
from edgecv.data.sources import FileImages, check_header
from edgecv.data.tree import beside, by_stem, require_folder

TARGETS = "targets"


def open_pictures(root: Path, seed: int) -> Dataset:
    """Open a folder of images/ and targets/, or of train/, val/ and test/ with both.

    An image and its target have the same stem. A target is as large as its image, or larger by one whole factor, the
    same for all: "scale" in the target's settings.

    Raises:
        ConfigError: The folder is missing.
        DataError: A target is missing, or of a size that does not fit its image.
    """
    require_folder(root, "pictures")
    found = {split: _paired(*folders) for split, folders in beside(root, TARGETS).items()}
    scale = _scale([pair for pairs in found.values() for pair in pairs])
    settings = {} if scale == 1 else {"scale": scale}
    targets = (Target(name="picture", task="imaging", labels=(), settings=settings),)
    splits = {
        split: Split(
            name=split,
            images=FileImages(tuple(image for image, _ in pairs)),
            targets=(FileImages(tuple(target for _, target in pairs)),),
        )
        for split, pairs in found.items()
    }
    made = splits if "all" in splits else completed(targets, splits, seed=seed, where=str(root))
    return Dataset(name=root.resolve().name, uri=f"pictures:{root}", targets=targets, splits=made)


def _paired(images: Path, targets: Path) -> list[tuple[Path, Path]]:
    if not targets.is_dir():
        raise DataError(f"{targets} does not exist", hint=f"put in it what every image of {images} should become")
    answers = by_stem(targets)
    for name, image in by_stem(images).items():
        if name not in answers:
            raise DataError(f"image {image} has no target", hint=f"add {targets / name}.png, or remove the image")
    return [(image, answers[name]) for name, image in by_stem(images).items()]


def _scale(pairs: list[tuple[Path, Path]]) -> int:
    """Return how many times larger every target is than its image."""
    first = 0
    for image, target in pairs:
        own, other = check_header(image), check_header(target)
        first = first or max(1, other[0] // own[0])
        if other != (own[0] * first, own[1] * first):
            larger = "its size" if first == 1 else f"{first} times its size"
            raise DataError(
                f"target {target} has {other[1]}x{other[0]} pixels, expected {own[1] * first}x{own[0] * first}: image "
                f"{image} has {own[1]}x{own[0]}, and targets are of {larger}",
                hint="give every image a target that is larger by the same whole factor",
            )
    return first
