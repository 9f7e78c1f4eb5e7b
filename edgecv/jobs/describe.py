"""The contract of a model from elsewhere as a file to read and correct, and a picture of what the model sees."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv import data
from edgecv.core.errors import ConfigError
from edgecv.core.files import atomic_path, check_output
from edgecv.data import Dataset
from edgecv.jobs import models
from edgecv.jobs.contract import Contract, contract_of
from edgecv.jobs.describe_file import contract_of_file
from edgecv.jobs.sense import some_of
from edgecv.modelio.model_file import model_file
from edgecv.runtime.image import preprocess
from edgecv.values.specs import InputSpec, ModelSpec


def toml_of(found: Contract) -> str:
    """Return the text of a spec file, with what was guessed as comments."""
    spec = found.spec
    lines = [f'name = "{spec.name}"', *(f"# guessed: {one}" for one in found.guessed)]
    for one in spec.inputs:
        lines += ["", "[[inputs]]", f'name = "{one.name}"', f"shape = {list(one.shape)}"]
        settings = one.preprocessing
        if settings is not None:
            lines += [
                "", "[inputs.preprocessing]", f'color = "{settings.color}"', f'resize = "{settings.resize}"',
                f'interpolation = "{settings.interpolation}"', f"mean = {list(settings.mean)}",
                f"std = {list(settings.std)}   # input = (pixel - mean) / std",
            ]  # fmt: skip
            lines += [f"pad_value = {settings.pad_value}"] if settings.resize in ("letterbox", "pad") else []
    for head in spec.heads:
        lines += [
            "",
            "[[heads]]",
            f'name = "{head.name}"',
            f'task = "{head.task}"',
            f'activation = "{head.activation}"',
        ]
        lines += [f"labels = {_toml(head.labels)}"] if head.labels else []
        lines += [f"outputs = {_toml(head.outputs)}"] if head.outputs != (head.name,) else []
        own = {**head.settings, **found.ask.get(head.name, {})}
        lines += ["", "[heads.settings]"] if own else []
        lines += [f"{key} = {_toml(value)}" for key, value in own.items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """Return a value as TOML: a JSON value is one, but for null and tables, which no setting here has."""
    return json.dumps(value, ensure_ascii=False)


def describe(
    source: models.Source,
    *,
    uri: str | None = None,
    preset_name: str | None = None,
    out: Path | None = None,
    sheet: Path | None = None,
    force: bool = False,
) -> Contract:
    """Find the contract of a model out, and write it as TOML, and a picture of what the model sees.

    Args:
        uri: Data that gives labels and decides how images are scaled.
        preset_name: How they are scaled.
        out: Where the TOML goes; `sheet` where the picture goes, which needs `uri`.

    Raises:
        ConfigError: A file exists already, or the model takes or gives what no task reads.
    """
    if sheet is not None and uri is None:
        raise ConfigError("a picture of what the model sees needs images", hint="give --data")
    for path in (out, sheet):
        if path is not None:
            check_output(path, force=force)
    dataset = data.open_dataset(uri) if uri is not None else None
    opened = model_file(source.path)
    if opened.is_keras or opened.format not in ("tflite", "onnx") or opened.takes_channels_first:
        found = contract_of(models.load(source), dataset=dataset, preset_name=preset_name)
    else:
        found = contract_of_file(opened, dataset=dataset, preset_name=preset_name)
    if out is not None:
        with atomic_path(out) as partial:
            partial.write_text(toml_of(found), encoding="utf-8")
    if sheet is not None and dataset is not None:
        with atomic_path(sheet) as partial:
            picture(found.spec, dataset).save(partial, format="PNG")
    return found


def picture(spec: ModelSpec, dataset: Dataset) -> Any:
    """Return a Pillow image of what the first input sees of eight samples: resized and scaled as the contract says.

    Raises:
        ConfigError: The input takes no image.
    """
    only = spec.inputs[0]
    if only.preprocessing is None:
        raise ConfigError(f"input '{only.name}' takes numbers, so there is nothing to draw", hint="leave --picture out")
    part = some_of(dataset)
    part = part.take(np.unique(np.linspace(0, len(part) - 1, 8).astype(np.int64)))
    seen = replace(part, images=_Seen([_seen(part.image(place), only) for place in range(len(part))]))
    return data.contact_sheet(dataset, seen, rows=2, columns=4)


class _Seen(list[Any]):
    """Images in memory, as a split wants them."""

    def digest(self, index: int) -> bytes:
        """Return the sha256 of an image's pixels."""
        return hashlib.sha256(self[index].tobytes()).digest()


def _seen(image: np.ndarray[Any, Any], only: InputSpec) -> np.ndarray[Any, Any]:
    """Return an input tensor as uint8 RGB: its range from black to white, blue first put back last."""
    low, high = only.range or (0.0, 1.0)
    tensor = preprocess(image, only)[0]
    pixels = np.clip((tensor - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    if only.preprocessing is not None and only.preprocessing.color == "bgr":
        pixels = pixels[..., ::-1]
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
