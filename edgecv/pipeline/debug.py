"""Finding the layers that make an int8 file worse than the float one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv.evaluate.layer_noise import LayerNoise, layer_noise
from edgecv.pipeline import models
from edgecv.pipeline.assess import open_artifact
from edgecv.progress import QUIET, Reporter
from edgecv.runtime.image import preprocess


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """The noise of every layer of an int8 file, in the order of execution."""

    float_file: str
    int8_file: str
    samples: int
    layers: tuple[LayerNoise, ...]


def noise(
    float_file: Path, int8_file: Path, *, data: str | None = None, samples: int = 64, reporter: Reporter = QUIET
) -> Noise:
    """Compare both files layer by layer on samples of the validation split.

    Raises:
        ConfigError, DataError: The data set is missing or wrong.
        UnsupportedModelError: The files are no .tflite of edgecv, or of different models.
    """
    with open_artifact(float_file) as predictor:
        spec, manifest = predictor.spec, predictor.manifest
    split = models.open_data(data, manifest).split("validation")
    count = min(samples, len(split))
    inputs = (preprocess(split.image(index), spec) for index in range(count))
    layers = layer_noise(float_file, int8_file, inputs, total=count, reporter=reporter)
    return Noise(float_file=str(float_file), int8_file=str(int8_file), samples=count, layers=layers)
