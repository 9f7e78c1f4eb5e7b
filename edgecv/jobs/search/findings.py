"""What a search learns of its candidates: what they cost on the device, and what accuracy they lose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecv.values.kind import Kind
from edgecv.values.scores import Drop, Verdict

Level = Literal["coarse", "full"]
"""Of an accuracy: after short training on a part of the samples, or after all of it on all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a candidate costs on the device.

    Attributes:
        ratio: Its time over the float file's, interleaved in the same run; None where it could not be had.
        ratio_ci95: The ratio's 95 % interval; None where it is not measured.
        size_bytes: Of the file.
        latency_ms: The ratio times the float file's time; on a busy machine only the ratio can be compared.
        kind: "measured" on hardware, "simulated" by an emulator, "predicted" by a cost model.
        trained: Whether the file is the trained one, not one of the same shape that was never trained.
        failure: Why there is none; "" when there is one.
    """

    ratio: float | None
    ratio_ci95: tuple[float, float] | None
    size_bytes: int | None
    latency_ms: float | None = None
    kind: Kind = "measured"
    trained: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The accuracy of one candidate.

    Attributes:
        candidate: Its id.
        level: How much was trained, and on how many samples it was judged.
        n: Samples of the validation split.
        value: Of the metric; None when there is no file. `before`: of the float model on the same samples.
        drop: Against the float model on the same samples, in points or the error's unit; `drop_ci95` its paired 95 %
            interval.
        size_bytes: Of the trained file; `sha256` of it.
        seconds: That it took.
        failure: Why there is no file; "" when there is.
    """

    candidate: str
    level: Level
    n: int
    value: float | None
    drop: float | None
    drop_ci95: tuple[float, float] | None
    before: float | None = None
    size_bytes: int | None = None
    sha256: str = ""
    seconds: float = 0.0
    failure: str = ""

    def against(self, allowed: float) -> Verdict:
        """Return "passed" when the whole interval is within what is allowed, "failed" when the drop is not."""
        if self.drop is None or self.drop_ci95 is None:
            return "failed"
        return Drop(value=self.drop, ci95=self.drop_ci95).against(allowed)

    def surely_fails(self, allowed: float) -> bool:
        """Say whether even the lower end of the interval is beyond what is allowed, or there is no file."""
        return self.drop_ci95 is None or self.drop_ci95[0] > allowed

    def needed(self, allowed: float) -> int | None:
        """Return how many samples would show that it passes; None when no number would."""
        if self.drop is None or self.drop_ci95 is None:
            return None
        return Drop(value=self.drop, ci95=self.drop_ci95).samples_to_show(allowed, self.n)
