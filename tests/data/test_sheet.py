import numpy as np
import pytest

from edgecv.core.errors import DataError
from edgecv.data import Dataset, ObjectColumn, Split, Target, as_pairs, contact_sheet, open_dataset
from edgecv.data.sources import ArrayImages
from edgecv.tasks import drawing
from edgecv.tasks.boxes import Objects


def dataset(target, column, *, size=(16, 16), n=3):
    images = ArrayImages(np.full((n, *size), 128, np.uint8), np.arange(n))
    split = Split(name="all", images=images, targets=(column,))
    return Dataset(name="toy", uri="test:toy", targets=(target,), splits={"all": split})


def drawn(made):
    return np.asarray(contact_sheet(made, made.split("all")))


def test_masks_and_their_legend():
    mask = np.zeros((3, 16, 16), np.uint8)
    mask[:, :8], mask[:, 8:, 8:] = 1, 255
    labels = ("background", "thing")
    plain = drawn(dataset(Target(name="m", task="segmentation", labels=labels), mask * 0))
    target = Target(name="m", task="segmentation", labels=labels, settings={"ignore_index": 255})
    shown = drawn(dataset(target, mask))
    changed = (plain != shown).any(axis=2)
    tile = changed[6 : 6 + 192, 6 : 6 + 192]
    assert tile[:96].all()
    # Background and pixels of no class show the image.
    assert not tile[96:].any()
    assert (shown == drawing.palette(0)).all(axis=2).any()


def test_boxes_are_drawn_where_they_are():
    column = ObjectColumn((Objects(np.array([[4, 4, 12, 12]]), np.array([1])),) * 3)
    shown = drawn(dataset(Target(name="o", task="detection", labels=("a", "b")), column))
    ink = (shown[6:198, 6:198] == drawing.palette(1)).all(axis=2)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    # The tab with the name stands above.
    assert (rows.max(), columns.min(), columns.max()) == (143, 48, 143)


def test_large_images_are_shown_smaller():
    column = ObjectColumn((Objects(np.array([[0, 0, 1000, 500]]), np.array([0])),))
    target = Target(name="o", task="detection", labels=("a",))
    assert max(drawn(dataset(target, column, size=(900, 1300), n=1)).shape) < 340


@pytest.mark.parametrize(
    ("task", "column"),
    [
        ("classification", np.array([0, 1, 1])),
        ("multilabel", np.array([[0, 1], [1, 1], [0, 0]], np.float32)),
        ("regression", np.array([[0.5, 1], [1, 1], [0, 0]], np.float32)),
        ("embedding", np.array([0, 1, 1])),
    ],
)
def test_what_has_no_place_in_the_image_is_written_below(task, column):
    shown = drawn(dataset(Target(name="o", task=task, labels=("cat", "dog")), column))
    assert shown.shape[0] > 2 * 6 + 192
    first, second = (shown[198:, left : left + 192] for left in (6, 204))
    assert (first != second).any()


def test_pairs_stand_side_by_side():
    made = dataset(Target(name="who", task="embedding", labels=("a", "b")), np.array([0, 0, 0, 1, 1, 1]), n=6)
    pairs = as_pairs(made.split("all"), 0, seed=0)
    target = Target(name="same", task="verification", labels=("different", "same"))
    paired = Dataset(name="p", uri="test:p", targets=(target,), splits={"all": pairs})
    assert drawn(paired).shape[1] > 4 * 2 * 192


def test_nothing_to_draw():
    target = Target(name="o", task="classification", labels=("a", "b"))
    vectors = ArrayImages(np.zeros((2, 4), np.float32), np.arange(2))
    split = Split(name="all", images=vectors, targets=(np.arange(2),))
    made = Dataset(name="v", uri="test:v", targets=(target,), splits={"all": split})
    with pytest.raises(DataError, match="feature vectors cannot be drawn"):
        contact_sheet(made, split)
    with pytest.raises(DataError, match="is empty"):
        contact_sheet(made, split.take(np.zeros(0, np.int64)))


def test_true_pictures_stand_beside_their_images():
    noisy = open_dataset("scenes:noisy")
    sheet = np.asarray(contact_sheet(noisy, noisy.split("test"), rows=1, columns=1))
    truth = noisy.split("test").targets[0][0]
    shown = sheet[14 : 14 + 192 : 3, 214 : 214 + 192 : 3]  # behind gaps of 6 and 8 pixels, and the image
    np.testing.assert_array_equal(shown, np.repeat(truth[..., None], 3, axis=2))
