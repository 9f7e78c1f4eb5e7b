"""Data sets of images with label maps: images/ and masks/, split or not, and a classes.txt."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgecv.core.errors import DataError
from edgecv.data.dataset import Dataset, Split, Target
from edgecv.data.grouping import completed
from edgecv.data.sources import FileImages, check_header
from edgecv.data.tree import beside, by_stem, class_lines, images_under, require_folder, stem
from edgecv.data.truths import MaskFiles, read_mask

VOID = ("void", "ignore", "ignored", "unlabelled", "unlabeled")
"""Names in a classes.txt of pixels that belong to no class."""
IGNORED = 255
"""The value of such pixels where nothing names another. Source: Everingham et al. 2010, "The PASCAL Visual Object
Classes (VOC) Challenge", International Journal of Computer Vision 88, section 3.4."""


def open_masks(root: Path, seed: int) -> Dataset:
    """Open a folder of images/ and masks/, or of train/, val/ and test/ with both.

    An image and its mask have the same stem. A mask is an 8-bit gray or palette image of the image's size, whose pixels
    are class indices. classes.txt names the classes; without it, every mask is read once to find the highest.

    Raises:
        ConfigError: The folder is missing.
        DataError: A mask is missing or of another size than its image, or classes.txt is wrong. A pixel that is no
            class shows when its mask is read.
    """
    require_folder(root, "masks")
    found = {split: _paired(images, masks) for split, (images, masks) in beside(root, "masks").items()}
    labels, ignored = _labels(root, [mask for pairs in found.values() for _, mask in pairs])
    settings = {} if ignored is None else {"ignore_index": ignored}
    targets = (Target(name="mask", task="segmentation", labels=labels, settings=settings),)
    splits = {split: _split(split, pairs, len(labels), ignored) for split, pairs in found.items()}
    made = splits if "all" in splits else completed(targets, splits, seed=seed, where=str(root))
    return Dataset(name=root.resolve().name, uri=f"masks:{root}", targets=targets, splits=made)


def _paired(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    if not masks.is_dir():
        raise DataError(f"{masks} does not exist", hint=f"put a mask in it for every image of {images}")
    answers = {stem(path, masks): path for path in images_under(masks) if path.suffix.lower() in (".png", ".bmp")}
    pairs = []
    for name, image in by_stem(images).items():
        if name not in answers:
            raise DataError(f"image {image} has no mask", hint=f"add {masks / name}.png, or remove the image")
        size, mask = check_header(image), check_header(answers[name])
        if size != mask:
            raise DataError(
                f"mask {answers[name]} has {mask[1]}x{mask[0]} pixels, its image {image} {size[1]}x{size[0]}",
                hint="make it as large as its image, without smoothing: nearest neighbour",
            )
        pairs.append((image, answers[name]))
    return pairs


def _labels(root: Path, masks: list[Path]) -> tuple[tuple[str, ...], int | None]:
    """Return the class names, and the value of pixels that have no class."""
    listed = root / "classes.txt"
    if not listed.is_file():
        seen = np.unique(np.concatenate([np.unique(read_mask(mask)) for mask in masks]))
        classes = seen[seen != IGNORED]
        highest = int(classes.max()) if classes.size else 0
        return tuple(str(index) for index in range(max(highest, 1) + 1)), IGNORED if IGNORED in seen else None
    names = class_lines(listed)
    void = [index for index, name in names.items() if name.lower() in VOID]
    known = {index: name for index, name in names.items() if index not in void}
    if len(void) > 1 or sorted(known) != list(range(len(known))) or len(known) < 2:
        raise DataError(
            f"{listed} numbers its classes {', '.join(map(str, sorted(known)))} and {len(void)} values to ignore, "
            "expected 2 classes or more from 0 on without gaps, and one value to ignore at most",
            hint="let the class that is ignored (void) come last, or call it '255 void'",
        )
    return tuple(known[index] for index in sorted(known)), void[0] if void else IGNORED


def _split(name: str, pairs: list[tuple[Path, Path]], classes: int, ignored: int | None) -> Split:
    images = FileImages(tuple(image for image, _ in pairs))
    return Split(name=name, images=images, targets=(MaskFiles(tuple(mask for _, mask in pairs), classes, ignored),))
