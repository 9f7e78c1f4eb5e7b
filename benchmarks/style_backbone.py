"""Train the small network whose features style transfer takes where there are no weights of VGG19.

    python benchmarks/style_backbone.py --out edgecv/train/style/texture_net.npz

It learns to tell twelve kinds of textures apart, and the mean and spread of their colours. All are made here: stripes,
checks, dots, rings, bricks, waves, hatching, blobs, gradients, fine and coarse noise, and the bundled scenes of digits,
in random colours, sizes and directions. No photograph and no download is needed. Then each layer's weights are scaled
so that its mean activation over these textures is 1, as Gatys et al. (2016, section 2) scale VGG's, kept as float16.
The same command gives the same file on the same machine; it takes two minutes of two cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.files import atomic_path
from edgecv.data import open_dataset
from edgecv.data.dataset import Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.modelio import env
from edgecv.train import TrainRecipe, train
from edgecv.train.style.backbones import texture_net
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing

SIDE = 48
COUNTS = {"train": 3600, "validation": 480, "test": 480}
COLORS = ("red", "green", "blue", "spread of red", "spread of green", "spread of blue")
Random = np.random.RandomState
Array = np.ndarray[Any, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=14)
    options = parser.parse_args()
    env.seed_everything(0)
    dataset, layers = textures(), env.keras().layers
    body = texture_net(trained=False)
    image = env.keras().Input((SIDE, SIDE, 3), name="image")
    x = layers.GlobalAveragePooling2D()(body(image))
    ends = [layers.Dense(len(KINDS), activation="softmax", name="kind")(x), layers.Dense(6, name="colors")(x)]
    model = env.keras().Model(image, ends)
    preprocessing = Preprocessing("rgb", mean=(127.5,) * 3, std=(127.5,) * 3)
    spec = ModelSpec(
        name="texture_net",
        variant="canonical",
        inputs=(InputSpec("image", (SIDE, SIDE, 3), preprocessing),),
        heads=(
            Head("kind", "classification", "probabilities", tuple(KINDS)),
            Head("colors", "regression", "linear", COLORS),
        ),
    )
    # Decay keeps filters smooth: a style network would otherwise please them with noise that nobody sees as style.
    recipe = TrainRecipe(
        epochs=options.epochs, learning_rate=2e-3, batch_size=48, optimizer="adamw", weight_decay=0.02,
        head_weights={"colors": 20.0},
    )  # fmt: skip
    done = train(model, spec, dataset, recipe)
    scaled(body, dataset.split("validation"))
    arrays = {weight.name.partition(":")[0]: weight.numpy().astype(np.float16) for weight in body.weights}
    with atomic_path(options.out) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    told = {"validation_top1": done.best_value, "bytes": options.out.stat().st_size, "weights": body.count_params()}
    print(json.dumps(told))


def scaled(model: Any, split: Split) -> None:
    """Scale each layer so that its mean activation is 1; what the network gives then is a multiple of what it gave."""
    pictures = np.stack([split.image(index) for index in range(len(split))]) / np.float32(127.5) - np.float32(1.0)
    before = 1.0
    for layer in (layer for layer in model.layers if layer.weights):
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel / before, bias])
        mean = float(np.mean(env.keras().Model(model.input, layer.output).predict(pictures, verbose=0)))
        # Positive factors pass a ReLU, so the next layer's input grows by as much.
        layer.set_weights([kernel / before / mean, bias / mean])
        before = 1.0


def textures() -> Dataset:
    scenes = open_dataset("scenes")
    splits = {}
    for place, (name, count) in enumerate(COUNTS.items()):
        rng = Random(place)
        kinds = np.arange(count) % len(KINDS)
        pictures = np.stack([picture(list(KINDS)[kind], rng, scenes.split(name)) for kind in kinds])
        levels = pictures.reshape(count, -1, 3) / 255.0
        colors = np.concatenate([levels.mean(axis=1), levels.std(axis=1)], axis=1).astype(np.float32)
        images = ArrayImages(pictures, np.arange(count))
        splits[name] = Split(name=name, images=images, targets=(kinds.astype(np.int64), colors))
    targets = (
        Target(name="kind", task="classification", labels=tuple(KINDS)),
        Target(name="colors", task="regression", labels=COLORS),
    )
    return Dataset(name="textures", uri="textures", targets=targets, splits=splits)


def picture(kind: str, rng: Random, scenes: Split) -> Array:
    """Return a texture of a kind in random colours, uint8 (48, 48, 3)."""
    if kind == "digits":
        corner = rng.randint(64 - SIDE + 1, size=2)
        level = scenes.image(rng.randint(len(scenes)))[corner[0] :, corner[1] :][:SIDE, :SIDE] / 255.0
    else:
        angle, y, x = rng.uniform(0, np.pi), *np.mgrid[:SIDE, :SIDE].astype(np.float64)
        u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        level = KINDS[kind](u, v, rng)
    level = (level - level.min()) / max(1e-6, np.ptp(level))
    dark, light = rng.uniform(0, 255, (2, 3))
    if np.abs(dark - light).sum() < 120:
        light = 255 - light
    colored = dark + level[..., None] * (light - dark)
    return np.clip(np.rint(colored + rng.normal(0, 6, colored.shape)), 0, 255).astype(np.uint8)


def smooth(rng: Random, sigma: float) -> Array:
    """Noise whose grain is about `sigma` pixels."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None]
    spectrum = np.fft.fft2(rng.standard_normal((SIDE, SIDE))) * np.exp(-2 * (np.pi * sigma) ** 2 * (fy**2 + fx**2))
    return np.real(np.fft.ifft2(spectrum))


