import numpy as np
import pytest
from PIL import Image

from edgecv.cli.main import main
from edgecv.core import codec
from edgecv.data import Dataset, Split, Target, describe, open_dataset
from edgecv.data.sources import ArrayImages


def dataset(parts, targets, images):
    """Splits of `images` by index, with the targets of each."""
    splits = {
        name: Split(name=name, images=ArrayImages(images, np.array(index)), targets=values)
        for name, (index, values) in parts.items()
    }
    return Dataset(name="toy", uri="test:toy", targets=targets, splits=splits)


def test_by_hand():
    images = np.arange(6, dtype=np.float32)[:, None]
    classes = Target(name="kind", task="classification", labels=("a", "b"))
    marks = Target(name="marks", task="multilabel", labels=("u", "v"))
    age = Target(name="age", task="regression", labels=("years",))
    parts = {
        "train": (
            [0, 1, 1, 2],
            (
                np.array([0, 0, 0, 1]),
                np.array([[1, 1], [1, 0], [1, 0], [1, 0]], np.float32),
                np.array([[1], [3], [5], [7]], np.float32),
            ),
        ),
        "test": ([1, 3, 1], (np.array([1, 0, 0]), np.zeros((3, 2), np.float32), np.ones((3, 1), np.float32))),
    }
    found = describe(dataset(parts, (classes, marks, age), images))
    assert found.sizes == {"train": 4, "test": 3}
    assert found.counts == {"train": (3, 1), "test": (2, 1)}
    assert found.imbalance == 3.0
    assert found.targets[1].counts == {"train": (4, 1), "test": (0, 0)}
    assert found.targets[1].imbalance == 4.0
    (spread,) = found.targets[2].spread["train"]
    assert (spread.min, spread.mean, spread.max) == (1, 4, 7)
    assert spread.std == pytest.approx(np.sqrt(5))
    assert found.targets[2].imbalance is None
    assert found.duplicates_within == {"train": 1, "test": 1}
    assert found.duplicates_across == {"train/test": 2}
    assert found.leaks == 2
    assert (found.smallest, found.largest) == ((1,), (1,))
    assert codec.encode(found)["targets"][2]["spread"]["test"][0]["mean"] == 1.0


def test_files_of_the_same_bytes_are_found(tmp_path):
    for part, values in (("train", (1, 2, 3, 4, 5, 6)), ("test", (6, 7, 8))):
        for label in "ab":
            (tmp_path / part / label).mkdir(parents=True)
            for i, value in enumerate(values):
                pixels = np.full((6 + value, 5, 3), value * (1 if label == "a" else 20), np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / label / f"{i}.png")
    found = describe(open_dataset(f"folder:{tmp_path}"))
    assert found.leaks == 2
    assert found.duplicates_across["train/test"] + found.duplicates_across["validation/test"] == 2
    assert found.duplicates_within == {"train": 0, "validation": 0, "test": 0}
    assert found.smallest[1:] == found.largest[1:] == (5, 3)
    assert 7 <= found.smallest[0] < found.largest[0] <= 12


def test_digits_hold_each_scan_once():
    found = describe(open_dataset("digits"))
    assert found.leaks == 0
    assert not any(found.duplicates_within.values())
    assert (found.smallest, found.largest, found.sized) == ((8, 8, 1), (8, 8, 1), 256)


def test_samples_in_two_splits_are_warned_of(tmp_path, capsys):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (40, 4, 4), dtype=np.uint8)
    y = np.arange(40) % 2
    np.savez(tmp_path / "leaky.npz", x_train=x, y_train=y, x_test=x[:7], y_test=y[:7])
    with pytest.raises(SystemExit) as stop:
        main(["data", "show", f"npz:{tmp_path / 'leaky.npz'}"])
    assert not stop.value.code
    shown = capsys.readouterr().out
    found = describe(open_dataset(f"npz:{tmp_path / 'leaky.npz'}")).duplicates_across
    assert found["train/test"] + found["validation/test"] == 7
    assert f"warning: {found['train/test']} samples of test are in train too" in shown
    assert "train 34, validation 6, test 7; samples 4x4x1" in shown
