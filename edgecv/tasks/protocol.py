"""What a task is: all that evaluation, the runtime, compression, gates and reports may ask of it.

A task is stateless. It knows how the outputs of a head become a prediction, what a prediction is worth against the
truth, and how two models compare. The other parts hold no name of a task or a metric: they ask the head's task.

Everything here is numpy and runs on Python 3.9, since devices decode with it. What needs tensorflow stands in a
task's `training.py` and is imported inside `training()`; what training asks is in `edgecv.tasks.learning`. The defaults
that most tasks share are in `edgecv.tasks.base`.
"""

from __future__ import annotations

from typing import Any, Iterable, List, Literal, Mapping, Optional, Protocol, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks.contradiction import Contradiction
from edgecv.tasks.description import Description
from edgecv.tasks.frame import Frame, Piece
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.mediapipe import Joining, MediapipeHead
from edgecv.tasks.recognised import Recognised, RecognisedHead, Seen
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

Division = Literal["classes", "identities", "patterns", "nothing"]
"""What truths keep in proportion when a data set is divided. Classes are as frequent in every split, and each must be
there to train on; of many identities each goes to one split whole; rare patterns of labels are pooled."""

Form = Literal["scores", "independent scores", "vector", "mask", "boxes", "numbers"]
"""What outputs are to somebody who reads them without edgecv: scores of labels of which one holds or each for itself, a
vector to compare, scores of every pixel, boxes with scores, or numbers in the labels' units."""


class Prediction(Protocol):
    """What a model says of one sample; what it is called with depends on the task."""

    def __len__(self) -> int:
        """Return how many things it names: labels, values, boxes, classes of a mask."""
        ...

    def to_dict(self) -> Mapping[str, Any]:
        """Return it as JSON data."""
        ...

    def draw(self, image: Array) -> Any:
        """Return a Pillow image of uint8 (H, W) or (H, W, 3) with the prediction on it."""
        ...


