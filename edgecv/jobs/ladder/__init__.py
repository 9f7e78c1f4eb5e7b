"""The quantisation ladder: step by step from cheap to dear, until a file loses no more than is allowed.

Every step makes a whole artifact, is measured on the validation split against the float model, sample by sample, and
is kept, with its figures, beside the output. A killed climb, run again with the same command, goes on from there. It is
the search of `edgecv optimize` in one dimension: asked for, made, kept and judged by `edgecv.jobs.trials`.
"""

from edgecv.jobs.ladder.climbing import climb, require_passed
from edgecv.jobs.ladder.values import Climb, LadderPlan, Trial

__all__ = ["Climb", "LadderPlan", "Trial", "climb", "require_passed"]
