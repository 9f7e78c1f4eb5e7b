import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import describe, open_dataset, open_divided


def pair(root, name, mask, *, suffix=".jpg", size=None):
    """Write an image and its mask."""
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    mask = np.asarray(mask, np.uint8)
    Image.fromarray(np.full((*(size or mask.shape), 3), 90, np.uint8)).save(root / "images" / f"{name}{suffix}")
    Image.fromarray(mask).save(root / "masks" / f"{name}.png")


def shaded(root, n, step):
    """Give every image its own content."""
    for i in range(n):
        Image.fromarray(np.full((4 + i % 2, 6, 3), i * step, np.uint8)).save(root / "images" / f"{i:02}.jpg")


def fill(root, n, *, highest=2):
    for i in range(n):
        mask = np.full((4 + i % 2, 6), i % 2)
        mask[:2] = highest
        pair(root, f"{i:02}", mask)
    return root


def test_a_mask_is_read_as_it_is(tmp_path):
    pair(tmp_path, "a", [[0, 1, 1], [255, 0, 0]])
    (tmp_path / "classes.txt").write_text("ground\nthing\n")
    dataset = open_dataset(f"masks:{tmp_path}")
    (target,) = dataset.targets
    assert (target.name, target.task, target.labels) == ("mask", "segmentation", ("ground", "thing"))
    assert target.settings == {"ignore_index": 255}
    record = dataset.split("all").record(0)
    assert record.truths[0].dtype == np.uint8
    assert record.truths[0].tolist() == [[0, 1, 1], [255, 0, 0]]
    assert record.inputs[0].shape == (2, 3, 3)
    assert record.group is None


def test_palette_pixels_are_indices(tmp_path):
    pair(tmp_path, "a", np.zeros((4, 4)))
    picture = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8).repeat(2, 0).repeat(2, 1), mode="L")
    picture = picture.convert("P")
    picture.putdata([0, 0, 1, 1] * 2 + [1, 1, 2, 2] * 2)
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    picture.save(tmp_path / "masks" / "a.png")
    split = open_dataset(f"masks:{tmp_path}").split("all")
    assert np.unique(split.targets[0][0]).tolist() == [0, 1, 2]


def test_without_names_classes_are_numbered_up_to_the_highest(tmp_path):
    target = open_dataset(f"masks:{fill(tmp_path, 2, highest=3)}").targets[0]
    assert target.labels == ("0", "1", "2", "3")
    assert target.settings == {}


@pytest.mark.parametrize(
    ("text", "labels", "ignored"),
    [
        ("road\nsky\nvoid", ("road", "sky"), 2),
        ("0 road\n1 sky\n255 unlabelled", ("road", "sky"), 255),
        ("road\nsky\nvoid(2, ignore)", ("road", "sky"), 2),
        ("# made by hand\nroad\n\nblue sky\n", ("road", "blue sky"), 255),
        ("1 sky\n0 road", ("road", "sky"), 255),
    ],
)
def test_names_and_the_value_that_is_ignored(tmp_path, text, labels, ignored):
    pair(tmp_path, "a", [[0, 1]])
    (tmp_path / "classes.txt").write_text(text)
    target = open_dataset(f"masks:{tmp_path}").targets[0]
    assert (target.labels, target.settings) == (labels, {"ignore_index": ignored})


@pytest.mark.parametrize("text", ["void\nroad\nsky", "0 road\n2 sky", "road", "road\nroad", "", "a\nvoid\nignore"])
def test_names_that_leave_gaps(tmp_path, text):
    pair(tmp_path, "a", [[0, 1]])
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(DataError, match=r"classes\.txt"):
        open_dataset(f"masks:{tmp_path}")


def test_a_value_that_is_no_class(tmp_path):
    pair(tmp_path, "a", [[0, 1], [7, 255]])
    (tmp_path / "classes.txt").write_text("ground\nthing\n")
    split = open_dataset(f"masks:{tmp_path}").split("all")
    with pytest.raises(DataError, match=r"a\.png holds the value 7, expected 0\.\.1 or 255") as caught:
        split.record(0)
    assert "'7 void'" in caught.value.hint


