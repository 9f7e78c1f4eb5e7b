"""Keras downloads these sets; here its loaders are replaced, so that nothing needs a network."""

import numpy as np
import pytest

pytest.importorskip("tf_keras", reason="tf_keras is not installed")

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import describe, open_dataset
from edgecv.data.keras_sets import SETS
from edgecv.modelio import env


@pytest.fixture
def served(monkeypatch):
    """Let a set's loader answer with `n` training and 20 test images, as the real one does."""

    def serve(name, shape, n=200, classes=10, column=False):
        rng = np.random.default_rng(0)

        def part(n):
            labels = (np.arange(n) % classes).astype(np.uint8)
            return rng.integers(0, 256, (n, *shape), dtype=np.uint8), labels[:, None] if column else labels

        def load_data():
            print("Downloading data from somewhere")
            return part(n), part(20)

        monkeypatch.setattr(getattr(env.keras().datasets, name), "load_data", load_data)

    return serve


def test_mnist(served, capsys):
    served("mnist", (28, 28))
    dataset = open_dataset("keras:mnist")
    assert (dataset.name, dataset.uri) == ("mnist", "keras:mnist")
    assert dataset.labels == tuple("0123456789")
    assert describe(dataset).sizes == {"train": 170, "validation": 30, "test": 20}
    assert dataset.split("test").image(0).shape == (28, 28)
    assert capsys.readouterr().out == "", "stdout belongs to results"


def test_cifar_labels_come_as_a_column(served):
    served("cifar10", (32, 32, 3), column=True)
    dataset = open_dataset("keras:cifar10")
    assert dataset.labels[:3] == ("airplane", "automobile", "bird")
    assert dataset.split("test").labels.tolist() == [i % 10 for i in range(20)]


@pytest.mark.parametrize(("name", "count"), [("mnist", 10), ("fashion_mnist", 10), ("cifar10", 10), ("cifar100", 100)])
def test_class_names(name, count):
    names = SETS[name].split(", ")
    assert len(set(names)) == len(names) == count


def test_offline_is_explained(monkeypatch):
    def load_data():
        raise Exception("URL fetch failure on https://x: None -- [Errno -2] Name or service not known")

    monkeypatch.setattr(env.keras().datasets.mnist, "load_data", load_data)
    with pytest.raises(DataError, match="'mnist' cannot be downloaded: URL fetch failure") as caught:
        open_dataset("keras:mnist")
    assert "npz:" in caught.value.hint


def test_unknown_names_list_the_nearest():
    with pytest.raises(ConfigError) as caught:
        open_dataset("keras:minst")
    assert "did you mean 'mnist'" in caught.value.hint
