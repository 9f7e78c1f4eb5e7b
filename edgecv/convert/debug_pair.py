"""A float file and its int8 twin for looking at, not for shipping: nothing judges how well they answer.

`convert` writes no file whose answers are far from the model's; finding out why they are needs that file.
"""

from __future__ import annotations

from pathlib import Path

from edgecv.convert.check import samples
from edgecv.convert.embed import embed_tflite
from edgecv.convert.freeze import freeze
from edgecv.convert.layers import layer_map
from edgecv.convert.tflite import converter as tflite
from edgecv.convert.tflite import ranges
from edgecv.core import codec
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset
from edgecv.graphs import read_tflite
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import output_names
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.profiles import CalibrationRecipe


def draft(
    source: LoadedModel,
    folder: Path,
    *,
    calibration: CalibrationRecipe,
    dataset: Dataset,
    seed: int = 0,
    reporter: Reporter = QUIET,
) -> tuple[Path, Path]:
    """Write "float32.tflite" and "int8.tflite" of a float keras model into a folder, with their layer maps.

    Args:
        source: With its spec.
        folder: Exists; files in it are replaced.
        calibration: How the int8 file's ranges are found.
        dataset: Calibration takes its training split.
        seed: Of the samples.
        reporter: Gets progress.

    Returns:
        The paths of the float32 and of the int8 file.

    Raises:
        UnsupportedModelError: The model has a dynamic shape.
        ConversionError: The converter or the quantiser failed.
        DataError: An activation is not finite.
    """
    spec, frozen = source.require_spec(), freeze(source.model)
    plain = tflite.convert_float(frozen, "float32")
    given, total = samples.calibration_inputs(dataset, calibration, spec, seed)
    places = bind_inputs(spec, frozen.input_names, spec.name)
    inputs = (in_order(sample, places) for sample in given)
    layers = ranges.tensor_layers(plain, source.model)
    found = ranges.observe(plain, inputs, calibration, reporter=reporter, total=total, layers=layers)
    known = in_order([only.range for only in spec.inputs], places)
    found |= {i: one for i, one in zip(ranges.input_indices(plain), known, strict=True) if one is not None}
    per_channel = calibration.granularity == "per_channel"
    stored = ranges.quantize(plain, found, io_dtype="int8", per_channel=per_channel, name=spec.name)
    paths = folder / "float32.tflite", folder / "int8.tflite"
    for path, data in zip(paths, (plain, stored), strict=True):
        path.write_bytes(_described(data, path.stem, source, frozen.input_names, calibration))
    return paths


def _described(
    data: bytes, scheme: str, source: LoadedModel, input_names: tuple[str, ...], calibration: CalibrationRecipe
) -> bytes:
    graph = read_tflite(data)
    names = [graph.outputs_of(op)[0].name for op in graph.ops]
    manifest = Manifest(
        spec=source.require_spec(),
        format="tflite",
        scheme="int8" if scheme == "int8" else "float32",
        method="ptq" if scheme == "int8" else "none",
        layer_map=layer_map(graph, names, source.model),
        provenance=Provenance(
            recipe={"step": "draft", "calibration": codec.encode(calibration)}, tools={}, source_sha256=source.sha256
        ),
    )
    return embed_tflite(tflite.name_boundary(data, input_names, output_names(source.model)), manifest)
