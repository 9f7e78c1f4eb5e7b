import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import DataError
from edgecv.data import describe, open_dataset, open_divided


def people(root, counts):
    shade = 0
    for name, n in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            shade += 1
            Image.fromarray(np.full((5, 4 + shade % 7), shade % 256, np.uint8)).save(root / name / f"{i}.png")


def test_a_folder_per_identity(tmp_path):
    people(tmp_path, {"bo": 3, "al": 2})
    dataset = open_dataset(f"identities:{tmp_path}")
    (target,) = dataset.targets
    assert (target.name, target.task, target.labels) == ("identity", "embedding", ("al", "bo"))
    assert dataset.split("all").targets[0].tolist() == [0, 0, 1, 1, 1]
    (found,) = describe(dataset).targets
    (spread,) = found.spread["all"]
    assert found.measures == ("images per identity",)
    assert (spread.min, spread.mean, spread.max) == (2, 2.5, 3)


def test_identities_of_the_test_may_be_others(tmp_path):
    people(tmp_path / "train", {f"p{i:02}": 4 for i in range(12)})
    people(tmp_path / "test", {"new": 2, "p03": 2})
    dataset = open_dataset(f"identities:{tmp_path}")
    assert len(dataset.labels) == 13
    assert dataset.labels == tuple(sorted(dataset.labels))
    numbers = {name: set(split.targets[0].tolist()) for name, split in dataset.splits.items()}
    assert {dataset.labels[i] for i in numbers["test"]} == {"new", "p03"}
    # Of twelve identities, validation takes two that training does not see.
    assert len(numbers["validation"]) == 2
    assert not numbers["validation"] & numbers["train"]


def test_many_identities_are_divided_whole(tmp_path):
    people(tmp_path, {f"p{i:02}": 2 + i % 3 for i in range(20)})
    dataset = open_divided(f"identities:{tmp_path}")
    seen = {name: set(split.targets[0].tolist()) for name, split in dataset.splits.items()}
    assert [len(found) for found in seen.values()] == [13, 3, 4]
    assert len(set.union(*seen.values())) == 20
    assert sum(map(len, dataset.splits.values())) == sum(2 + i % 3 for i in range(20))


def test_of_few_identities_each_is_in_every_split(tmp_path):
    people(tmp_path, {"a": 10, "b": 10, "c": 10})
    dataset = open_divided(f"identities:{tmp_path}")
    assert [np.bincount(split.targets[0]).tolist() for split in dataset.splits.values()] == [
        [6, 6, 6], [2, 2, 2], [2, 2, 2]
    ]  # fmt: skip


def test_an_identity_with_one_image(tmp_path):
    people(tmp_path, {"a": 3, "lonely": 1})
    with pytest.raises(DataError, match="identity 'lonely' has one image") as caught:
        open_dataset(f"identities:{tmp_path}")
    assert "add another image" in caught.value.hint


@pytest.mark.parametrize(("counts", "message"), [({"a": 3}, "1 identities"), ({"a": 3, "b": 0}, "'b' has no images")])
def test_too_few(tmp_path, counts, message):
    people(tmp_path, counts)
    with pytest.raises(DataError, match=message):
        open_dataset(f"identities:{tmp_path}")


def test_train_without_test(tmp_path):
    people(tmp_path / "train", {"a": 3, "b": 3})
    with pytest.raises(DataError, match="no test"):
        open_dataset(f"identities:{tmp_path}")
