"""What a search works on, as one frozen value that can be sent to other machines."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgecv.bench import BenchPlan
from edgecv.jobs import models
from edgecv.values import profiles

SHAPE_PLAN = BenchPlan(
    target_width=0.1, min_launches=3, max_launches=6, launch_seconds=0.15, max_seconds=4.0, max_warmup_ms=200.0
)
"""How long each shape is timed: enough to order candidates. Those that may win are timed again, for longer."""
FINAL_PLAN = BenchPlan(target_width=0.05, min_launches=5, max_launches=12, launch_seconds=0.3, max_seconds=8.0)
ACCELERATORS = ("edgetpu", "npu")
"""Targets of which no device is here: their time is predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """The model, its data, and where its files are to run.

    Attributes:
        source: The float model.
        data: Trains, calibrates and judges; None: what the model was trained on.
        target: What files are made for.
        device: Where they are timed; `further_devices` where too, `devices` the user's file of devices.
        seed: Of every step.
        coarse_samples: Of a first look, at most.
        coarse_epochs: Share of the epochs of a first look; 1: there is none.
        final_samples: Of the judgement in full, at most; None: all of the validation split.
        suffix: Of the files.
    """

    source: models.Source
    data: str | None = None
    target: str = "cpu"
    device: str = "local"
    further_devices: tuple[str, ...] = ()
    devices: Path | None = None
    seed: int = 0
    coarse_samples: int = 1000
    coarse_epochs: float = 0.34
    final_samples: int | None = None
    suffix: str = ".tflite"
    shape_plan: BenchPlan = field(default=SHAPE_PLAN)
    final_plan: BenchPlan = field(default=FINAL_PLAN)

    @property
    def timing(self) -> tuple[str, ...]:
        """All devices that files are timed on."""
        return tuple(dict.fromkeys((self.device, *self.further_devices)))

    @property
    def predicted(self) -> bool:
        """Whether times are predicted: the target is an accelerator without a device here."""
        return self.timing == ("local",) and profiles.target(self.target).accelerator in ACCELERATORS
