"""The resume file: everything a run needs to go on from its last finished epoch, in one atomically written file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Sequence

import numpy as np
import numpy.typing as npt

from edgecv.core.files import atomic_path
from edgecv.core.progress import Reporter

Array = npt.NDArray[Any]
SCHEMA = "edgecv.training-state/1"
GROUPS = ("weights", "optimizer", "best", "average")


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """What one finished epoch gave.

    Attributes:
        index: 0-based.
        loss: Mean training loss over the epoch's batches.
        val_loss: Mean loss over the validation split.
        val_value: Validation metric: accuracy 0..1 (higher is better) or mean absolute error (lower is better).
        learning_rate: Used in the epoch.
        eligible: Whether the epoch's weights may be kept as the best (false while pruning is still under way).
        head_values: Validation metric of every head, in their order.
    """

    index: int
    loss: float
    val_loss: float
    val_value: float
    learning_rate: float
    eligible: bool = True
    head_values: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A run after `len(history)` finished epochs. Weights are lists in the order of the model's variables.

    `average` is that of the weights, as `edgecv.train.average.Average.values` gives it; empty without one.
    """

    fingerprint: str
    history: tuple[Epoch, ...]
    weights: tuple[Array, ...]
    optimizer: tuple[Array, ...]
    best: tuple[Array, ...]
    average: tuple[Array, ...] = ()


def fingerprint(facts: object, weights: Sequence[Array]) -> str:
    """Return the SHA-256 over JSON-able `facts` and the exact bytes of `weights`, as hex."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode())
    for weight in weights:
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def weights_digest(model: Any) -> str:
    """Return the SHA-256 over the weights of a keras model, as hex."""
    return fingerprint({}, model.get_weights())


def save(path: Path, state: State) -> None:
    """Write `state` to `path`, whole or not at all. Raises ConfigError when the disk is full or read-only."""
    meta = {
        "schema": SCHEMA,
        "fingerprint": state.fingerprint,
        "history": [asdict(epoch) for epoch in state.history],
        "counts": {name: len(getattr(state, name)) for name in GROUPS},
    }
    arrays = {f"{name}_{i}": array for name in GROUPS for i, array in enumerate(getattr(state, name))}
    with atomic_path(path) as partial, partial.open("wb") as stream:
        np.savez(stream, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)


def resume(path: Path | None, expected: str, reporter: Reporter) -> State | None:
    """Return the state to go on from; None for a fresh start, with a warning when a file is there but cannot serve.

    Args:
        path: The resume file; None when the run keeps none.
        expected: Fingerprint of the run being started.
        reporter: Told why a file is not used.
    """
    if path is None or not path.exists():
        return None
    try:
        state = _read(path)
    # numpy, zipfile and zlib answer damage with some ten kinds of exceptions.
    except Exception as error:
        reporter.warn(f"{path} is not a readable training state ({error}): starting over")
        return None
    if state.fingerprint != expected:
        reporter.warn(
            f"{path} belongs to another run (recipe, data, initial weights or tensorflow differ): starting over"
        )
        return None
    reporter.info(f"resuming after epoch {len(state.history)} from {path}")
    return state


def _read(path: Path) -> State:
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(bytes(file["meta"]).decode())
        if meta["schema"] != SCHEMA:
            raise ValueError(f"schema {meta['schema']}, expected {SCHEMA}")
        groups = {name: tuple(file[f"{name}_{i}"] for i in range(count)) for name, count in meta["counts"].items()}
    return State(fingerprint=meta["fingerprint"], history=tuple(_epoch(epoch) for epoch in meta["history"]), **groups)


def _epoch(values: dict[str, Any]) -> Epoch:
    return Epoch(**{**values, "head_values": tuple(values["head_values"])})
