"""Figures of the architectures that were computed once and ship with the package, so that listing builds nothing."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core import codec
from edgecv.zoo.profiling import ModelProfile

FOLDER = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """What one target takes of a network in one scheme; from converted files with random weights.

    Attributes:
        n_ops: Operators of the file.
        n_mapped: Those that the target's accelerator takes.
        unmapped: Names of the others, each once.
        kind: "predicted", "simulated" (the accelerator on a software adapter) or "measured".
    """

    n_ops: int
    n_mapped: int
    unmapped: tuple[str, ...]
    kind: str


def stored_profile(name: str, variant: str = "canonical") -> ModelProfile | None:
    """Return the cost of a variant at its published input size; None when it was not counted."""
    found = _read("profiles.json").get(name, {}).get(variant)
    return None if found is None else codec.decode(ModelProfile, found, where="profiles.json")


def readiness(name: str, variant: str = "canonical") -> Mapping[str, Mapping[str, Readiness]]:
    """Return target -> scheme -> what it takes, at the network's smallest input size; empty when not known."""
    found = _read("readiness.json").get(name, {}).get(variant, {})
    return {
        target: {way: codec.decode(Readiness, values, where="readiness.json") for way, values in ways.items()}
        for target, ways in found.items()
    }


@functools.cache
def _read(file: str) -> Mapping[str, Any]:
    path = FOLDER / file
    document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return document
