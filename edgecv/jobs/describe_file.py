"""The contract of a .tflite or .onnx from elsewhere: what its tensors, its operators and its answers to noise tell."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.data import Dataset
from edgecv.graphs import Graph, ends_in
from edgecv.jobs.contract import Contract
from edgecv.modelio.contract import labels_beside, plain_name, recognised_output
from edgecv.modelio.model_file import ModelFile
from edgecv.runtime.apart_session import ApartSession
from edgecv.runtime.input_range import held_by, misfit
from edgecv.runtime.tensors import completed, random_input, to_real
from edgecv.tasks.recognised import RecognisedHead, Seen
from edgecv.tasks.registry import TASKS
from edgecv.values.manifest import TensorInfo
from edgecv.values.presets import PRESETS, preset
from edgecv.values.specs import Head, InputSpec, ModelSpec

Array = np.ndarray[Any, Any]

NOISE = 4
"""Samples of noise that a file is asked about."""


def contract_of_file(
    opened: ModelFile, *, dataset: Dataset | None = None, preset_name: str | None = None, seed: int = 0
) -> Contract:
    """Return the contract of a file that edgecv did not write, as far as it tells.

    Args:
        opened: A .tflite or .onnx.
        dataset: Gives labels.
        preset_name: How images are scaled, where its inputs do not say it.
        seed: Of the noise that it is asked about, in a process of its own.

    Raises:
        ConfigError: An input is no image of 1 or 3 channels in the last axis and no vector; or there is no such preset.
        CrashError, UnsupportedModelError, DeviceError: It cannot be run.
    """
    with contextlib.closing(ApartSession(opened.path, {})) as session:
        infos = completed(session.inputs, opened.manifest.inputs if opened.manifest else ())
        known: list[str] = []
        guessed: list[str] = []
        inputs, open_ = _inputs(infos, preset_name, known, guessed)
        seen = _seen(session, opened.graph, seed)
    size = inputs[0].shape[:2] if inputs[0].preprocessing is not None else ()
    whole = _whole(seen, size, opened, dataset) if size else None
    if whole is None:
        heads = tuple(_each(one, opened if len(seen) == 1 else None, known, guessed) for one in seen)
        spec = ModelSpec(name=plain_name(opened.path), inputs=inputs, heads=heads)
        return Contract(spec=spec, known=tuple(known), guessed=tuple(guessed), open=open_)
    head, found = whole
    spec = ModelSpec(name=plain_name(opened.path), inputs=_shown(inputs, found), heads=(head,))
    return Contract(
        spec=spec, known=(*known, *found.known), guessed=(*guessed, *found.guessed), open=open_,
        ask={head.name: dict(found.ask)},
    )  # fmt: skip


def _shown(inputs: tuple[InputSpec, ...], found: RecognisedHead) -> tuple[InputSpec, ...]:
    """Return the inputs with images shown to the first as such a head's network most likely saw them."""
    first = inputs[0].preprocessing
    assert first is not None
    settings = replace(first, resize=found.resize, pad_value=found.pad_value)
    return (replace(inputs[0], preprocessing=settings), *inputs[1:])


def _inputs(
    infos: Sequence[TensorInfo], preset_name: str | None, known: list[str], guessed: list[str]
) -> tuple[tuple[InputSpec, ...], tuple[str, ...]]:
    """Return the inputs, and the presets between which nothing decides."""
    found: list[InputSpec] = []
    open_: tuple[str, ...] = ()
    for info in infos:
        shape = tuple(info.shape[1:])
        if len(shape) == 1:
            found.append(InputSpec("features" if len(infos) == 1 else info.name, shape))
            known.append(f"input '{info.name}' takes {shape[0]} numbers")
            continue
        if len(shape) != 3 or shape[-1] not in (1, 3):
            raise ConfigError(
                f"input '{info.name}' of shape {info.shape} is no image of 1 or 3 channels in the last axis, and no "
                "vector",
                hint="export it with channels last; docs/specs.md shows how a contract is written",
            )
        name = "image" if len(infos) == 1 else info.name
        fitting = _fitting(info, shape) if preset_name is None else (preset_name,)
        if preset_name is not None:
            known.append(f"pixels {PRESETS.get(preset_name, '')}: as you say")
        elif len(fitting) == 1:
            known.append(f"pixels {PRESETS[fitting[0]]}: input '{info.name}' holds that by its quantisation")
        else:
            open_ = fitting
            guessed.append(f"pixels {PRESETS[fitting[0]]}: nothing in the file says how they are scaled")
        found.append(InputSpec(name, shape, preset(fitting[0], shape[-1])))
    return tuple(found), open_


def _fitting(info: TensorInfo, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return the presets whose images an input can hold, the likeliest first; all of an input of floats."""
    names = ("unit", "raw", "imagenet-tf", *(("imagenet-torch", "imagenet-caffe") if shape[-1] == 3 else ()))
    held = held_by(info)
    if held is None:
        return names
    fits = tuple(name for name in names if misfit(InputSpec("image", shape, preset(name, shape[-1])), held) is None)
    return fits or names


def _seen(session: ApartSession, graph: Graph, seed: int) -> list[Seen]:
    """Return every output with what it answers to noise."""
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(NOISE):
        noise = [random_input(info.shape, info.dtype, rng) for info in session.inputs]
        answers.append([to_real(raw, info) for raw, info in zip(session.run(noise), session.outputs, strict=True)])
    columns = [np.concatenate(column) for column in zip(*answers, strict=True)]
    by_name = {graph.tensors[index].name: ends_in(graph, index) for index in graph.outputs}
    kinds = [by_name.get(info.name, ("linear", 0)) for info in session.outputs]
    rows = zip(session.outputs, kinds, columns, strict=True)
    return [Seen(info.name, kind, place, values) for info, (kind, place), values in rows]


def _whole(
    seen: Sequence[Seen], size: tuple[int, ...], opened: ModelFile, dataset: Dataset | None
) -> tuple[Head, RecognisedHead] | None:
    """Return the one head of all outputs, with labels where their number fits."""
    for _, task in TASKS:
        found = task.recognise_outputs(seen, size, 0)
        if found is None:
            continue
        labels = labels_beside(opened.path) or _labels_of(found.head, dataset)
        found = task.recognise_outputs(seen, size, len(labels)) or found
        return (found.head if found.ask else replace(found.head, labels=labels)), found
    return None


def _each(one: Seen, opened: ModelFile | None, known: list[str], guessed: list[str]) -> Head:
    """Return the head of one output by itself."""
    head, sentence, sure = recognised_output(tuple(one.values.shape[1:]), one.ends_in, one.name)
    (known if sure else guessed).append(sentence)
    labels = labels_beside(opened.path, one.values.shape[-1]) if opened is not None else ()
    if labels:
        known.append(f"{len(labels)} labels from a file beside the model")
    return replace(head, labels=labels)


def _labels_of(head: Head, dataset: Dataset | None) -> tuple[str, ...]:
    found = [target.labels for target in dataset.targets if target.task == head.task] if dataset is not None else []
    return found[0] if len(found) == 1 else ()
