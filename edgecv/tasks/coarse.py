"""How few steps of 8 or 16 bits are left to probabilities that share a scale with larger values."""

from __future__ import annotations

FEWEST_STEPS = 128
"""Steps that probabilities of 0..1 should have: a sigmoid's own int8 tensor has 256."""
FEWEST_LOGIT_STEPS = 16
"""The same of logits, counted where a sigmoid is steepest. A tensor of its own, of -12 to 12, has 42."""


def left_of(step: float, *, logits: bool = False) -> float:
    """Return how many steps 0..1 has, at a quantisation step in real units; of logits, where the sigmoid is steepest.

    The slope of a sigmoid is a quarter at most.
    """
    return (4.0 if logits else 1.0) / step


def is_coarse(step: float, *, logits: bool = False) -> bool:
    """Say whether that is too little."""
    return left_of(step, logits=logits) < (FEWEST_LOGIT_STEPS if logits else FEWEST_STEPS)


def sentence(name: str, step: float, *, logits: bool = False) -> str:
    """Return what a file loses, and the way out.

    Args:
        name: Of the output that holds both.
        step: Its quantisation step, real units.
        logits: Whether the scores are logits.
    """
    left = left_of(step, logits=logits)
    lost = ""
    if not logits and step >= 2.0:
        lost = ", so every score is 0"
    elif not logits and step > 0.05:
        lost = f", so scores below {step / 2:.2g} are 0"
    return (
        f"output '{name}' holds scores and larger values (boxes) under one scale, in steps of {step:.3g}: scores of "
        f"0..1 have {left:.2g} steps left{lost}. End the network at raw maps, an output for each scale and kind "
        "(boxes, scores), or divide boxes by the input's size before they are joined; see docs/detection.md"
    )
