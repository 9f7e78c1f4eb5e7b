"""What the outputs of a model without a contract may be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Tuple

from numpy.typing import NDArray

from edgecv.values.specs import Head, Resize

CERTAIN, LIKELY, POSSIBLE = 2, 1, 0


@dataclass(frozen=True)
class Recognised:
    """What a task makes of an output that nothing describes.

    Attributes:
        activation: Of the head, if the output is of this task.
        said: What the output holds, behind "output 'x'".
        certainty: CERTAIN where the model's last layer says it, LIKELY where most such models mean it, POSSIBLE where
            the numbers may be anything.
    """

    activation: str
    said: str
    certainty: int


@dataclass(frozen=True, eq=False)
class Seen:
    """An output of a file that nothing describes.

    Attributes:
        name: In the file.
        ends_in: What gives it: "softmax", "sigmoid", "linear", or the name of an operator that is no builtin.
        place: Which of that operator's outputs it is.
        values: Answers to noise, float32 (samples, …), real units.
    """

    name: str
    ends_in: str
    place: int
    values: NDArray[Any]


@dataclass(frozen=True)
class RecognisedHead:
    """A head that a task finds in the outputs of a file.

    Attributes:
        head: With its outputs and settings; without labels.
        known: What the file says of it, a sentence each, without a full stop.
        guessed: What was assumed, likewise.
        ask: Settings that nothing tells, to the question that their value answers: a contract with them is refused.
        resize: How images most likely come to the input's size; `pad_value` what lies around them.
    """

    head: Head
    known: Tuple[str, ...]
    guessed: Tuple[str, ...]
    ask: Mapping[str, str] = field(default_factory=dict)
    resize: Resize = "stretch"
    pad_value: int = 0
