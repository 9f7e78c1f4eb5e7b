"""What lies where in a folder of data: splits, class directories, image files, and files that go together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgecv.core.errors import ConfigError, DataError
from edgecv.data.dataset import ALL
from edgecv.runtime.reading import SUFFIXES

PARTS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}
"""What folders of splits are called, to the split."""


def images_under(folder: Path) -> list[Path]:
    """Return the image files at any depth below a folder, found by suffix, sorted; hidden ones are left out."""
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and p.is_file()
        and not any(_hidden(part) for part in p.relative_to(folder).parts)
    )


def directories(folder: Path) -> dict[str, Path]:
    """Return the directories in a folder by name, sorted; hidden ones are left out."""
    return {p.name: p for p in sorted(folder.iterdir()) if p.is_dir() and not _hidden(p.name)}


def require_folder(root: Path, scheme: str) -> None:
    """Check that a folder is there. Raises ConfigError."""
    if not root.is_dir():
        raise ConfigError(f"data set folder {root} does not exist", hint=f"check the path after {scheme}:")


def beside(root: Path, answers: str) -> dict[str, tuple[Path, Path]]:
    """Return the folders of images and of answers of each split: of "all" when there are no splits.

    Three layouts are known: images/ and ANSWERS/; the same below train/, val/ and test/; and those names below images/
    and ANSWERS/.

    Raises:
        DataError: It is none of them.
    """
    if (root / "images").is_dir():
        inner = _by_split(root / "images")
        if inner:
            return {split: (path, root / answers / path.name) for split, path in inner.items()}
        return {ALL: (root / "images", root / answers)}
    found = {split: (path / "images", path / answers) for split, path in _by_split(root).items()}
    lacking = [path for path, _ in found.values() if not path.is_dir()]
    if not found or lacking:
        raise DataError(
            f"{lacking[0] if lacking else root / 'images'} does not exist",
            hint=f"expected images/ and {answers}/ in {root}, or in train/, val/ and test/ of it",
        )
    return found


def by_stem(folder: Path) -> dict[str, Path]:
    """Return the images below a folder by their path without the suffix.

    Raises:
        DataError: There are none, or two that differ in the suffix alone.
    """
    found: dict[str, Path] = {}
    for path in images_under(folder):
        other = found.setdefault(stem(path, folder), path)
        if other is not path:
            raise DataError(f"{other} and {path.name} have the same stem", hint="remove one of them")
    if not found:
        raise DataError(f"{folder} holds no images", hint=f"known suffixes: {', '.join(sorted(SUFFIXES))}")
    return found


def stem(path: Path, folder: Path) -> str:
    """Return the path of a file below a folder, without the suffix."""
    return path.relative_to(folder).with_suffix("").as_posix()


def read_text(path: Path) -> str:
    """Return the content of a text file. Raises DataError when it cannot be read or is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", hint="it should be a text file in UTF-8") from error


def class_lines(path: Path) -> dict[int, str]:
    """Return the names of a classes.txt by index: one name a line, or "index name", or "name(index, ...)".

    Raises:
        DataError: A line has no name, or an index or a name comes twice.
    """
    found: dict[int, str] = {}
    lines = [line.strip() for line in read_text(path).splitlines()]
    for line in (line for line in lines if line and not line.startswith("#")):
        index, name = _class(line, len(found))
        if index in found or name in found.values():
            raise DataError(f"{path}: '{line}' names a class twice", hint="give each index one name of its own")
        found[index] = name
    if not found:
        raise DataError(f"{path} names no classes", hint="write one name a line, in the order of the indices")
    return found


def _class(line: str, position: int) -> tuple[int, str]:
    first, _, rest = line.partition(" ")
    if first.rstrip(":").isdigit() and rest.strip():
        return int(first.rstrip(":")), rest.strip()
    name, bracket, inside = line.partition("(")
    number = inside.partition(",")[0].rstrip(")").strip()
    if bracket and name.strip() and number.isdigit():
        return int(number), name.strip()
    return position, line


def _by_split(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for name, path in directories(folder).items():
        if name in PARTS and PARTS[name] in found:
            raise DataError(
                f"{folder} holds both {found[PARTS[name]].name} and {name}",
                hint="put the images of both in one of them",
            )
        if name in PARTS:
            found[PARTS[name]] = path
    return found


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def numbered(names: Mapping[int, str], where: Path) -> tuple[str, ...]:
    """Return names in the order of their indices. Raises DataError unless these are 0..n-1."""
    if sorted(names) != list(range(len(names))):
        raise DataError(
            f"{where} numbers its classes {', '.join(map(str, sorted(names)))}, expected 0..{len(names) - 1}",
            hint="give every index a name",
        )
    return tuple(names[index] for index in range(len(names)))
