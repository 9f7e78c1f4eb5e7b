"""A task of one's own, as docs/tasks.md tells to write it: how many blobs an image shows. edgecv does not know it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np

from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.tasks import drawing
from edgecv.tasks.base import BaseTask
from edgecv.tasks.description import Description, measured
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import LossOptions, TensorSpec
from edgecv.tasks.paired import paired_rise
from edgecv.tasks.protocol import Array
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head


@dataclass(frozen=True)
class CountSettings:
    """`most`: of what an answer is cut off at."""

    most: int = 9


@dataclass(frozen=True)
class Count:
    """How many blobs there are; `exact` as the network says it, before it is rounded."""

    blobs: int
    exact: float
    outputs: Tuple[Array, ...] = ()
    heads: Mapping[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return 1

    def to_dict(self) -> Mapping[str, Any]:
        return {"blobs": self.blobs, "exact": self.exact}

    def draw(self, image: Array) -> Any:
        return drawing.captioned(image, [f"{self.blobs} blobs"])


class CountTask(BaseTask):
    """A truth is an int, evidence how far the answer is from it."""

    name = "count"
    metric = Metric("miscount", unit="blobs", better="lower")
    reads = ("count",)
    labelled = False
    call_settings = ("most",)
    unjudged = ("most",)
    Settings = CountSettings

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        if [tuple(shape[1:]) for shape in shapes] != [(1,)]:
            raise UnsupportedModelError(f"head '{head.name}' (count) is one number, got {shapes}")

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Count:
        exact = float(outputs[0].reshape(-1)[0])
        return Count(int(np.clip(round(exact), 0, self.settings(head).most)), exact)

    def evidence(self, truth: Any, prediction: Count, head: Head) -> float:
        return abs(prediction.exact - float(truth))

    def score(self, evidence: Sequence[float], head: Head) -> Scores:
        if not evidence:
            raise DataError("there is nothing to count in")
        off = np.asarray(evidence)
        return Scores(value=float(off.mean()), figures={"right": float((off < 0.5).mean())})

    def drop(self, base: Sequence[float], candidate: Sequence[float], head: Head) -> Drop:
        return paired_rise(base, candidate)

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        if int(truth) < 0:
            raise DataError(f"{where}: {truth} blobs")

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> int:
        return int(rng.integers(0, self.settings(head).most + 1))

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        return measured({"blobs": truths})

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        return f"{int(truth)} blobs"

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        lines = [] if truth is None else [self.told(truth, labels)]
        return drawing.captioned(image, lines + ([] if prediction is None else [f"said: {prediction.blobs}"]))

    def training(self, head: Head) -> CountTraining:
        return CountTraining()


class CountTraining:
    """Squared error. Tensors are tensorflow's."""

    targets = (TensorSpec((1,), "float32"),)

    def encode(self, truth: Any, frame: Optional[Frame]) -> Tuple[Array, ...]:
        return (np.array([truth], np.float32),)

    def class_weights(self, truths: Sequence[Any]) -> Optional[Array]:
        return None

    def loss(self, targets: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        tf = require("tensorflow", why="to train")
        return tf.reduce_mean(tf.square(outputs[0] - targets[0]))

    def statistics(self, targets: Sequence[Any], outputs: Sequence[Any]) -> Any:
        tf = require("tensorflow", why="to train")
        off = tf.abs(outputs[0] - targets[0])
        return tf.stack([tf.reduce_sum(off), tf.cast(tf.size(off), tf.float32)])

    def value(self, sums: Array) -> float:
        return float(sums[0] / sums[1])

    def distil(self, teacher: Sequence[Any], outputs: Sequence[Any], options: LossOptions) -> Any:
        return self.loss(teacher, outputs, options)

    def order(self, truths: Sequence[Any], rng: np.random.Generator) -> Array:
        return rng.permutation(len(truths)).astype(np.int64)
