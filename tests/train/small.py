"""A task small enough to train in a second: real digits as they were scanned, 8x8, and a two-layer network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from edgecv.data import Dataset, open_divided
from edgecv.modelio import env
from edgecv.train import TrainRecipe
from edgecv.values.specs import Head, Preprocessing, one_input

LABELS = tuple("0123456789")
SPEC = one_input(
    name="small",
    input_shape=(8, 8, 1),
    heads=(Head("digit", "classification", "probabilities", LABELS),),
    preprocessing=Preprocessing("gray"),
)
RECIPE = TrainRecipe(learning_rate=5e-3, epochs=4, batch_size=32, seed=3)


def dataset(folder: Path, count: int = 400) -> Dataset:
    split = open_divided("digits").split("train")
    images = np.stack([split.image(i) for i in range(count)])
    np.savez(folder / "small.npz", x=images, y=split.labels[:count], class_names=np.array(LABELS))
    return open_divided(f"npz:{folder / 'small.npz'}")


def model(seed: int = 0) -> Any:
    keras = env.keras()
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1), name="image")
    hidden = keras.layers.Conv2D(8, 3, activation="relu", name="c1")(inputs)
    flat = keras.layers.Flatten(name="flatten")(hidden)
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax", name="output")(flat), name="small")


class Listener:
    """A Reporter that remembers what it was told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.remarks: list[str] = []

    def bar(self, label: str, total: int) -> Any:
        from edgecv.core.progress import QUIET

        return QUIET.bar(label, total)

    def info(self, message: str) -> None:
        self.remarks.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)
