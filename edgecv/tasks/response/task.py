"""Maps of numbers by the protocol of tasks, judged by their mean absolute error."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError, UnsupportedModelError
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.description import Description, measured
from edgecv.tasks.frame import Frame
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.paired import paired_rise
from edgecv.tasks.prediction import names
from edgecv.tasks.response import pictures
from edgecv.tasks.response.geometry import ResponseSettings, map_size, peak_place, window_of
from edgecv.tasks.response.prediction import Peak, Response
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]


class Deviation(NamedTuple):
    """Evidence of one sample, for each map: mean absolute and mean squared error, float64 (labels,), and how far the
    largest value is from where it should be, in values of the map.
    """

    absolute: Array
    squared: Array
    peak: Array


class ResponseTask(BaseTask):
    """Maps. A truth is float32 (H, W, labels) of the output's size, in the network's own units."""

    name = "response"
    metric = Metric("map_mae", unit="label", better="lower")
    reads = ("response",)
    named: Tuple[str, str] = ("map", "maps")
    labels_fixed = False
    exclusive = False
    call_settings = ("answer",)
    unjudged = ("answer",)
    Settings = ResponseSettings
    figure_help: Mapping[str, str] = MappingProxyType(
        {
            "map_mae": "mean absolute error of the values of all maps",
            "map_rmse": "root of their mean squared error",
            "peak_distance": "how far the largest value of a map is from where it should be, in values of the map",
        }
    )

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        for shape in shapes:
            if len(shape) != 4 or (head.labels and shape[-1] != len(head.labels)):
                raise UnsupportedModelError(
                    f"head '{head.name}' has {len(head.labels) or 'some'} maps (1, H, W, maps), its output is {shape}",
                    hint="give the spec one label per map, or another task: see docs/tasks.md",
                )

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Response:
        maps, settings = np.asarray(outputs[0], np.float32), self.settings(head)
        labels = names(head, maps.shape[-1])
        peaks = tuple(_peak(label, maps[..., index], settings, frame) for index, label in enumerate(labels))
        return Response(maps=maps, labels=labels, peaks=peaks, about=settings.answer)

    def evidence(self, truth: Any, prediction: Response, head: Head) -> Deviation:
        exact, found = np.asarray(truth, np.float64), prediction.maps.astype(np.float64)
        if exact.shape != found.shape:
            raise DataError(f"head '{head.name}' gives maps of {found.shape}, the truth is {exact.shape}")
        error = found - exact
        apart = [
            float(np.hypot(*np.subtract(peak.place, peak_place(exact[..., index]))))
            for index, peak in enumerate(prediction.peaks)
        ]
        return Deviation(np.abs(error).mean(axis=(0, 1)), np.square(error).mean(axis=(0, 1)), np.array(apart))

    def score(self, evidence: Sequence[Deviation], head: Head) -> Scores:
        if not evidence:
            raise DataError("there is nothing to score", hint="give a data set with samples")
        absolute, squared, peak = (np.array(column) for column in zip(*evidence))
        value = float(absolute.mean(axis=1).mean())
        each = {
            label: _figures(absolute[:, index], squared[:, index], peak[:, index])
            for index, label in enumerate(names(head, absolute.shape[1]))
        }
        return Scores(value=value, figures={**_figures(absolute, squared, peak), "map_mae": value}, per_label=each)

    def drop(self, base: Sequence[Deviation], candidate: Sequence[Deviation], head: Head) -> Drop:
        paired(base, candidate)
        return paired_rise(*([float(one.absolute.mean()) for one in side] for side in (base, candidate)))

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        maps = np.asarray(truth)
        fits = maps.ndim == 3 and maps.dtype.kind in "fiu" and (not head.labels or maps.shape[-1] == len(head.labels))
        if not fits or not np.isfinite(maps.astype(np.float64)).all():
            raise DataError(
                f"{where}: head '{head.name}' takes finite maps (H, W, {len(head.labels) or 'maps'}), got {maps.dtype} "
                f"of shape {maps.shape}"
            )

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Array:
        shape = (*map_size((size[0], size[1]), self.settings(head)), len(head.labels) or 1)
        return rng.standard_normal(shape).astype(np.float32)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        return measured({label: np.array([np.mean(t[..., i]) for t in truths]) for i, label in enumerate(labels)})

    def told(self, truth: Any, labels: Tuple[str, ...]) -> str:
        maps = np.asarray(truth)
        return f"maps of {maps.shape[0]}x{maps.shape[1]}, {maps.min():.4g} to {maps.max():.4g}"

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        known = labels or tuple(str(index) for index in range(np.shape(prediction.maps if prediction else truth)[-1]))
        given = {"truth": truth, "predicted": None if prediction is None else prediction.maps}
        return pictures.in_a_row(image, {name: (maps, known) for name, maps in given.items() if maps is not None})

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.response.training import ResponseTraining

        return ResponseTraining(head)


def _peak(label: str, values: Array, settings: ResponseSettings, frame: Optional[Frame]) -> Peak:
    """Return the peak of a map; without a frame its window is in input pixels of an input without padding."""
    place = peak_place(values)
    if frame is None:
        rows, columns = values.shape
        size = (rows * settings.stride, columns * settings.stride)
        x1, y1, x2, y2 = window_of(place, size, settings)
    else:
        corners = window_of(place, frame.input_size, settings)
        (x1, y1), (x2, y2) = frame.to_image(np.reshape(corners, (2, 2))).tolist()
    return Peak(label=label, value=float(values[place]), place=place, xyxy=(x1, y1, x2, y2))


def _figures(absolute: Array, squared: Array, peak: Array) -> Dict[str, float]:
    found: List[float] = [float(absolute.mean()), float(np.sqrt(squared.mean())), float(peak.mean())]
    return dict(zip(("map_mae", "map_rmse", "peak_distance"), found))
