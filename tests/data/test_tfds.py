"""tensorflow-datasets is not installed here: a module stands in that has the parts of its interface that are used.

Its names, arguments and behaviour are those of the package's documentation and source at version 4.9.
"""

import importlib.util
import sys
import types
from dataclasses import dataclass, field

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError, MissingDependencyError
from edgecv.data import describe, open_dataset, tfds


class DatasetNotFoundError(ValueError):
    pass


@dataclass
class Feature:
    shape: tuple
    names: list | None = None


def class_label(names):
    return Feature((), names)


@dataclass
class Source:
    """What `tfds.data_source` gives: records with random access, decoded at each access."""

    rows: list
    accessed: list = field(default_factory=list)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, key):
        assert isinstance(key, int), "a sequence of keys is deprecated"
        self.accessed.append(key)
        return self.rows[key]


class Splits(dict):
    def __getitem__(self, name):
        if name in self:
            return super().__getitem__(name)
        stored, cut = name.split("[")
        assert cut == ":50%]"
        return types.SimpleNamespace(num_examples=super().__getitem__(stored).num_examples // 2)


class Builder:
    def __init__(self, rows, features, keys=("image", "label"), broken=None):
        self.rows, self.broken, self.prepared = rows, broken, False
        sizes = {name: types.SimpleNamespace(num_examples=len(found)) for name, found in rows.items()}
        self.info = types.SimpleNamespace(features=features, supervised_keys=keys, splits=Splits(sizes))

    def download_and_prepare(self):
        if self.broken:
            raise self.broken
        self.prepared = True

    def take(self, split):
        assert self.prepared, "as_dataset before download_and_prepare"
        name, _, cut = split.partition("[")
        return self.rows[name][: len(self.rows[name]) // 2] if cut else self.rows[name]

    def as_dataset(self, split=None, *, shuffle_files=False):
        assert shuffle_files is False
        return iter(self.take(split))


@pytest.fixture
def install(monkeypatch):
    def make(**builders):
        def builder(name):
            if name.split("/")[0] not in builders:
                raise DatasetNotFoundError(f"Dataset {name} not found.")
            return builders[name.split("/")[0]]

        sources = []

        def data_source(name, *, split=None):
            sources.append(Source(builder(name).take(split)))
            return sources[-1]

        module = types.ModuleType("tensorflow_datasets")
        module.builder, module.data_source = builder, data_source
        module.as_numpy = lambda found: found
        module.list_builders = lambda: list(builders)
        module.core = types.SimpleNamespace(DatasetNotFoundError=DatasetNotFoundError)
        monkeypatch.setitem(sys.modules, "tensorflow_datasets", module)
        monkeypatch.setattr(tfds.env, "tensorflow", lambda: None)
        return sources

    return make


def images(n, shape=(6, 5, 1), seed=0, classes=2):
    rng = np.random.default_rng(seed)
    return [{"image": rng.integers(0, 256, shape, dtype=np.uint8), "label": i % classes} for i in range(n)]


FEATURES = {"image": Feature((6, 5, 1)), "label": class_label(["cat", "dog"])}


def test_given_splits_are_kept(install):
    install(toys=Builder({"train": images(40), "test": images(10, seed=1)}, FEATURES))
    dataset = open_dataset("tfds:toys")
    assert (dataset.name, dataset.uri, dataset.labels) == ("toys", "tfds:toys", ("cat", "dog"))
    assert describe(dataset).sizes == {"train": 34, "validation": 6, "test": 10}
    test = dataset.split("test")
    assert test.image(3).shape == (6, 5)
    assert (test.image(3) == images(10, seed=1)[3]["image"][..., 0]).all()
    assert test.labels.tolist() == [0, 1] * 5


@pytest.mark.parametrize(
    ("stored", "address", "sizes"),
    [
        ({"train": 40, "validation": 8, "test": 10}, "toys", (40, 8, 10)),
        ({"train": 40, "validation": 8}, "toys", (34, 6, 8)),
        ({"train": 40}, "toys", (26, 6, 8)),
        ({"train": 40, "test": 10}, "toys[train]", (26, 6, 8)),
        ({"train": 80, "test": 10}, "toys/plain:1.0.0[train[:50%]]", (26, 6, 8)),
    ],
)
def test_which_split_is_which(install, stored, address, sizes):
    rows = {name: images(n, seed=n) for name, n in stored.items()}
    install(toys=Builder(rows, FEATURES))
    assert tuple(describe(open_dataset(f"tfds:{address}")).sizes.values()) == sizes


def test_large_sets_are_read_record_by_record(install, monkeypatch):
    small = open_after(install)
    monkeypatch.setattr(tfds, "IN_MEMORY_BYTES", 100)
    sources = install(toys=Builder({"train": images(40), "test": images(10, seed=1)}, FEATURES))
    dataset = open_dataset("tfds:toys")
    assert [len(source.accessed) for source in sources] == [40, 10], "each record once, for labels and contents"
    test = dataset.split("test")
    assert (test.image(4) == small.split("test").image(4)).all()
    assert sources[1].accessed[10:] == [4]
    assert test.labels.tolist() == small.split("test").labels.tolist()
    assert describe(dataset).duplicates_across == describe(small).duplicates_across
    assert test.sha256 == open_dataset("tfds:toys").split("test").sha256


def open_after(install):
    install(toys=Builder({"train": images(40), "test": images(10, seed=1)}, FEATURES))
    return open_dataset("tfds:toys")


def test_images_of_varying_size_are_read_record_by_record(install):
    rows = [{"image": np.full((4 + i, 5, 3), i, np.uint8), "label": i % 2} for i in range(20)]
    features = {"image": Feature((None, None, 3)), "label": class_label(["a", "b"])}
    sources = install(photos=Builder({"train": rows}, features))
    dataset = open_dataset("tfds:photos")
    assert len(sources) == 1
    shapes = {split.image(i).shape for split in dataset.splits.values() for i in range(len(split))}
    assert shapes == {(4 + i, 5, 3) for i in range(20)}


def test_values_and_vectors(install):
    rng = np.random.default_rng(0)
    rows = [{"x": rng.standard_normal(3), "y": np.float32(i)} for i in range(30)]
    features = {"x": Feature((3,)), "y": Feature(())}
    install(wine=Builder({"train": rows}, features, keys=("x", "y")))
    dataset = open_dataset("tfds:wine")
    assert dataset.targets[0].task == "regression"
    assert dataset.split("train").image(0).dtype == np.float32


class TestRefused:
    def test_unknown_names(self, install):
        install(mnist=Builder({}, FEATURES), cifar10=Builder({}, FEATURES))
        with pytest.raises(ConfigError, match="no data set 'minst'") as caught:
            open_dataset("tfds:minst")
        assert "did you mean 'mnist'" in caught.value.hint

    def test_unknown_splits(self, install):
        install(toys=Builder({"train": images(9)}, FEATURES))
        with pytest.raises(ConfigError, match="'toys' has no split 'tests'") as caught:
            open_dataset("tfds:toys[tests]")
        assert "it has: train" in caught.value.hint

    def test_offline(self, install):
        install(toys=Builder({"train": images(9)}, FEATURES, broken=OSError("Name or service not known")))
        with pytest.raises(DataError, match="cannot be downloaded and prepared: Name or service") as caught:
            open_dataset("tfds:toys")
        assert "TFDS_DATA_DIR" in caught.value.hint

    def test_no_training_split(self, install):
        install(toys=Builder({"everything": images(9)}, FEATURES))
        with pytest.raises(ConfigError) as caught:
            open_dataset("tfds:toys")
        assert caught.value.hint == "name the one to split: tfds:toys[SPLIT]"

    @pytest.mark.parametrize("keys", [None, (("image", "size"), "label")])
    def test_sets_without_one_answer(self, install, keys):
        install(toys=Builder({"train": images(9)}, FEATURES, keys=keys))
        with pytest.raises(DataError, match="supervised keys"):
            open_dataset("tfds:toys")

    def test_other_pixels(self, install):
        rows = [{"image": np.zeros((6, 5, 4), np.uint8), "label": i % 2} for i in range(9)]
        install(toys=Builder({"train": rows}, {**FEATURES, "image": Feature((6, 5, 4))}))
        with pytest.raises(DataError, match=r"uint8 of shape \(6, 5, 4\)"):
            open_dataset("tfds:toys")

    @pytest.mark.skipif(
        importlib.util.find_spec("tensorflow_datasets") is not None, reason="tensorflow-datasets is installed"
    )
    def test_without_the_package(self, monkeypatch):
        monkeypatch.setattr(tfds.env, "tensorflow", lambda: None)
        with pytest.raises(MissingDependencyError) as caught:
            open_dataset("tfds:mnist")
        assert caught.value.hint == "pip install 'edgecv[tfds]'"
