"""Training logs: one line of CSV per epoch, and scalars for TensorBoard."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgecv.core.files import atomic_path
from edgecv.modelio.env import tensorflow
from edgecv.tasks.registry import task_of
from edgecv.train.state import Epoch
from edgecv.values.specs import ModelSpec


def logger(folder: Path, spec: ModelSpec, *, stage: str) -> Callable[[tuple[Epoch, ...]], None]:
    """Return what writes `<folder>/<stage>.csv` and TensorBoard events after each epoch.

    The table is written whole each time, so a resumed run continues it and a killed one leaves complete lines.
    TensorBoard gets the epochs that this process has seen finish, under their numbers.

    Raises:
        ConfigError: The folder cannot be written.
    """
    events = _Events(folder / "tensorboard" / stage)

    def log(history: tuple[Epoch, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / f"{stage}.csv") as partial:
            partial.write_text(table(history, spec), encoding="utf-8")
        events.write(history[-1].index + 1, _scalars(history[-1], spec))

    return log


class _Events:
    """A TensorBoard event file, made with the first epoch.

    It is a TFRecord file of Event messages; `tf.summary` would need the tensorboard package to write one.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: Any = None

    def write(self, step: int, scalars: dict[str, float]) -> None:
        v1 = tensorflow().compat.v1
        if self._writer is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = f"events.out.tfevents.{time.time_ns()}.edgecv"
            self._writer = tensorflow().io.TFRecordWriter(str(self._folder / name))
            self._add(v1.Event(wall_time=time.time(), file_version="brain.Event:2"))
        values = [v1.Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
        self._add(v1.Event(wall_time=time.time(), step=step, summary=v1.Summary(value=values)))

    def _add(self, event: Any) -> None:
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def table(history: tuple[Epoch, ...], spec: ModelSpec) -> str:
    """Return the history as CSV with a header line; epochs count from 1."""
    out = io.StringIO()
    rows = [{"epoch": epoch.index + 1, **_scalars(epoch, spec)} for epoch in history]
    writer = csv.DictWriter(out, list(rows[0]) if rows else ["epoch"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _scalars(epoch: Epoch, spec: ModelSpec) -> dict[str, float]:
    values = {"loss": epoch.loss, "val_loss": epoch.val_loss, "learning_rate": epoch.learning_rate}
    for head, value in zip(spec.heads, epoch.head_values, strict=True):
        values[f"val_{head.name}_{task_of(head).metric.name}"] = value
    return values
