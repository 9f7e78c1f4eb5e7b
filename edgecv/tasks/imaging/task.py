"""Pictures by the protocol of tasks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Mapping, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, UnsupportedModelError
from edgecv.tasks import drawing, sampling
from edgecv.tasks.base import BaseTask, paired
from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.contradiction import Contradiction
from edgecv.tasks.description import Description, measured
from edgecv.tasks.frame import Frame
from edgecv.tasks.imaging.likeness import PEAK, Likeness, likeness, psnr
from edgecv.tasks.imaging.prediction import Picture, as_colors
from edgecv.tasks.learning import TrainingTask
from edgecv.values.scores import Drop, Metric, Scores
from edgecv.values.specs import Head

Array = NDArray[Any]

CHANNELS = (1, 3)
FAR = 2.0
"""Ranges by which answers lie beyond black and white, where these are surely others."""


@dataclass(frozen=True)
class ImagingSettings:
    """What the task knows of a head.

    Attributes:
        low: The output's value of black.
        high: Of white; above `low`.
        scale: How many times higher and wider than the image the picture is.
    """

    low: float = 0.0
    high: float = 1.0
    scale: int = 1

    def __post_init__(self) -> None:
        if not (np.isfinite([self.low, self.high]).all() and self.low < self.high):
            raise ConfigError(f"low must be below high, both finite, got {self.low} and {self.high}")
        if self.scale < 1:
            raise ConfigError(f"scale must be 1 or more, got {self.scale}")


class ImagingTask(BaseTask):
    """A picture for each image, judged by its structural similarity to the one it should be.

    The output is (h, w, 1), gray, or (h, w, 3), RGB, "linear" between `low` and `high`. A truth is a picture too, uint8
    (H, W) or (H, W, 3), of the image's size times `scale`.
    """

    name = "imaging"
    metric = Metric("ssim")
    reads: Tuple[str, ...] = ("imaging",)
    labelled = False
    named: Tuple[str, str] = ("picture", "pictures")
    exclusive = False
    truth_settings: Tuple[str, ...] = ("scale",)
    figure_help: Mapping[str, str] = MappingProxyType(
        {
            "psnr": "peak signal-to-noise ratio in dB, the mean over pictures; one without any error counts as if one "
            "value were a level off",
            "rmse": "root of the mean squared error, in levels of 0..255",
            "least_ssim": "structural similarity of the picture that is least like its truth",
        }
    )
    Settings: type = ImagingSettings

    def check(self, head: Head, shapes: Sequence[Tuple[int, ...]]) -> None:
        self.settings(head)
        shape = tuple(shapes[0]) if len(shapes) == 1 else ()
        if head.activation != "linear" or len(shape) != 4 or shape[3] not in CHANNELS:
            told = ", ".join(map(str, shapes)) or "no shape"
            raise UnsupportedModelError(
                f"head '{head.name}' (imaging) cannot read outputs of {told}, {head.activation}",
                hint='it takes one output (n, h, w, 1) or (n, h, w, 3) of activation "linear", whose values of black '
                "and white are the settings low and high",
            )

    def decode(self, outputs: Sequence[Array], head: Head, frame: Optional[Frame] = None) -> Picture:
        settings = self.settings(head)
        values = np.asarray(outputs[0], np.float32)
        grid = sampling.image_in_output(_enlarged(frame, settings.scale), (values.shape[0], values.shape[1]))
        if not sampling.inside(grid).all():
            raise UnsupportedModelError(
                f"head '{head.name}' (imaging) answers for a part of the image only, since its input is cropped",
                hint='let the contract resize by "stretch" or "letterbox"',
            )
        return Picture(as_colors(_levels(sampling.bilinear(values, grid), settings)))

    def evidence(self, truth: Any, prediction: Picture, head: Head) -> Likeness:
        right = as_colors(np.asarray(truth))
        if right.shape != prediction.pixels.shape:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (right.shape, prediction.pixels.shape)]
            raise DataError(
                f"the true picture has {sizes[0]} pixels, that of head '{head.name}' {sizes[1]}",
                hint="a true picture is as large as its image, times the head's scale",
            )
        return likeness(right, prediction.pixels)

    def score(self, evidence: Sequence[Likeness], head: Head) -> Scores:
        if not evidence:
            raise DataError(f"head '{head.name}' has no pictures to judge", hint="evaluate on one sample or more")
        values = [each.ssim for each in evidence]
        figures = {
            "psnr": float(np.mean([psnr(each.mse, each.values) for each in evidence])),
            "rmse": float(np.sqrt(np.mean([each.mse for each in evidence]))),
            "least_ssim": float(min(values)),
        }
        return Scores(float(np.mean(values)), figures, {})

    def drop(self, base: Sequence[Likeness], candidate: Sequence[Likeness], head: Head) -> Drop:
        n = paired(base, candidate)
        first, second = (np.array([each.ssim for each in one]) for one in (base, candidate))
        return bootstrap_drop(lambda rows: rows @ first / n, lambda rows: rows @ second / n, n, self.metric)

    def difference(
        self, base: Sequence[Array], own: Sequence[Array], head: Head, size: Tuple[int, ...]
    ) -> Tuple[float, str]:
        first, second = (self.decode(outputs, head).pixels for outputs in (base, own))
        found = likeness(first, second)
        return 1.0 - found.ssim, (
            f"The pictures' structural similarity is {found.ssim:.3f}; {psnr(found.mse, found.values):.1f} dB."
        )

    def contradiction(self, answers: Sequence[Array], head: Head, step: float = 0.0) -> Optional[Contradiction]:
        """Return a warning where answers lie far beyond black and white: the settings are those of another range."""
        settings = self.settings(head)
        low, high = float(answers[0].min()), float(answers[0].max())
        slack = FAR * (settings.high - settings.low) + step
        if settings.low - slack <= low and high <= settings.high + slack:
            return None
        return Contradiction(
            f"head '{head.name}' is said to give {settings.low:g} for black and {settings.high:g} for white, and the "
            f"model gives {low:.3g} to {high:.3g}",
            "say in the head's settings which values are black (low) and white (high)",
            False,
        )

    def as_truth(self, prediction: Picture, head: Head) -> Array:
        return np.ascontiguousarray(prediction.pixels)

    def check_truth(self, truth: Any, head: Head, where: str) -> None:
        pixels = np.asarray(truth)
        if pixels.dtype != np.uint8 or not pixels.size or not (pixels.ndim == 2 or pixels.shape[2:] == (3,)):
            raise DataError(
                f"{where}: a true picture must be uint8 (height, width) or (height, width, 3), got {pixels.dtype} "
                f"{pixels.shape}",
                hint="store the picture as an 8-bit image",
            )

    def synthetic(self, rng: np.random.Generator, head: Head, size: Tuple[int, ...]) -> Array:
        """Return a gradient in each channel with some noise, uint8 (H, W, 3)."""
        scale = self.settings(head).scale
        rows, columns = np.linspace(-1, 1, size[0] * scale), np.linspace(-1, 1, size[1] * scale)
        slopes = rng.uniform(-50, 50, (2, 3))
        levels = 128 + rows[:, None, None] * slopes[0] + columns[None, :, None] * slopes[1]
        noisy: Array = levels + rng.normal(0, 4, levels.shape)
        return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)

    def describe(self, truths: Sequence[Any], labels: Tuple[str, ...]) -> Description:
        """Return how bright the true pictures are, and how much their pixels differ, in levels."""
        pixels = [np.asarray(truth, np.float64) for truth in truths]
        return measured({"brightness": [one.mean() for one in pixels], "contrast": [one.std() for one in pixels]})

    def render(self, image: Array, prediction: Any, truth: Any, labels: Tuple[str, ...]) -> Any:
        given = {"image": image, "truth": truth, "made": None if prediction is None else prediction.pixels}
        shown = {title: np.asarray(pixels) for title, pixels in given.items() if pixels is not None}
        return drawing.beside([drawing.canvas(pixels)[0] for pixels in shown.values()], list(shown))

    def training(self, head: Head) -> TrainingTask:
        from edgecv.tasks.imaging.training import ImagingTraining

        return ImagingTraining.of(head, self.settings(head))


def _levels(values: Array, settings: ImagingSettings) -> Array:
    """Values of black to white as uint8."""
    levels = (values - settings.low) * (PEAK / (settings.high - settings.low))
    return np.clip(np.rint(levels), 0, PEAK).astype(np.uint8)


def _enlarged(frame: Optional[Frame], scale: int) -> Optional[Frame]:
    """The frame of an image `scale` times as large, in the same input."""
    if frame is None or scale == 1:
        return frame
    (a, b, c), (d, e, f) = frame.matrix
    matrix = ((a / scale, b / scale, c), (d / scale, e / scale, f))
    return replace(frame, size=(frame.size[0] * scale, frame.size[1] * scale), matrix=matrix)
