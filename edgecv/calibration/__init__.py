"""Which samples calibrate a model, and how ranges follow from what they show: numpy only, pure.

The recipes are data in the top-level folder `calibration/`; `edgecv.values.profiles.calibration` reads them.
"""

from edgecv.calibration.observers import (
    EntropyObserver,
    MinMaxObserver,
    MovingAverageObserver,
    MseObserver,
    PercentileObserver,
    RangeObserver,
    make_observer,
)
from edgecv.calibration.sampling import select

__all__ = [
    "EntropyObserver",
    "MinMaxObserver",
    "MovingAverageObserver",
    "MseObserver",
    "PercentileObserver",
    "RangeObserver",
    "make_observer",
    "select",
]
