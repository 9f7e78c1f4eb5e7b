"""Networks as PyTorch exports them and as the onnx package ships them, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.modelio.boundary import call
from edgecv.modelio.onnx import import_onnx
from tests.modelio.onnx import exported

FAST = ("super_resolution", "unet_transposed", "yolo_v8")
LIGHT = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19",
    "zfnet512",
)  # fmt: skip
WITHOUT_MOVES = ("resnet18", "mobilenet_v2", "unet_aligned", "fpn_resnet18", "convnext_tiny", "efficientnet_b0")


def _kinds(model: object) -> list[str]:
    return [type(layer).__name__ for layer in model.layers]  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", FAST)
def test_small_networks(name: str, tmp_path: Path) -> None:
    found = import_onnx(exported.written(name, tmp_path))
    assert all(one.relative <= 1e-4 for one in found.differences)
    if name == "unet_transposed":
        assert not {"Permute", "TensorFunction"} & set(_kinds(found.model))
        assert found.model.get_layer("down.0.0").kernel.shape == (3, 3, 3, 16)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in exported.NAMES if name not in FAST])
def test_networks(name: str, tmp_path: Path) -> None:
    found = import_onnx(exported.written(name, tmp_path))
    assert all(one.relative <= 1e-4 for one in found.differences)
    if name in WITHOUT_MOVES:
        assert "Permute" not in _kinds(found.model)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_shipped_networks_give_their_shipped_answers(name: str) -> None:
    path = exported.shipped(name)
    found = import_onnx(path)
    shape = tuple(found.model.inputs[0].shape[1:])
    count = int(np.prod(shape))
    image = (np.arange(count).reshape(1, shape[2], *shape[:2]) / count).astype(np.float32)  # as the package's runner
    (got,) = call(found.model, [image.transpose(0, 2, 3, 1)])
    wanted = exported.answer(name).reshape(-1)
    np.testing.assert_allclose(np.asarray(got).reshape(-1), wanted, rtol=1e-3, atol=1e-6 * np.abs(wanted).max())


def test_no_transpose_between_convolutions(tmp_path: Path) -> None:
    from edgecv.convert import convert
    from edgecv.graphs import read_tflite
    from edgecv.jobs.importing import Asked, import_file
    from edgecv.modelio import load_keras

    asked = Asked(source=exported.written("unet_aligned", tmp_path), preset="unit")
    import_file(asked, out=tmp_path / "net.keras")
    out = tmp_path / "net.tflite"
    convert(load_keras(tmp_path / "net.keras"), format="tflite", scheme="float32", out=out)
    kinds = [op.op for op in read_tflite(out).ops]
    assert "CONV_2D" in kinds
    assert "TRANSPOSE" not in kinds