def period(rng: Random) -> float:
    return float(rng.uniform(4, 14))


def stripes(u: Array, v: Array, rng: Random) -> Array:
    return np.where((u / period(rng)) % 1 < rng.uniform(0.3, 0.7), 1.0, 0.0)


def checks(u: Array, v: Array, rng: Random) -> Array:
    size = period(rng)
    return (np.floor(u / size) + np.floor(v / size)) % 2


def dots(u: Array, v: Array, rng: Random) -> Array:
    size = period(rng) + 2
    du, dv = u % size - size / 2, v % size - size / 2
    return np.where(du**2 + dv**2 < (size * rng.uniform(0.25, 0.4)) ** 2, 1.0, 0.0)


def rings(u: Array, v: Array, rng: Random) -> Array:
    centre = rng.uniform(-10, 50, 2)
    return np.sin(2 * np.pi * np.hypot(u - centre[0], v - centre[1]) / period(rng))


def bricks(u: Array, v: Array, rng: Random) -> Array:
    height, joint = period(rng) + 2, rng.uniform(1.0, 2.5)
    row = np.floor(v / height)
    along = (u + (row % 2) * height) % (2 * height)
    return np.where((v % height < joint) | (along < joint), 0.0, 0.7 + 0.3 * np.sin(row * 12.9898))


def waves(u: Array, v: Array, rng: Random) -> Array:
    bend = rng.uniform(2, 6) * np.sin(2 * np.pi * v / (3 * period(rng)))
    return np.sin(2 * np.pi * (u + bend) / period(rng))


def hatching(u: Array, v: Array, rng: Random) -> Array:
    size = period(rng)
    return np.maximum(np.where((u / size) % 1 < 0.25, 1.0, 0.0), np.where((v / size) % 1 < 0.25, 0.8, 0.0))


def blobs(u: Array, v: Array, rng: Random) -> Array:
    return np.where(smooth(rng, rng.uniform(1.5, 4)) > 0, 1.0, 0.0)


def gradient(u: Array, v: Array, rng: Random) -> Array:
    return u + 0.02 * rng.uniform(-1, 1) * v**2


def fine_noise(u: Array, v: Array, rng: Random) -> Array:
    return np.asarray(rng.standard_normal(u.shape))


def coarse_noise(u: Array, v: Array, rng: Random) -> Array:
    return smooth(rng, rng.uniform(1.5, 5))


KINDS: dict[str, Any] = {
    "stripes": stripes,
    "checks": checks,
    "dots": dots,
    "rings": rings,
    "bricks": bricks,
    "waves": waves,
    "hatching": hatching,
    "blobs": blobs,
    "gradient": gradient,
    "fine noise": fine_noise,
    "coarse noise": coarse_noise,
    "digits": None,
}


if __name__ == "__main__":
    main()
