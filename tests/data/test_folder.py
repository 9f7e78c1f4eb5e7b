import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import describe, open_divided


def fill(folder, n, *, value=0, mode="L", suffix=".png"):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        shape = (6, 5) if mode == "L" else (6, 5, 3)
        Image.fromarray(np.full(shape, value + i, np.uint8)).save(folder / f"{i}{suffix}")


def test_classes_are_the_sorted_directories(tmp_path):
    fill(tmp_path / "dog", 5, value=100)
    fill(tmp_path / "cat", 5)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    dataset = open_divided(f"folder:{tmp_path}")
    assert dataset.labels == ("cat", "dog")
    assert describe(dataset).counts == {"train": (3, 3), "validation": (1, 1), "test": (1, 1)}
    seen = [(int(image[0, 0]), label) for split in dataset.splits.values() for image, label in split]
    assert sorted(seen) == [(v, 0) for v in range(5)] + [(v, 1) for v in range(100, 105)]


def test_colour_images_come_as_rgb(tmp_path):
    fill(tmp_path / "a", 3, mode="RGB")
    fill(tmp_path / "b", 3, mode="RGB", suffix=".BMP")
    image = open_divided(f"folder:{tmp_path}").split("train").image(0)
    assert (image.shape, image.dtype) == ((6, 5, 3), np.uint8)


def test_given_splits_are_kept_and_validation_is_carved_from_train(tmp_path):
    for part, n in (("train", 6), ("test", 2)):
        fill(tmp_path / part / "a", n)
        fill(tmp_path / part / "b", n)
    dataset = open_divided(f"folder:{tmp_path}")
    assert describe(dataset).counts == {"train": (5, 5), "validation": (1, 1), "test": (2, 2)}
    assert {p.parts[-3] for p in dataset.split("validation").images.paths} == {"train"}
    fill(tmp_path / "val" / "a", 1)
    fill(tmp_path / "val" / "b", 3)
    assert describe(open_divided(f"folder:{tmp_path}")).counts["validation"] == (1, 3)


def test_images_are_read_when_asked_for(tmp_path):
    fill(tmp_path / "a", 4)
    fill(tmp_path / "b", 4)
    split = open_divided(f"folder:{tmp_path}").split("train")
    path = split.images.paths[1]
    path.write_bytes(path.read_bytes()[:50])
    assert split.image(0).shape == (6, 5)
    with pytest.raises(DataError, match=path.name):
        split.image(1)
    path.unlink()
    with pytest.raises(DataError, match=path.name):
        split.image(1)


def test_a_file_that_is_no_image_is_found_when_opening(tmp_path):
    fill(tmp_path / "a", 3)
    fill(tmp_path / "b", 3)
    (tmp_path / "b" / "fake.jpg").write_text("hello")
    with pytest.raises(DataError, match=r"fake\.jpg is not a readable image"):
        open_divided(f"folder:{tmp_path}")


def test_an_empty_class(tmp_path):
    fill(tmp_path / "a", 3)
    (tmp_path / "b").mkdir()
    with pytest.raises(DataError, match="class 'b' has no samples"):
        open_divided(f"folder:{tmp_path}")


@pytest.mark.parametrize("where", ["a", ""])
def test_images_that_nothing_tells_apart_have_no_labels(tmp_path, where):
    fill(tmp_path / where, 6)
    dataset = open_divided(f"folder:{tmp_path}")
    assert dataset.targets == ()
    assert sum(len(split) for split in dataset.splits.values()) == 6
    assert ("'a' alone tells nothing apart" if where else "no class directories") in dataset.notes[0]


def test_classes_a_level_further_down_are_not_taken_for_unlabelled_images(tmp_path):
    fill(tmp_path / "photos" / "cat", 3)
    fill(tmp_path / "photos" / "dog", 3)
    with pytest.raises(DataError, match="are they the classes") as caught:
        open_divided(f"folder:{tmp_path}")
    assert caught.value.hint == f"use folder:{tmp_path / 'photos'}"


def test_no_images_and_no_folder(tmp_path):
    with pytest.raises(DataError, match="holds no images"):
        open_divided(f"folder:{tmp_path}")
    with pytest.raises(ConfigError, match="does not exist"):
        open_divided(f"folder:{tmp_path / 'none'}")


def test_splits_with_other_classes(tmp_path):
    for part, classes in (("train", "ab"), ("test", "ac")):
        for name in classes:
            fill(tmp_path / part / name, 3)
    with pytest.raises(DataError, match="differ in the classes b, c"):
        open_divided(f"folder:{tmp_path}")


@pytest.mark.parametrize(("parts", "missing"), [(("train", "validation"), "test"), (("val", "test"), "train")])
def test_folders_called_like_splits_are_no_classes(tmp_path, parts, missing):
    for part in parts:
        fill(tmp_path / part / "a", 4)
        fill(tmp_path / part / "b", 4, value=50)
    with pytest.raises(DataError, match=f"holds the splits {', '.join(sorted(parts))} and no {missing}"):
        open_divided(f"folder:{tmp_path}")


def test_val_and_validation_together(tmp_path):
    for part in ("train", "test", "val", "validation"):
        fill(tmp_path / part / "a", 4)
        fill(tmp_path / part / "b", 4, value=50)
    with pytest.raises(DataError, match="both val and validation"):
        open_divided(f"folder:{tmp_path}")


def test_copies_of_a_file_stay_in_one_split(tmp_path):
    fill(tmp_path / "a", 20)
    fill(tmp_path / "b", 20, value=100)
    for i in range(10):
        (tmp_path / "a" / f"copy{i}.png").write_bytes((tmp_path / "a" / f"{i}.png").read_bytes())
    found = describe(open_divided(f"folder:{tmp_path}"))
    assert found.leaks == 0
    assert sum(found.duplicates_within.values()) == 10
