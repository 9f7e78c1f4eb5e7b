"""What a model's answers say against its contract: an error where it is certain, a warning where it is likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from numpy.typing import NDArray

from edgecv.values.specs import Head

Array = NDArray[Any]

ROUNDING = 1e-3
"""By which float probabilities may miss 0, 1 and their sum."""


@dataclass(frozen=True)
class Contradiction:
    """What speaks against a contract.

    Attributes:
        text: Starts with the head's or input's name.
        hint: The way out.
        certain: Whether the contract cannot be right.
    """

    text: str
    hint: str
    certain: bool


def contradiction(scores: Array, head: Head, *, exclusive: bool, step: float = 0.0) -> Optional[Contradiction]:
    """Return what scores say against the activation of a head that has classes, labels or a distance.

    Args:
        scores: float32 (n, …, K).
        head: Says "probabilities", "logits" or "distances"; of others nothing is known.
        exclusive: Whether the K probabilities sum to 1.
        step: By which rounding to 8 bits may move a score; 0 of a float model.

    Returns:
        None when they say nothing.
    """
    low, high, name = float(scores.min()), float(scores.max()), f"head '{head.name}'"
    within = low >= -max(ROUNDING, step) and high <= 1 + max(ROUNDING, step)
    if head.activation == "probabilities" and not within:
        said = f"{name} is said to give probabilities, and the model gives {low:.3g} to {high:.3g}"
        return Contradiction(said, 'say activation = "logits" in the spec, if the model ends without a softmax', True)
    if head.activation == "distances" and low < -max(ROUNDING * high, step):
        said = f"{name} is said to give distances, and the model gives {low:.3g} to {high:.3g}"
        return Contradiction(
            said, "a distance is 0 or more: let the model end in one, 1 - similarity for instance", True
        )
    # Half a step a score, and one more: the largest of 256 steps is 255/256, where 1 belongs.
    slack = max(ROUNDING, (scores.shape[-1] / 2 + 1) * step)
    return _of_sums(scores, head, exclusive, within, slack)


def _of_sums(scores: Array, head: Head, exclusive: bool, within: bool, slack: float) -> Optional[Contradiction]:
    single, sums = scores.shape[-1] == 1, scores.sum(axis=-1)
    alike = bool(np.abs(sums - 1).max() < slack) and not single
    if head.activation == "probabilities" and exclusive and not alike and not single:
        said = (
            f"head '{head.name}' is said to give probabilities of one class, and they sum to "
            f"{sums.min():.3g} to {sums.max():.3g}"
        )
        return Contradiction(said, "independent labels are a head for multilabel", False)
    independent = single or not exclusive
    if head.activation == "logits" and within and (alike or independent) and len(scores) > 1:
        taken = f"{'the sigmoid' if independent else 'softmax'} would be taken twice"
        said = f"head '{head.name}' is said to give logits, and the model gives probabilities: {taken}"
        return Contradiction(said, 'say activation = "probabilities" in the spec', False)
    return None
