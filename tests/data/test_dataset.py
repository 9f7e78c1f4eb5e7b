import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import Dataset, Split, Target, open_dataset, open_divided
from edgecv.data.sources import ArrayImages


def images(n=6, start=0):
    return ArrayImages(np.arange(start, start + n, dtype=np.uint8).reshape(n, 1, 1), np.arange(n))


def test_a_record_has_every_input_truth_and_group():
    split = Split(
        name="test",
        images=images(),
        more_inputs=(images(start=100),),
        targets=(np.arange(6), np.ones((6, 2), np.float32)),
        groups=np.arange(6) // 2,
    )
    record = split.record(3)
    assert [int(image[0, 0]) for image in record.inputs] == [3, 103]
    assert (record.truths[0], record.truths[1].tolist(), record.group) == (3, [1, 1], 1)
    taken = split.take(np.array([5, 3, 3]), "train")
    assert taken.name == "train"
    assert [int(taken.sample(i)[1][0, 0]) for i in range(3)] == [105, 103, 103]
    assert taken.groups.tolist() == [2, 1, 1]
    assert taken.labels.tolist() == [5, 3, 3]


def test_the_hash_covers_every_input():
    one = Split(name="a", images=images(), targets=(np.arange(6),))
    two = one.with_inputs(images(), images(start=1))
    three = one.with_inputs(images(), images(start=2))
    assert len({one.sha256, two.sha256, three.sha256}) == 3
    assert two.with_inputs(images()).sha256 == one.sha256


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": (np.arange(5),)},
        {"targets": (np.arange(6, dtype=np.int32),)},
        {"targets": (), "more_inputs": (images(5),)},
        {"targets": (), "groups": np.arange(5)},
    ],
)
def test_lengths_and_kinds_are_checked(wrong):
    with pytest.raises(DataError):
        Split(name="test", images=images(), **wrong)


def test_sources_that_cannot_choose_are_chosen_from():
    class Plain:
        def __len__(self):
            return 6

        def __getitem__(self, index):
            return np.full((1, 1), index, np.uint8)

        def digest(self, index):
            return bytes([index])

    taken = Split(name="test", images=Plain(), targets=(np.arange(6),)).take(np.array([4, 2]))
    assert [int(image[0, 0]) for image, _ in taken] == [4, 2]
    assert taken.images.digest(1) == b"\x02"


@pytest.fixture
def flat(tmp_path):
    x = (np.arange(40 * 6).reshape(40, 2, 3) % 251).astype(np.uint8)
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(40) % 3)
    np.savez(tmp_path / "b.npz", x=x, y=np.arange(40) % 3, groups=np.arange(40) // 4)
    return tmp_path


def test_a_source_without_splits_is_one_split(flat):
    dataset = open_dataset(f"npz:{flat / 'a.npz'}")
    assert list(dataset.splits) == ["all"]
    assert len(dataset.split("all")) == 40
    with pytest.raises(ConfigError, match="'a' brings no splits, so it has no split 'test'") as caught:
        dataset.split("test")
    assert "--split all" in caught.value.hint
    with pytest.raises(ConfigError, match="unknown split 'trian'"):
        dataset.split("trian")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", ("74ce2a326691ea86", "98513ff2c79488da", "9787062a7c5c9484")),
        ("b", ("86a80311493517ea", "7a5e5c523b1eaf13", "4367afdaa387c44b")),
    ],
)
def test_divided_splits_are_those_that_files_were_trained_on(flat, name, expected):
    """The hashes are of edgecv 0.1: a manifest of then still tells which samples a model has seen."""
    dataset = open_divided(f"npz:{flat / name}.npz")
    assert tuple(split.sha256[:16] for split in dataset.splits.values()) == expected
    assert list(dataset.splits) == ["train", "validation", "test"]
    assert dataset.divided(seed=5) is dataset
    other = open_divided(f"npz:{flat / name}.npz", seed=1)
    assert other.split("test").sha256 != dataset.split("test").sha256


def test_targets_are_compared_without_their_settings_hash():
    target = Target(name="m", task="segmentation", labels=("a",), settings={"ignore_index": 255})
    assert hash(target) == hash(Target(name="m", task="segmentation", labels=("a",)))
    assert target != Target(name="m", task="segmentation", labels=("a",))


def test_data_with_splits_names_them():
    dataset = Dataset(
        name="x", uri="test:x", targets=(), splits={"test": Split(name="test", images=images(), targets=())}
    )
    with pytest.raises(ConfigError, match="unknown split 'train'"):
        dataset.split("train")
