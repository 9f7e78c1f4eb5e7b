"""Models as the functions of `edgecv.api` take them: paths, keras models in memory, or what `load_model` returns."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Union

from edgecv.api.showing import reporter
from edgecv.core.shown import Shown
from edgecv.jobs import contract, describe
from edgecv.jobs.contract import Contract
from edgecv.jobs.models import Source
from edgecv.modelio import LoadedModel
from edgecv.values.specs import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Model(Shown):
    """A float model and how it is opened.

    Attributes:
        source: Its path, and what the user says of it.
    """

    source: Source
    _folder: Any = field(default=None, repr=False, compare=False)

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.source.path

    @cached_property
    def loaded(self) -> LoadedModel:
        """The model as tf_keras, with its manifest; what its contract is was found out where nothing says it."""
        return contract.opened(self.source, needed=False, reporter=reporter(True))

    @property
    def spec(self) -> ModelSpec:
        """Its contract: inputs with their preprocessing, and heads."""
        return self.loaded.require_spec()

    @property
    def keras(self) -> Any:
        """The tf_keras model: float32 images (n, H, W, C), preprocessed as the contract says, to its outputs."""
        return self.loaded.model

    def __str__(self) -> str:
        told = self.spec
        inputs = ", ".join(f"{one.name} {'x'.join(map(str, one.shape))}" for one in told.inputs)
        heads = ", ".join(f"{one.name}: {one.task}, {one.activation}, {len(one.labels)} labels" for one in told.heads)
        count = self.keras.count_params()
        return f"{told.name} ({self.path.name}): {count:,} parameters\n  takes {inputs}\n  gives {heads}"


ModelLike = Union[str, Path, Model, Any]
"""A path, what `load_model` returns, or a keras model in memory, of Keras 3 or tf_keras."""


def load_model(
    model: ModelLike,
    *,
    spec: str | Path | None = None,
    preset: str | None = None,
    input_size: str | None = None,
    architecture: str | None = None,
    custom_objects: str | Path | None = None,
    signature: str | None = None,
    unsafe: bool = False,
) -> Model:
    """Open a float model, and say what is not written in it.

    Args:
        model: A `.keras` or `.h5` file, a SavedModel folder, a float `.onnx` or `.tflite`, or a keras model in memory,
            which is saved to a file that lives as long as the result.
        spec: TOML of its contract, for a model that edgecv did not write.
        preset: How its images are scaled: "raw", "unit", "imagenet-tf", "imagenet-torch" or "imagenet-caffe".
        input_size: Height and width of an input that leaves them open: "224" or "224x320".
        architecture: The network of a file of weights: "NAME:classes=N" of the zoo, or "FILE.py:FUNCTION", which is
            run.
        custom_objects: A Python file with the classes that the model names. It is run.
        signature: Which function of a SavedModel without layers is meant, where it serves several.
        unsafe: Load Lambda layers, which can run any code.

    Returns:
        The model; it is read when first asked for its contents.

    Raises:
        ConfigError: There is no such file.
    """
    if isinstance(model, Model):
        return model
    path, folder = _on_disk(model)
    source = Source(
        path=path, unsafe=unsafe, spec=_path(spec), preset=preset, input_size=input_size, architecture=architecture,
        custom_objects=_path(custom_objects), signature=signature,
    )  # fmt: skip
    return Model(source=source, _folder=folder)


def spec(
    model: ModelLike, *, data: str | None = None, preset: str | None = None, out: str | Path | None = None,
    picture: str | Path | None = None, force: bool = False,
) -> Contract:  # fmt: skip
    """Return the contract of a model that edgecv did not write, as far as the model and labelled data tell it.

    Args:
        model: As `load_model` takes it.
        data: Gives labels, and decides how images are scaled where the model does not say.
        preset: How images are scaled.
        out: Where the contract goes, as TOML.
        picture: A .png of what the model sees of eight images of `data`.
        force: Replace what exists.

    Raises:
        ConfigError, UnsupportedModelError: A file exists, or the model takes or gives what no task reads.
    """
    return describe.describe(
        load_model(model).source, uri=data, preset_name=preset, out=_path(out), sheet=_path(picture), force=force
    )


def _on_disk(model: ModelLike) -> tuple[Path, Any]:
    """Return a model's path, and the temporary folder that it is in, if any."""
    if isinstance(model, (str, Path)):
        return Path(model), None
    folder = tempfile.TemporaryDirectory(prefix="edgecv-")
    path = Path(folder.name) / f"{getattr(model, 'name', 'model')}.keras"
    saving: Any = model
    saving.save(path)
    return path, folder


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
