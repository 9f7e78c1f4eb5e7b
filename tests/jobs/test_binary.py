"""A model that ends in Dense(1), through calibration, training with quantisation, files and gates' figures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from edgecv import runtime
from edgecv.core.errors import ConfigError
from edgecv.jobs import convert, evaluate, models, verify
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.values.specs import Head, Preprocessing, one_input

LABELS = ("dark", "light")
SIDE, STEEP = 8, 24.0


def pictures(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Noise around a level that is below or above the middle."""
    rng = np.random.default_rng(5)
    truth = np.arange(count) % 2
    level = np.where(truth == 1, 170, 85)[:, None, None]
    return np.clip(level + rng.integers(-60, 61, (count, SIDE, SIDE)), 0, 255).astype(np.uint8), truth


@pytest.fixture(scope="module", params=["probabilities", "logits"])
def made(request, tmp_path_factory):
    """A network whose answer is known: it is the sigmoid of STEEP times the mean pixel's distance from the middle."""
    keras, folder = env.keras(), tmp_path_factory.mktemp("binary")
    image = keras.Input((SIDE, SIDE, 1), name="image")
    sigmoid = "sigmoid" if request.param == "probabilities" else None
    output = keras.layers.Dense(1, activation=sigmoid, name="kind")(keras.layers.Flatten()(image))
    model = keras.Model(image, output)
    model.set_weights([np.full((SIDE * SIDE, 1), STEEP / SIDE**2, np.float32), np.array([-STEEP / 2], np.float32)])
    spec = one_input(
        name="binary", input_shape=(SIDE, SIDE, 1), preprocessing=Preprocessing("gray", mean=(0.0,), std=(255.0,)),
        heads=(Head("kind", "classification", request.param, LABELS),),
    )  # fmt: skip
    save_keras(model, folder / "m.keras", manifest_for(spec, recipe={"step": "test"}))
    x, y = pictures(96)
    parts = {"train": slice(0, 64), "val": slice(64, 80), "test": slice(80, 96)}
    arrays = {f"{key}_{name}": (x, y)[key == "y"][part] for name, part in parts.items() for key in "xy"}
    np.savez(folder / "d.npz", **arrays, class_names=LABELS)
    for index in range(80, 96):
        path = folder / "photos" / LABELS[y[index]] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(x[index]).save(path)
    return folder


def figures(file, data):
    (head,) = evaluate.evaluate_file(file, evaluate.EvaluationRequest(data=data)).heads
    return head.value, head.figures["auc"]


def test_the_float_model(made):
    assert figures(made / "m.keras", f"npz:{made}/d.npz") == (1.0, 1.0)
    assert figures(made / "m.keras", f"folder:{made}/photos") == (1.0, 1.0)


@pytest.mark.parametrize(
    ("name", "method"),
    [("p.tflite", "ptq"), ("p.onnx", "ptq"), pytest.param("q.tflite", "qat", marks=pytest.mark.slow)],
)
def test_int8_files(made, name, method):
    plan = convert.Plan(scheme="int8", method=method, data=f"npz:{made}/d.npz", epochs=1 if method == "qat" else None)
    convert.make(models.Source(path=made / "m.keras"), plan, out=made / name, force=True)
    assert figures(made / name, f"npz:{made}/d.npz") == (1.0, 1.0)
    assert figures(made / name, f"folder:{made}/photos") == (1.0, 1.0)
    assert verify.verify(made / name).passed
    with runtime.load(made / name) as predictor:
        for level in (60, 120, 140, 200):
            found = predictor.predict(np.full((SIDE, SIDE), level, np.uint8))
            p = 1 / (1 + np.exp(-STEEP * (level / 255 - 0.5)))
            assert found.label == LABELS[level > 127]
            assert dict(found.labels)["light"] == pytest.approx(p, abs=0.1 if method == "ptq" else 0.2)
            assert sum(score for _, score in found.labels) == pytest.approx(1)


def test_floats_of_zero_and_one_are_values_and_the_way_out_is_told(made):
    x, y = pictures(16)
    np.savez(made / "floats.npz", x=x, y=y.astype(np.float32))
    with pytest.raises(ConfigError, match="no target for classification") as caught:
        figures(made / "m.keras", f"npz:{made}/floats.npz")
    assert "integers are classes" in caught.value.hint
