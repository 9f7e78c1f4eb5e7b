import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import describe, match_targets, open_dataset, open_divided
from edgecv.values.specs import Head


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
    dataset = open_divided(save(x=x, y=y, class_names=["cat", "dog"]))
    assert (dataset.name, dataset.labels) == ("toys", ("cat", "dog"))
    assert describe(dataset).counts == {"train": (6, 6), "validation": (2, 2), "test": (2, 2)}


def test_a_given_test_set_is_kept_as_it_is(save):
    x, y = arrays(shape=(6, 5, 3))
    x_test, y_test = x[:3] ^ 255, np.array([[1], [1], [0]])
    dataset = open_divided(save(x_train=x, y_train=y, x_test=x_test, y_test=y_test))
    test = dataset.split("test")
    assert dataset.labels == ("0", "1")
    assert test.labels.tolist() == [1, 1, 0]
    assert all((test.image(i) == x_test[i]).all() for i in range(3))
    assert len(dataset.split("train")) + len(dataset.split("validation")) == len(x)


def test_one_channel_is_dropped(save):
    x, y = arrays(shape=(6, 5, 1))
    assert open_divided(save(x=x, y=y)).split("train").image(0).shape == (6, 5)


def test_the_hash_depends_on_pixels_and_on_labels(save):
    x, y = arrays()
    hashes = {open_divided(save(x=x, y=y)).split("train").sha256}
    hashes.add(open_divided(save(x=x ^ 1, y=y)).split("train").sha256)
    hashes.add(open_divided(save(x=x, y=1 - y)).split("train").sha256)
    assert len(hashes) == 3


X, Y = arrays()
NAN = X.astype(np.float32)
NAN[3, 2, 1] = np.nan


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": X, "y": Y[:-1]}, "x has 20 images and y 19 labels"),
        ({"x_train": X, "x_test": X}, "has the arrays x_test, x_train, expected x and y, or x_train"),
        ({"x": X, "y": np.where(X > 100, 255, 0).astype(np.uint8)}, "holds 0 and 255 alone"),
        ({"x": NAN, "y": Y}, r"holds NaN at index \(3, 2, 1\)"),
        ({"x": X / 255.0, "y": Y}, "is float64, expected uint8"),
        ({"x": X.astype(int), "y": Y}, "is int64, expected uint8"),
        ({"x": X.reshape(20, -1), "y": Y}, r"has shape \(20, 30\), expected"),
        ({"x": np.zeros((20, 6, 5, 4), np.uint8), "y": Y}, "expected .* 1 or 3"),
        ({"x": X, "y": np.eye(2, dtype=int)[Y]}, r"int64 of shape \(20, 2\) with a single 1 in every row: one-hot"),
        ({"x": X, "y": np.array([[1, 2]] * 20)}, r"holds 2 at index \(0, 1\), expected 0 or 1"),
        ({"x": X, "y": np.zeros((20, 2, 2))}, r"is float64 of shape \(20, 2, 2\), expected integers"),
        ({"x": X, "y": np.array(list("ab" * 10))}, "is <U1 of shape"),
        ({"x": X, "y": np.where(Y, np.nan, 1.0)}, r"y holds NaN at index \(1, 0\)"),
        ({"x": X, "y": Y.astype(float), "class_names": ["a", "b"]}, "has 1 values per sample and 2 names"),
        ({"x": np.full((20, 3), np.inf), "y": Y}, r"x holds an infinite value at index \(0, 0\)"),
        ({"x": np.full((20, 3), 1e300), "y": Y}, "as float32, holds an infinite value"),
        ({"x": np.zeros((20, 3), int), "y": Y}, "is int64, expected uint8"),
        ({"x": X, "y": Y, "y_b": Y}, "has both y and y_b"),
        ({"x": X, "y": Y, "x_test": X}, "has both x and x_test"),
        ({"x": X, "y_a": Y, "y_b": Y, "heads": ["a"]}, "heads says a, the targets are a, b"),
        ({"x_train": X, "y_train_a": Y, "x_test": X, "y_test_b": Y}, "has no y_test_a"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y / 2}, "is float64 of shape .* as in training"),
        ({"x_train": X, "y_train": Y / 2, "x_test": X, "y_test": Y}, r"expected floats of shape \(n, 1\)"),
        ({"x_train": X, "y_train": Y, "x_test": X, "y_test": Y, "y_val": Y}, "has y_val without x_val"),
        ({"x_train": np.zeros((20, 3)), "y_train": Y, "x_test": np.zeros((20, 4)), "y_test": Y}, "one kind"),
        ({"x": X, "y": Y, "groups": np.zeros(20)}, "groups is float64"),
        ({"x": X, "y": Y, "groups": np.zeros(20, int)}, "has samples of 1 groups, expected at least 3"),
        (
            {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}
            | {"groups_train": np.arange(20), "groups_test": np.arange(19, 39)},
            "group 19 is in train and in test",
        ),
        ({"x": X, "y": Y * 0, "class_names": ["a"]}, "single class"),
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
        open_divided(save(**content))


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        open_divided(f"npz:{tmp_path / 'none.npz'}")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.save(tmp_path / "one.npy", X)
    np.savez(tmp_path / "pickle.npz", x=np.array([{}], dtype=object), y=Y)
    whole = (tmp_path / "pickle.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "pickle.npz", "cut.npz"):
        with pytest.raises(DataError, match=r"not a readable \.npz"):
            open_divided(f"npz:{tmp_path / name}")
    with pytest.raises(DataError, match="single array"):
        open_divided(f"npz:{tmp_path / 'one.npy'}")


def vectors(n=60, d=4):
    rng = np.random.default_rng(1)
    return rng.standard_normal((n, d)), rng


def test_feature_vectors_are_kept_as_float32(save):
    x, _ = vectors()
    dataset = open_divided(save(x=x, y=np.arange(60) % 3))
    image = dataset.split("train").image(0)
    assert (image.dtype, image.shape) == (np.float32, (4,))
    assert describe(dataset).smallest == (4,)
    held = np.concatenate([np.stack([s.image(i) for i in range(len(s))]) for s in dataset.splits.values()])
    assert {row.tobytes() for row in held} == {row.tobytes() for row in x.astype(np.float32)}


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 2)])
def test_floats_are_values_to_predict(save, shape):
    x, rng = vectors()
    y = rng.standard_normal(shape)
    dataset = open_divided(save(x=x, y=y))
    (target,) = dataset.targets
    k = 1 if len(shape) == 1 else shape[1]
    assert (target.name, target.task) == ("output", "regression")
    assert target.labels == (("value",) if k == 1 else ("0", "1"))
    train = dataset.split("train")
    assert (train.targets[0].dtype, train.targets[0].shape[1:]) == (np.float32, (k,))
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [40, 8, 12]
    wanted = {a.astype(np.float32).tobytes(): b for a, b in zip(x, y.reshape(60, k), strict=True)}
    found = [(train.image(i).tobytes(), train.targets[0][i]) for i in range(len(train))]
    assert all(np.allclose(wanted[image], values) for image, values in found)
    with pytest.raises(DataError, match="no class labels"):
        _ = train.labels
    assert not train.strata.any()


