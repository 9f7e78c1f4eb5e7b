"""Post-training quantisation to int8 by other tools, as their documentation shows it; `quantisers.py` calls this.

    python benchmarks/stock_quantisers.py tflite MODEL.keras --data npz:cifar10.npz --out stock.tflite

- tflite: `TFLiteConverter.from_keras_model` with a representative data set and integer operators only
  (ai.google.dev, "Post-training quantization", full integer).
- ai-edge-quantizer: its default static recipe, `static_wi8_ai8`, on the stock converter's float file (its README).
- onnxruntime: tf2onnx, then `quant_pre_process` and `quantize_static` with their defaults (onnxruntime.ai, "Quantize
  ONNX models").

Each starts from the trained .keras and sees the same calibration images, preprocessed alike, as edgecv does with its
default recipe.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.convert.check import samples
from edgecv.core.files import atomic_path
from edgecv.jobs import models
from edgecv.modelio import env
from edgecv.values import profiles

Array = np.ndarray[Any, Any]


def by_tflite(model: Any, images: list[Array], out: Path) -> None:
    """Quantise by the stock converter; int8 input and output."""
    tf = env.tensorflow()
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    out.write_bytes(converter.convert())


def by_ai_edge_quantizer(model: Any, images: list[Array], out: Path) -> None:
    """Quantise by ai-edge-quantizer from the stock converter's float file."""
    from ai_edge_quantizer import quantizer, recipe

    data = env.tensorflow().lite.TFLiteConverter.from_keras_model(model).convert()
    tool = quantizer.Quantizer(bytearray(data), recipe.static_wi8_ai8())
    calibration = {"serving_default": [{model.inputs[0].name: image} for image in images]}
    result = tool.quantize(tool.calibrate(calibration))
    assert result.quantized_model is not None
    out.write_bytes(result.quantized_model)


class _Reader:
    """What ONNX Runtime's calibration reads from."""

    def __init__(self, name: str, images: list[Array]) -> None:
        self._feeds: Iterator[dict[str, Array]] = iter([{name: image} for image in images])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._feeds, None)


def by_onnxruntime(model: Any, images: list[Array], out: Path) -> None:
    """Quantise by ONNX Runtime's static quantiser from tf2onnx's file."""
    import tf2onnx
    from onnxruntime.quantization import quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    tf = env.tensorflow()
    name = model.inputs[0].name
    signature = (tf.TensorSpec((1, *model.inputs[0].shape[1:]), tf.float32, name=name),)
    traced = tf.function(lambda image: model(image, training=False), input_signature=signature)
    with tempfile.TemporaryDirectory(prefix="edgecv-stock-") as folder:
        plain, inferred = Path(folder) / "float.onnx", Path(folder) / "inferred.onnx"
        tf2onnx.convert.from_function(traced, input_signature=signature, opset=17, output_path=str(plain))
        quant_pre_process(str(plain), str(inferred), skip_symbolic_shape=True)  # shapes are fixed: nothing to infer
        quantize_static(str(inferred), str(out), _Reader(_input_of(inferred), images))


def _input_of(file: Path) -> str:
    import onnx

    return str(onnx.load(str(file)).graph.input[0].name)


TOOLS: dict[str, Callable[[Any, list[Array], Path], None]] = {
    "tflite": by_tflite,
    "ai-edge-quantizer": by_ai_edge_quantizer,
    "onnxruntime": by_onnxruntime,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tool", choices=TOOLS)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", required=True, help="as edgecv takes it: npz:PATH, folder:PATH, digits")
    parser.add_argument("--spec", type=Path, help="the model's contract, when edgecv did not write it")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    loaded = models.load(models.Source(path=options.model, spec=options.spec))
    manifest = models.require_manifest(loaded)
    dataset = models.open_data(options.data, manifest)
    inputs, _ = samples.calibration_inputs(dataset, profiles.calibration("minmax"), manifest.spec, seed=0)
    with atomic_path(options.out) as partial, contextlib.redirect_stdout(sys.stderr):
        TOOLS[options.tool](loaded.model, [image for (image,) in inputs], partial)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
