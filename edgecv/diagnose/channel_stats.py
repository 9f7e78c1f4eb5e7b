"""What the channels of a layer do over samples: their range, which of them say nothing, and which say the same."""

from __future__ import annotations

import numpy as np

from edgecv.compress.slim.scores import Moments, positions
from edgecv.compress.slim.useless import ALIKE, LEAST_ROWS, Why, silent
from edgecv.diagnose.layer_outputs import Array

MOST_CHANNELS = 1024
"""Channels that are compared pair by pair."""


class ChannelStats:
    """Running figures of one layer's maps."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self._peaks: Array | None = None
        self._moments: Moments | None = None

    def add(self, maps: Array) -> None:
        """Take in a layer's answer to one sample, channels last, without the batch."""
        if not maps.size:
            return
        self.low, self.high = min(self.low, float(maps.min())), max(self.high, float(maps.max()))
        if maps.ndim != 3:
            return
        peaks = np.abs(maps).max(axis=(0, 1))
        self._peaks = peaks if self._peaks is None else np.maximum(self._peaks, peaks)
        if maps.shape[-1] <= MOST_CHANNELS:
            self._moments = self._moments or Moments(maps.shape[-1])
            self._moments.add(positions(maps[None]))

    def silent(self, alike: float = ALIKE) -> dict[int, tuple[Why, int | None, float | None]]:
        """Return the channels that say nothing, as `edgecv.compress.slim.useless.silent`; of layers with maps only."""
        if self._peaks is None or self._moments is None or self._moments.count < LEAST_ROWS:
            return {}
        return silent(self._moments.covariance(), self._peaks, alike)