@pytest.mark.parametrize("kind", [bool, np.uint8])
def test_zeros_and_ones_of_several_columns_are_several_labels(save, kind):
    x, rng = vectors(200)
    y = rng.random((200, 3)) < [0.5, 0.3, 0.02]
    y[:3] = [[1, 1, 1], [0, 0, 0], [0, 0, 1]]
    dataset = open_divided(save(x=x, y=y.astype(kind), class_names=["a", "b", "c"]))
    (target,) = dataset.targets
    assert (target.task, target.labels) == ("multilabel", ("a", "b", "c"))
    counts = describe(dataset).counts
    assert np.sum(list(counts.values()), axis=0).tolist() == y.sum(axis=0).tolist()
    # The two frequent labels are as frequent in each split as in the whole, to within what rounding takes.
    for name in counts:
        for label in (0, 1):
            assert counts[name][label] / len(dataset.split(name)) == pytest.approx(y[:, label].mean(), abs=0.06)
    patterns = dataset.split("train").targets[0]
    strata = dataset.split("train").strata
    assert len(set(strata.tolist())) == len({row.tobytes() for row in patterns})
    assert all(len({row.tobytes() for row in patterns[strata == s]}) == 1 for s in set(strata.tolist()))


def test_bools_that_look_one_hot_are_several_labels_all_the_same(save):
    x, _ = vectors(30)
    dataset = open_divided(save(x=x, y=np.eye(2, dtype=bool)[np.arange(30) % 2]))
    assert dataset.targets[0].task == "multilabel"


def test_several_targets(save):
    x, rng = vectors()
    given = {"y_sex": np.arange(60) % 2, "y_age": rng.random(60) * 90, "y_marks": rng.random((60, 2)) < 0.5}
    dataset = open_divided(save(x=x, **given, class_names_sex=["f", "m"], class_names_age=["years"]))
    assert [(t.name, t.task, t.labels) for t in dataset.targets] == [
        ("age", "regression", ("years",)), ("marks", "multilabel", ("0", "1")), ("sex", "classification", ("f", "m"))
    ]  # fmt: skip
    train = dataset.split("train")
    assert [t.shape for t in train.targets] == [(40, 1), (40, 2), (40,)]
    assert np.array_equal(train.strata, train.targets[2])
    ordered = open_divided(save(x=x, **given, heads=["sex", "age", "marks"]))
    assert [t.name for t in ordered.targets] == ["sex", "age", "marks"]
    assert ordered.split("train").labels.tolist() == train.targets[2].tolist()


