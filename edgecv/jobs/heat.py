"""Heat maps of a model's answer to an image: which way is taken hangs on what it answers and what file it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import edgecv.compress as compress
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.diagnose import heat_maps
from edgecv.diagnose.views import Sight
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import output_names
from edgecv.report.view_page import Heat
from edgecv.tasks.prediction import Labelled, names
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs

Array = np.ndarray[Any, Any]
EVEN = 0.05
"""Of the largest energy: what places differ by in maps that tell nothing of place."""
Opened = tuple[str, Any, LoadedModel | None]
"""Name, predictor, and the keras model where it is one."""


def heats(
    opened: Sequence[Opened], image: Array, sights: Sequence[Sight], reporter: Reporter = QUIET
) -> tuple[Heat, ...]:
    """Return the heat maps of each model: all about the label that the first one ranks best.

    A head of ranked labels gets occlusion, and of a keras model Grad-CAM too; any other head shows how much the last
    layer with maps answers where.

    Args:
        opened: The models.
        image: The network's input, float32 (1, H, W, C).
        sights: What was seen of the first model's layers.
        reporter: Takes progress.
    """
    label = _best(opened[0][1], image)
    if label is None:
        return _energies(opened, sights)
    found = []
    for name, predictor, loaded in opened:
        values = heat_maps.occlusion(_scorer(predictor, label), image, batch=int(predictor.batch), reporter=reporter)
        fall = float(values.max())
        note = f"Hot: hiding the surroundings lowers the score of '{label}', by {fall:.2g} at most."
        found.append(
            Heat(
                title=f"{name}, occlusion",
                note=note if fall > 0 else f"Hiding parts lowers '{label}' nowhere.",
                values=values,
            )
        )
        cam = None if loaded is None else _grad_cam(loaded, image, label)
        if cam is not None:
            told = f"Hot: maps of layer '{cam[1]}' that raise '{label}', by their gradients."
            found.append(Heat(title=f"{name}, Grad-CAM", note=told, values=cam[0]))
    return tuple(found)


def _prediction(predictor: Any, tensors: Array, index: int = 0) -> Any:
    spec = predictor.spec
    outputs = predictor.run([tensors])
    places = predictor.bound_outputs[0]
    return task_of(spec.head).decode([outputs[place][index] for place in places], spec.head, None)


def _best(predictor: Any, image: Array) -> str | None:
    """Return the best label of the first head; None of a head that does not rank labels, or has a single one."""
    if not getattr(task_of(predictor.spec.head), "exclusive", False) or predictor.spec.head.activation == "linear":
        return None
    found = _prediction(predictor, image)
    return found.label if isinstance(found, Labelled) and len(found) > 1 else None


def _scorer(predictor: Any, label: str) -> Callable[[Array], Array]:
    spec, places = predictor.spec, predictor.bound_outputs[0]

    def score(images: Array) -> Array:
        outputs = predictor.run([images])
        each = (
            task_of(spec.head).decode([outputs[place][index] for place in places], spec.head, None)
            for index in range(len(images))
        )
        return np.array([dict(one.labels)[label] for one in each], np.float64)

    return score


def _grad_cam(loaded: LoadedModel, image: Array, label: str) -> tuple[Array, str] | None:
    try:
        # Of logits: a probability near 1 hardly moves, whatever the maps do.
        ending = compress.at_logits(loaded).loaded
    except (ConfigError, UnsupportedModelError):
        ending = loaded
    spec = ending.require_spec()
    place = bind_outputs(spec, output_names(ending.model), spec.name)[0][0]
    units = int(ending.model.outputs[place].shape[-1])
    single = units == 1  # of the second of two classes; what lowers it speaks for the first
    known = names(spec.head, 2 if single else units)
    if len(known) != (2 if single else units):
        return None
    chosen = known.index(label)
    unit, against = (0, chosen == 0) if single else (chosen, False)
    return heat_maps.grad_cam(ending.model, [image], place, unit, against=against)


def _energies(opened: Sequence[Opened], sights: Sequence[Sight]) -> tuple[Heat, ...]:
    maps = [one for one in sights if one.maps.ndim == 3 and min(one.maps.shape[:2]) > 1]
    telling = [one for one in maps if _varies(heat_maps.energy(one.maps))]
    if not telling:
        return ()
    last = telling[-1]
    pairs = [(opened[0][0], last.maps), *([(opened[1][0], last.other)] if last.other is not None else [])]
    note = f"Hot: the maps of '{last.figures.layer}', the last layer that tells places apart, are large there."
    return tuple(
        Heat(title=f"{name}, activation energy", note=note, values=_above_least(heat_maps.energy(values)))
        for name, values in pairs
    )


def _varies(energy: Array) -> bool:
    """Say whether a layer answers more in some places: a softmax over channels gives the same sum everywhere."""
    return bool(energy.max() - energy.min() > EVEN * energy.max())


def _above_least(energy: Array) -> Array:
    return np.asarray(energy - energy.min())
