"""What the outputs of a model without a contract may be."""

from __future__ import annotations

from dataclasses import dataclass

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