class Task(Protocol):
    """What a head is for. See the module; `edgecv.tasks.base.BaseTask` has what most tasks share."""

    @property
    def name(self) -> str:
        """What a spec calls it."""
        ...

    @property
    def metric(self) -> Metric:
        """What its answers are judged by."""
        ...

    @property
    def reads(self) -> Tuple[str, ...]:
        """Kinds of truth, by the task of a data set's target, that it reads; its own first."""
        ...

    @property
    def labelled(self) -> bool:
        """Whether labels belong to units of an output, so that a data set's classes size the network."""
        ...

    @property
    def named(self) -> Tuple[str, str]:
        """What a label names, and several: ("class", "classes")."""
        ...

    @property
    def form(self) -> Form:
        """What its outputs are to somebody who reads them without edgecv."""
        ...

    @property
    def least_labels(self) -> int:
        """How many labels a head has at least, where it has any."""
        ...

    @property
    def labels_fixed(self) -> bool:
        """Whether a data set's labels must be the model's, in its order; else as many are enough: values have names."""
        ...

    @property
    def compares(self) -> int:
        """How many samples a head answers about at once: 2 for pairs. A model of that many inputs has its data so."""
        ...

    @property
    def is_features(self) -> bool:
        """Whether an output is what another head stands on: a model of this task is a backbone, and stays whole."""
        ...

    @property
    def joins(self) -> bool:
        """Whether truths lie in the image, so that those of several images in one input are one truth."""
        ...

    @property
    def depicts(self) -> bool:
        """Whether a truth is a picture of its own, uint8 (H, W) or (H, W, 3), which is shown beside its image."""
        ...

    @property
    def divided_by(self) -> Division:
        """What splits keep in proportion."""
        ...

    @property
    def truth_settings(self) -> Tuple[str, ...]:
        """The settings that tell how truths are read, which a data set says with its target."""
        ...

    @property
    def figure_help(self) -> Mapping[str, str]:
        """What further figures are, of a head or of a label, in words by name; some or all of them."""
        ...

    @property
    def call_settings(self) -> Tuple[str, ...]:
        """The settings that a call may change: how an answer is told, not what the network is."""
        ...

    @property
    def unjudged(self) -> Tuple[str, ...]:
        """Those of `call_settings` that `judge` does not go by, since the metric says what they are."""
        ...

    @property
    def Settings(self) -> type:
        """The frozen type of its settings."""
        ...

    def settings(self, head: Head) -> Any:
        """Return the head's settings as the task's own type. Raises ConfigError for an unknown key or a wrong value."""
        ...

    def widths(self, head: Head) -> Tuple[int, ...]:
        """Return how many values an output may have that the head's labels belong to; the usual number first."""
        ...

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        """Check that a file's outputs, shapes with the batch, are what the head says. Raises UnsupportedModelError."""
        ...

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Any:
        """Return the prediction of one sample.

        Args:
            outputs: float32 in real units, without the batch, in the order of `head.outputs`.
            head: How they are read.
            frame: From image to input; None for feature vectors, and for answers in the input's own coordinates.
        """
        ...

    def evidence(self, truth: Any, prediction: Any, head: Head) -> Any:
        """Return what scores need to know of one sample: small, and all that is kept of it."""
        ...

    def judge(
        self, truths: Sequence[Any], outputs: Sequence[Array], head: Head, frames: Sequence[Optional[Frame]]
    ) -> List[Any]:
        """Return the evidence of a batch: outputs (n, …). As `evidence` of `decode`, sample by sample, but fast."""
        ...

    def score(self, evidence: Sequence[Any], head: Head) -> Scores:
        """Return the scores of all samples. Raises DataError when there are none."""
        ...

    def ties(self, evidence: Sequence[Any]) -> Optional[int]:
        """Return the number of samples whose best score another label has too; None where no label is the best."""
        ...

    def drop(self, base: Sequence[Any], candidate: Sequence[Any], head: Head) -> Drop:
        """Return how much worse the candidate is on the same samples, with a paired 95 % interval."""
        ...

    def difference(
        self, base: Sequence[Array], own: Sequence[Array], head: Head, size: Tuple[int, ...]
    ) -> Tuple[float, str]:
        """Return how unlike the answers of a float model and of a file to one sample are, >= 0, and a sentence on it.

        Args:
            base: Outputs of the head in the float model, without the batch.
            own: Of the same shapes, of the file.
            head: How both are read.
            size: Of the input, (height, width) of an image.
        """
        ...

    @property
    def exclusive(self) -> bool:
        """Whether a sample has one of the labels: their probabilities sum to 1."""
        ...

    def groups(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> Tuple[Tuple[slice, ...], ...]:
        """Return, for each output, the slices of its last axis that are judged apart: boxes beside scores."""
        ...

    def contradiction(self, answers: Sequence[Array], head: Head, step: float = 0.0) -> Optional[Contradiction]:
        """Return what a model's answers say against the head's contract; None when nothing.

        Args:
            answers: Of each of its outputs, float32 (n, …).
            head: The contract.
            step: By which rounding to 8 bits may move an answer; 0 of a float model.
        """
        ...

    def too_coarse(self, head: Head, shapes: Sequence[Tuple[int, ...]], steps: Sequence[Optional[float]]) -> str:
        """Return what the quantisation of a file's outputs takes from the head's answers, a sentence; "" when nothing.

        Args:
            head: The contract.
            shapes: Of its outputs, with the batch.
            steps: The quantisation step of each output, real units; None where it has none.
        """
        ...

    def doubt(self, value: float, figures: Mapping[str, Optional[float]], n: int, head: Head) -> str:
        """Return what figures on `n` samples say against the head's contract, a sentence; "" when nothing."""
        ...

    def recognise(self, shape: Tuple[int, ...], ends_in: str) -> Optional[Recognised]:
        """Return what an output that nothing describes holds if it is of this task, None when it cannot be.

        Args:
            shape: Of the output, without the batch.
            ends_in: The function that gives it: "softmax", "sigmoid", "linear", …
        """
        ...

    def recognise_outputs(
        self, outputs: Sequence[Seen], size: Tuple[int, ...], labels: int
    ) -> Optional[RecognisedHead]:
        """Return the head that the outputs of a whole file hold; None where they do not look like this task's.

        Args:
            outputs: All of the file's, with what it answers to noise.
            size: (height, width) of its input.
            labels: How many labels there are; 0 where nothing tells.
        """
        ...

    def is_finite(self, outputs: Sequence[Array], head: Head) -> bool:
        """Say whether all that is read of outputs (n, …) is finite."""
        ...

    def as_truth(self, prediction: Any, head: Head) -> Any:
        """Return a prediction as a truth, so that other models can be held to its model. Raises ConfigError: cannot."""
        ...

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        """Raise DataError unless a truth fits the head; `where` names the sample."""
        ...

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Any:
        """Return a random truth for an image of `size` (height, width)."""
        ...

    def strata(self, truths: Sequence[Any]) -> Array:
        """Return what stratified choices go by: int64 (n,)."""
        ...

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        """Return what there is to know of a data set's truths."""
        ...

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        """Return a truth in words; empty where its place is in the image."""
        ...

    def render(self, image: Any, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        """Return a Pillow image of a sample with a prediction, a truth, or both, drawn; None for what there is not.

        The image is one array; for a task that compares several samples, a tuple of them.
        """
        ...

    def check_size(self, head: Head, size: Tuple[int, int]) -> None:
        """Raise ConfigError where the head cannot be read at another input size (height, width) than its network's."""
        ...

    def fitted(self, head: Head, truths: Sequence[Any], frames: Iterable[Optional[Frame]]) -> Head:
        """Return the head with the settings that a network without weights takes from the data it will be trained on.

        Args:
            head: Of the network.
            truths: Of some training samples.
            frames: From image to input, of each; made when they are asked for.
        """
        ...

    def joined(self, pieces: Sequence[Piece], size: Tuple[int, int]) -> Any:
        """Return the truth of an input of `size` (height, width) that shows several images, in its own coordinates.

        Raises:
            ConfigError: Truths of the task do not lie in an image.
        """
        ...

    def check_teacher(self, head: Head, teacher: Head) -> None:
        """Raise ConfigError unless a head can follow a teacher's, of the same labels and input, output by output."""
        ...

    def mediapipe(self, head: Head, shapes: Sequence[Tuple[int, ...]], size: Tuple[int, ...]) -> MediapipeHead:
        """Return how MediaPipe reads the head.

        Args:
            head: Of this task.
            shapes: Of its outputs in a file, with the batch.
            size: (height, width) of the model's input.

        Raises:
            UnsupportedModelError: It does not read it as edgecv does; the message says why.
        """
        ...

    def joining(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> Optional[Joining]:
        """Return how outputs of a network, of `shapes` with the batch, become what MediaPipe reads; None: as is."""
        ...

    def training(self, head: Head) -> TrainingTask:
        """Return what training needs. Raises ConfigError when the head's activation has no loss."""
        ...

    def new_head(self, features: Any, labels: Tuple[str, ...], name: str) -> Tuple[Any, Head]:
        """Put a fresh head on features, a Keras tensor (n, d), for transfer learning.

        Args:
            features: What a backbone says.
            labels: What there is to learn.
            name: Of the last layer.

        Returns:
            The output, a Keras tensor, and how it is read.

        Raises:
            ConfigError: The task has no such head, or there are too few labels.
        """
        ...

    def on_windows(self, head: Head, covers: Tuple[float, ...]) -> Head:
        """Return how the output is read of a network that answers for each window of its input, as a map.

        Args:
            head: Of the network that answers once.
            covers: The box (x1, y1, x2, y2) of the input, in its pixels, that the map's places are about.

        Raises:
            ConfigError: No task reads such a map.
        """
        ...
