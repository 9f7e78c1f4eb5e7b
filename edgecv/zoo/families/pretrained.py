"""Weights that a network starts from: none, ImageNet's, or a file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.zoo.entry import Build


def source(request: Build) -> str | None:
    """Return what is asked for: None, "imagenet", or the path of a file that exists. Raises ConfigError otherwise."""
    if request.weights in (None, "imagenet") or Path(request.weights).is_file():
        return request.weights
    raise ConfigError(
        f"weights file {request.weights} does not exist", hint="give a path, 'imagenet', or nothing for random ones"
    )


def load(model: Any, request: Build) -> Any:
    """Return a network of ours with the weights asked for.

    Raises:
        ConfigError: "imagenet", which only networks of Keras have, a file that does not exist, or another network's.
    """
    path = source(request)
    if path == "imagenet":
        raise ConfigError(f"{model.name} has no ImageNet weights", hint="give a weights file, or train it")
    if path is not None:
        try:
            model.load_weights(path)
        # Keras and HDF5 raise whatever their parts raise; all of it means that these weights cannot be taken.
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigError(f"{path} holds no weights of {model.name}: {reason}") from error
    return model
