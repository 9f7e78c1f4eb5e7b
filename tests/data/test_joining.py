"""Further identities in the training split alone."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.data import Dataset, Split, Target, open_divided, with_more_identities
from edgecv.data.sources import ArrayImages
from edgecv.jobs import train as training_job

KINDS = ("embedding", "classification")


def made(name, identities, *, task="embedding", value=0):
    count = len(identities)
    images = ArrayImages(np.full((count, 4, 4), value, np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None],
                         np.arange(count))  # fmt: skip
    labels = tuple(f"{name} {number}" for number in range(max(identities) + 1))
    split = Split(name="train", images=images, targets=(np.array(identities, np.int64),))
    splits = {part: replace(split, name=part) for part in ("train", "validation", "test")}
    return Dataset(name=name, uri=name, targets=(Target(name="identity", task=task, labels=labels),), splits=splits)


def test_identities_follow_those_of_the_data():
    both = with_more_identities(made("a", [0, 0, 1]), made("b", [0, 1, 1, 2], value=100), KINDS)
    train = both.split("train")
    assert train.targets[0].tolist() == [0, 0, 1, 2, 3, 3, 4]
    assert [int(train.image(index)[0, 0]) for index in range(7)] == [0, 1, 2, 100, 101, 102, 103]
    assert both.labels == ("a 0", "a 1", "b: b 0", "b: b 1", "b: b 2")
    assert len(both.split("validation")) == len(both.split("test")) == 3
    assert both.name == "a, b"
    some = train.take(np.array([6, 0, 4]))
    assert [int(some.image(index)[0, 0]) for index in range(3)] == [103, 0, 101]
    assert some.take(np.array([2])).image(0)[0, 0] == 101
    assert train.take(np.arange(7)).sha256 == train.sha256 != made("a", [0, 0, 1]).split("train").sha256


def test_classes_are_identities_too():
    both = with_more_identities(open_divided("digits"), open_divided("characters"), KINDS)
    assert len(both.split("train")) == len(open_divided("digits").split("train")) + 48_000
    assert [(target.name, target.task) for target in both.targets] == [("output", "classification")]


@pytest.mark.parametrize("order", [0, 1])
def test_who_is_who_has_to_be_known(order):
    pair = [made("a", [0, 1]), made("b", [0, 1], task="regression")]
    with pytest.raises(ConfigError, match="b does not say who is who"):
        with_more_identities(*pair[:: -1 if order else 1], KINDS)


def test_pairs_are_refused():
    train = made("a", [0, 1]).split("train")
    paired = replace(made("a", [0, 1]), splits={"train": train.with_inputs(train.images, train.images)})
    with pytest.raises(ConfigError, match="single images"):
        with_more_identities(paired, made("b", [0, 1]), KINDS)


@pytest.mark.parametrize(("name", "variant"), [("lenet5", "canonical"), ("siamese_mnist", "pair")])
def test_only_what_gives_a_vector_learns_from_others(tmp_path, name, variant):
    plan = training_job.TrainPlan(name=name, variant=variant, data="digits", also="characters")
    with pytest.raises(ConfigError, match="--also is for architectures that give one vector"):
        training_job.train(plan, out=tmp_path / "m.keras")