def test_a_given_validation_split_is_kept(save):
    x, y = arrays(30)
    parts = {"x_train": x[:20], "y_train": y[:20], "x_test": x[20:26], "y_test": y[20:26]}
    for name in ("val", "validation"):
        dataset = open_divided(save(**parts, **{f"x_{name}": x[26:], f"y_{name}": y[26:]}))
        assert [len(dataset.split(part)) for part in ("train", "validation", "test")] == [20, 4, 6]
        assert (dataset.split("validation").image(0) == x[26]).all()


def test_groups_stay_together(save):
    x, y = arrays(60)
    groups = np.array([f"p{i // 4}" for i in range(60)])
    dataset = open_divided(save(x=x, y=y, groups=groups))
    known = {image.tobytes(): group for image, group in zip(x, groups, strict=True)}
    seen = {name: {known[image.tobytes()] for image, _ in split} for name, split in dataset.splits.items()}
    assert sum(map(len, seen.values())) == len(set.union(*seen.values())) == 15
    assert all(seen.values())


def test_the_hash_of_class_labels_is_what_manifests_hold(save):
    """Bit for bit: 8 bytes of the label, then the shape and the pixels of each sample in order."""
    import hashlib

    x, y = arrays()
    split = open_divided(save(x=x, y=y)).split("test")
    expected = hashlib.sha256()
    for image, label in split:
        expected.update(label.to_bytes(8, "little") + repr(image.shape).encode() + image.tobytes())
    assert split.sha256 == expected.hexdigest()


def test_the_hash_depends_on_values(save):
    x, rng = vectors()
    y = rng.standard_normal((60, 2))
    first = open_divided(save(x=x, y=y)).split("train").sha256
    assert first == open_divided(save(x=x, y=y)).split("train").sha256
    assert first != open_divided(save(x=x, y=y + 1)).split("train").sha256
    assert first != open_divided(save(x=x + 1, y=y)).split("train").sha256


@pytest.mark.parametrize("content", [{"x": X}, {"x": X, "y": Y * 0}, {"x": X, "y": np.zeros((20, 1), np.uint8)}])
def test_samples_without_answers_are_data_without_labels(save, content):
    dataset = open_dataset(save(**content))
    assert (dataset.targets, dataset.labels) == ((), ())
    assert "20 samples without labels" in dataset.notes[0]
    assert sorted(dataset.divided().splits) == ["test", "train", "validation"]
    with pytest.raises(ConfigError, match="has no labels"):
        match_targets([Head(name="c", task="classification", activation="logits")], dataset.targets, dataset="d")


@pytest.mark.parametrize("shape", [X.shape, (*X.shape, 1)])
def test_masks(save, shape):
    masks = (X > 100).astype(np.uint8)
    masks[0, 0, 0] = 255
    dataset = open_dataset(save(x=X, y=masks.reshape(shape), class_names=["ground", "thing"]))
    (target,) = dataset.targets
    assert (target.task, target.labels, dict(target.settings)) == (
        "segmentation", ("ground", "thing"), {"ignore_index": 255},
    )  # fmt: skip
    np.testing.assert_array_equal(dataset.split("all").targets[0], masks)


def test_training_may_miss_classes_that_another_split_has(save):
    x, y = arrays(n=8)
    names = [f"class {index}" for index in range(9)]
    content = {"x_train": x, "y_train": y * 4, "x_val": x, "y_val": np.arange(8), "class_names": names}
    dataset = open_dataset(save(**content, x_test=x[:1] ^ 255, y_test=[8]))
    assert dataset.labels == tuple(names)
    assert dataset.split("train").labels.tolist() == (y * 4).tolist()
    assert dataset.notes == ("7 of the 9 classes of 'output' have no training samples",)
    with pytest.raises(DataError, match="y_train: class 'class 8' has no samples"):
        open_dataset(save(**content, x_test=x, y_test=y))
    with pytest.raises(DataError, match=r"class '5', '6', '7', '8', '9' and 95 more has no samples"):
        open_dataset(save(x=x, y=y + [0, 0, 4, 0, 2, 0, 0, 2], class_names=[str(i) for i in range(105)]))


def test_classes_without_names_are_those_of_training(save):
    x, y = arrays()
    with pytest.raises(DataError, match="y_test: label 2 at index 0"):
        open_dataset(save(x_train=x, y_train=y, x_test=x[:1], y_test=[2]))
