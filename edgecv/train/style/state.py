"""The resume file of a style transfer: picture, optimizer and losses so far, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.files import atomic_path
from edgecv.core.progress import Reporter

Array = np.ndarray[Any, Any]
SCHEMA = "edgecv.style-state/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferState:
    """A transfer after `len(losses)` steps.

    Attributes:
        losses: Total before each step.
        picture: float32 (h, w, 3), 0..1.
        optimizer: Its variables, in their order.
    """

    losses: tuple[float, ...]
    picture: Array
    optimizer: tuple[Array, ...]


def save(path: Path, identity: str, state: TransferState) -> None:
    """Write the state of the run called `identity`. Raises ConfigError when the disk is full or read-only."""
    meta = {"schema": SCHEMA, "fingerprint": identity, "losses": state.losses, "optimizer": len(state.optimizer)}
    arrays: dict[str, Any] = {f"optimizer_{index}": value for index, value in enumerate(state.optimizer)}
    arrays |= {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8), "picture": state.picture}
    with atomic_path(path) as partial, partial.open("wb") as stream:
        np.savez(stream, **arrays)


def resume(path: Path | None, identity: str, like: TransferState, reporter: Reporter) -> TransferState | None:
    """Return the state to go on from; None for a fresh start, with a warning when a file is there but cannot serve.

    Args:
        path: The resume file; None when the run keeps none.
        identity: Of the run being started.
        like: A state with the shapes of its arrays.
        reporter: Told why a file is not used.
    """
    if path is None or not path.exists():
        return None
    try:
        fingerprint, found = _read(path)
        if fingerprint == identity:
            _check(found, like)
    # numpy, zipfile and zlib answer damage with some ten kinds of exceptions.
    except Exception as error:
        reporter.warn(f"{path} is not a readable state of a style transfer ({error}): starting over")
        return None
    if fingerprint != identity:
        reporter.warn(f"{path} belongs to another run (images, options, weights or tensorflow differ): starting over")
        return None
    reporter.info(f"resuming after step {len(found.losses)} from {path}")
    return found


def _read(path: Path) -> tuple[str, TransferState]:
    with np.load(path, allow_pickle=False) as file:
        meta = json.loads(bytes(file["meta"]).decode())
        if meta["schema"] != SCHEMA:
            raise ValueError(f"schema {meta['schema']}, expected {SCHEMA}")
        optimizer = tuple(file[f"optimizer_{index}"] for index in range(meta["optimizer"]))
        losses = tuple(float(loss) for loss in meta["losses"])
        return str(meta["fingerprint"]), TransferState(losses=losses, picture=file["picture"], optimizer=optimizer)


def _check(found: TransferState, like: TransferState) -> None:
    pairs = zip((found.picture, *found.optimizer), (like.picture, *like.optimizer), strict=True)
    for own, other in pairs:
        if own.shape != other.shape:
            raise ValueError(f"an array of shape {own.shape}, expected {other.shape}")
