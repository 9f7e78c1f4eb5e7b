import numpy as np
import pytest

from edgecv.data import describe, open_dataset
from edgecv.errors import ConfigError, DataError


def arrays(n=20, shape=(6, 5), classes=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, *shape), dtype=np.uint8), np.arange(n) % classes


@pytest.fixture
def save(tmp_path):
    def write(**content):
        np.savez(tmp_path / "toys.npz", **content)
        return f"npz:{tmp_path / 'toys.npz'}"

    return write


def test_a_whole_set_is_split_in_three(save):
    x, y = arrays()
    dataset = open_dataset(save(x=x, y=y, class_names=["cat", "dog"]))
    assert (dataset.name, dataset.labels) == ("toys", ("cat", "dog"))
    assert describe(dataset).counts == {"train": (6, 6), "validation": (2, 2), "test": (2, 2)}


def test_a_given_test_set_is_kept_as_it_is(save):
    x, y = arrays(shape=(6, 5, 3))
    x_test, y_test = x[:3] ^ 255, np.array([[1], [1], [0]])
    dataset = open_dataset(save(x_train=x, y_train=y, x_test=x_test, y_test=y_test))
    test = dataset.split("test")
    assert dataset.labels == ("0", "1")
    assert test.labels.tolist() == [1, 1, 0]
    assert all((test.image(i) == x_test[i]).all() for i in range(3))
    assert len(dataset.split("train")) + len(dataset.split("validation")) == len(x)


def test_one_channel_is_dropped(save):
    x, y = arrays(shape=(6, 5, 1))
    assert open_dataset(save(x=x, y=y)).split("train").image(0).shape == (6, 5)


def test_the_hash_depends_on_pixels_and_on_labels(save):
    x, y = arrays()
    hashes = {open_dataset(save(x=x, y=y)).split("train").sha256}
    hashes.add(open_dataset(save(x=x ^ 1, y=y)).split("train").sha256)
    hashes.add(open_dataset(save(x=x, y=1 - y)).split("train").sha256)
    assert len(hashes) == 3


X, Y = arrays()
NAN = X.astype(np.float32)
NAN[3, 2, 1] = np.nan


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": X, "y": Y[:-1]}, "x has 20 images and y 19 labels"),
        ({"x": X}, "has the arrays x, expected x and y, or x_train"),
        ({"x": NAN, "y": Y}, r"holds NaN at index \(3, 2, 1\)"),
        ({"x": X / 255.0, "y": Y}, "is float64, expected uint8"),
        ({"x": X.astype(int), "y": Y}, "is int64, expected uint8"),
        ({"x": X.reshape(20, -1), "y": Y}, r"has shape \(20, 30\), expected"),
        ({"x": np.zeros((20, 6, 5, 4), np.uint8), "y": Y}, "expected .* 1 or 3"),
        ({"x": X, "y": Y.astype(float)}, "is float64 of shape"),
        ({"x": X, "y": np.eye(2, dtype=int)[Y]}, r"int64 of shape \(20, 2\)"),
        ({"x": X, "y": Y * 0}, "single class"),
        ({"x": X, "y": Y * 2}, "class '1' has no samples"),
        ({"x": X, "y": Y * 999}, "label 999 at index 1 is out of range for 20 samples"),
        ({"x": X, "y": Y - 1}, "label -1 at index 0 is out of range"),
        ({"x": X, "y": Y + 1, "class_names": ["a", "b"]}, "label 2 at index 1 is out of range, expected 0..1"),
        ({"x": X, "y": Y, "class_names": ["a", "b", "c"]}, "class 'c' has no samples"),
        ({"x": X, "y": Y, "class_names": ["a", "a"]}, "repeats a name"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y + 1}, "y_test: label 2 at index 1"),
        ({"x": X[:0], "y": Y[:0]}, "has shape"),
    ],
)
def test_inconsistent_arrays_are_refused(save, content, message):
    with pytest.raises(DataError, match=message):
        open_dataset(save(**content))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        open_dataset(f"npz:{tmp_path / 'none.npz'}")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", X)
    np.savez(tmp_path / "pickle.npz", x=np.array([{}], dtype=object), y=Y)
    whole = (tmp_path / "pickle.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "pickle.npz", "cut.npz"):
        with pytest.raises(DataError, match=r"not a readable \.npz"):
            open_dataset(f"npz:{tmp_path / name}")
    with pytest.raises(DataError, match="single array"):
        open_dataset(f"npz:{tmp_path / 'one.npy'}")
