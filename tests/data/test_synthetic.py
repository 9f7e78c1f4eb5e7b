import numpy as np
import pytest

from edgecv.core.errors import DataError
from edgecv.data import ObjectColumn
from edgecv.data.synthetic import synthetic
from edgecv.data.truths import column_of
from edgecv.tasks.boxes import Objects
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing

GRAY = InputSpec("image", (12, 10, 1), Preprocessing(color="gray"))
VECTOR = InputSpec("features", (3,))
HEADS = (
    Head(name="kind", task="classification", activation="logits", labels=("a", "b", "c")),
    Head(name="marks", task="multilabel", activation="logits", labels=("u", "v")),
    Head(name="age", task="regression", activation="linear", labels=("years",)),
)


def test_every_input_and_head_is_served():
    made = synthetic(ModelSpec(name="m", inputs=(GRAY, VECTOR), heads=HEADS), samples=12)
    assert [len(split) for split in made.splits.values()] == [6, 3, 3]
    assert [(t.name, t.task) for t in made.targets] == [
        ("kind", "classification"), ("marks", "multilabel"), ("age", "regression")
    ]  # fmt: skip
    train = made.split("train")
    assert [(t.dtype, t.shape) for t in train.targets] == [(np.int64, (6,)), (np.float32, (6, 2)), (np.float32, (6, 1))]
    image, vector = train.sample(2)
    assert (image.dtype, image.shape, vector.dtype, vector.shape) == (np.uint8, (12, 10), np.float32, (3,))
    assert (image.min(), image.max()) == (0, 255)


def test_a_seed_makes_the_same_samples_and_another_seed_others():
    spec = ModelSpec(name="m", inputs=(GRAY,), heads=HEADS)
    first, again, other = (synthetic(spec, seed=seed).split("test").sha256 for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize(
    ("truth", "dtype", "shape"),
    [
        (1, np.int64, (2,)),
        (np.int64(1), np.int64, (2,)),
        (np.ones(3, np.float32), np.float32, (2, 3)),
        (np.ones((4, 5), np.uint8), np.uint8, (2, 4, 5)),
    ],
)
def test_truths_of_one_kind_make_a_column(truth, dtype, shape):
    made = column_of([truth, truth])
    assert (made.dtype, made.shape) == (dtype, shape)


def test_objects_make_a_column_and_maps_of_two_sizes_none():
    assert isinstance(column_of([Objects(np.zeros((0, 4)), np.zeros(0))]), ObjectColumn)
    with pytest.raises(DataError, match="make no array"):
        column_of([np.ones((4, 5), np.uint8), np.ones((4, 4), np.uint8)])