def test_a_mask_of_another_size(tmp_path):
    pair(tmp_path, "a", np.zeros((4, 6)), size=(8, 12))
    with pytest.raises(DataError, match=r"masks/a\.png has 6x4 pixels, its image .*a\.jpg 12x8"):
        open_dataset(f"masks:{tmp_path}")


def test_a_missing_mask(tmp_path):
    fill(tmp_path, 2)
    (tmp_path / "masks" / "01.png").unlink()
    with pytest.raises(DataError, match=r"01\.jpg has no mask"):
        open_dataset(f"masks:{tmp_path}")


def test_colours_are_no_classes(tmp_path):
    pair(tmp_path, "a", [[0, 1]])
    Image.fromarray(np.zeros((1, 2, 3), np.uint8)).save(tmp_path / "masks" / "a.png")
    (tmp_path / "classes.txt").write_text("ground\nthing\n")
    with pytest.raises(DataError, match="'RGB', expected gray or a palette"):
        open_dataset(f"masks:{tmp_path}").split("all").record(0)


def test_nothing_there(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        open_dataset(f"masks:{tmp_path / 'none'}")
    with pytest.raises(DataError, match="images does not exist"):
        open_dataset(f"masks:{tmp_path}")
    (tmp_path / "images").mkdir()
    with pytest.raises(DataError, match="masks does not exist"):
        open_dataset(f"masks:{tmp_path}")


@pytest.mark.parametrize("nested", ["outside", "inside"])
def test_given_splits_are_kept(tmp_path, nested):
    for part, n in (("train", 5), ("val", 2), ("test", 3)):
        made = fill(tmp_path / "made" / part, n)
        for kind in ("images", "masks"):
            place = tmp_path / part / kind if nested == "outside" else tmp_path / kind / part
            place.parent.mkdir(parents=True, exist_ok=True)
            (made / kind).rename(place)
    (tmp_path / "made" / "train").rmdir()
    dataset = open_dataset(f"masks:{tmp_path}")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 5, "validation": 2, "test": 3}
    assert dataset.divided() is dataset


def test_validation_stands_in_for_a_missing_test(tmp_path):
    for part, n in (("train", 20), ("val", 3)):
        fill(tmp_path / part, n, highest=1)
        for i in range(n):
            Image.fromarray(np.full((4 + i % 2, 6, 3), i * 3, np.uint8)).save(
                tmp_path / part / "images" / f"{i:02}.jpg"
            )
    dataset = open_dataset(f"masks:{tmp_path}")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"train": 17, "validation": 3, "test": 3}


def test_one_split_is_divided_and_says_what_it_shows(tmp_path):
    fill(tmp_path, 30)
    for i in range(30):
        Image.fromarray(np.full((4 + i % 2, 6, 3), i * 8, np.uint8)).save(
            tmp_path / "images" / f"{i:02}.jpg", quality=99
        )
    dataset = open_divided(f"masks:{tmp_path}")
    assert [len(split) for split in dataset.splits.values()] == [20, 4, 6]
    names = [path.stem for split in dataset.splits.values() for path in split.targets[0].paths]
    assert sorted(names) == [f"{i:02}" for i in range(30)]
    assert all(
        image.stem == mask.stem
        for split in dataset.splits.values()
        for image, mask in zip(split.images.paths, split.targets[0].paths, strict=True)
    )


def test_shares_of_pixels_by_hand(tmp_path):
    pair(tmp_path, "a", [[0, 1, 1, 255]])
    pair(tmp_path, "b", [[0, 0, 0, 255]])
    (tmp_path / "classes.txt").write_text("ground\nthing\n")
    (found,) = describe(open_dataset(f"masks:{tmp_path}")).targets
    assert found.shares == {"all": (4 / 6, 2 / 6)}
    assert found.ignored == {"all": 0.25}


def test_the_hash_follows_the_masks(tmp_path):
    fill(tmp_path, 2)
    first = open_dataset(f"masks:{tmp_path}").split("all").sha256
    assert first == open_dataset(f"masks:{tmp_path}").split("all").sha256
    Image.fromarray(np.full((4, 6), 2, np.uint8)).save(tmp_path / "masks" / "00.png")
    assert first != open_dataset(f"masks:{tmp_path}").split("all").sha256
