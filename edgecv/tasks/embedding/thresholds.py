"""Choosing the distance below which two samples count as one identity, by a false accept rate. Pure numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError
from edgecv.tasks.embedding.metrics import LEAST_ACCEPTS

Array = NDArray[Any]


@dataclass(frozen=True)
class Calibration:
    """A threshold, and what it does on the pairs it was chosen on.

    Attributes:
        threshold: Distances below it count as one identity.
        far: Share of impostor pairs below it; `asked` is the share that was allowed.
        asked: As above.
        tar: Share of genuine pairs below it.
        genuine: Number of genuine pairs.
        impostor: Number of impostor pairs.
        resolved: Whether the pairs are enough to know such a rate: ten or more impostors may pass. Otherwise the
            true rate may be several times `asked`.
    """

    threshold: float
    far: float
    asked: float
    tar: float
    genuine: int
    impostor: int
    resolved: bool


def calibrated(distances: Array, same: Array, far: float) -> Calibration:
    """Return the largest threshold below which at most a share `far` of the impostor pairs lies.

    Args:
        distances: float (pairs,).
        same: bool (pairs,), whether a pair is genuine.
        far: 0 < far < 1.

    Raises:
        ConfigError: `far` is no such rate.
        DataError: There are no genuine pairs, or no impostor pairs.
    """
    if not 0 < far < 1:
        raise ConfigError(f"a false accept rate lies between 0 and 1, got {far}", hint="0.001 is one in a thousand")
    genuine, impostor = distances[same], distances[~same]
    if not genuine.size or not impostor.size:
        missing = "two samples of one identity" if impostor.size else "two identities"
        raise DataError(
            f"a threshold is chosen on pairs of one identity and of two, and the samples do not hold {missing}",
            hint="enrol several identities, of several samples each, or calibrate on other labelled samples",
        )
    accepts = int(np.floor(far * impostor.size * (1 + 1e-12)))
    threshold = float(np.partition(impostor, accepts)[accepts])
    return Calibration(
        threshold=threshold,
        far=float((impostor < threshold).mean()),
        asked=far,
        tar=float((genuine < threshold).mean()),
        genuine=int(genuine.size),
        impostor=int(impostor.size),
        resolved=accepts >= LEAST_ACCEPTS,
    )
