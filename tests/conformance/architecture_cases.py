"""Twenty networks as people build them in Keras 3, at sizes that convert in seconds, with weights that are not trained.

Segmentation, super-resolution, denoising, enhancement, style, key points, detection, attention, recurrent text
recognition, embeddings. Each answers with whatever it gives: maps, boxes, vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tests.conformance.layer_cases import Case, L, keras, ops


@dataclass(frozen=True)
class Architecture(Case):
    """A whole network: its outputs are the answers, of any shape."""

    task: ClassVar[tuple[str, str]] = ("regression", "linear")

    def graph(self) -> Any:
        image = keras.Input(self.image, name="image")
        return keras.Model(image, L.Identity(name="answer")(self.make(image)))


def conv(x: Any, filters: int, size: int = 3, strides: int = 1, act: str | None = "relu", **more: Any) -> Any:
    x = L.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, **more)(x)
    x = L.BatchNormalization()(x)
    return L.Activation(act)(x) if act else x


def unet(x: Any) -> Any:
    """U-Net (Ronneberger et al. 2015) with transposed convolutions."""
    skips = []
    for width in (8, 16, 32):
        x = conv(conv(x, width), width)
        skips.append(x)
        x = L.MaxPooling2D()(x)
    x = L.Dropout(0.3)(conv(x, 64))
    for width, skip in zip((32, 16, 8), reversed(skips), strict=True):
        x = L.concatenate([L.Conv2DTranspose(width, 2, strides=2, padding="same")(x), skip])
        x = conv(conv(x, width), width)
    return L.Conv2D(3, 1, activation="softmax")(x)


def deeplab(x: Any) -> Any:
    """DeepLabV3+ (Chen et al. 2018) as in keras.io's example: dilated spatial pyramid pooling, bilinear upsampling."""
    low = conv(conv(x, 8, strides=2), 12, strides=2)
    deep = conv(conv(low, 24, strides=2), 32)
    size = deep.shape[1]
    pooled = conv(L.AveragePooling2D((size, size))(deep), 16, 1)
    pooled = L.UpSampling2D((size, size), interpolation="bilinear")(pooled)
    pyramid = [pooled, *(conv(deep, 16, 3 if rate > 1 else 1, dilation_rate=rate) for rate in (1, 2, 4))]
    x = L.UpSampling2D(2, interpolation="bilinear")(conv(L.Concatenate()(pyramid), 16, 1))
    x = conv(conv(L.Concatenate()([x, conv(low, 8, 1)]), 16), 16)
    return L.Conv2D(4, 1, padding="same")(L.UpSampling2D(4, interpolation="bilinear")(x))


def espcn(x: Any) -> Any:
    """ESPCN (Shi et al. 2016): sub-pixel convolution by `depth_to_space`."""
    x = L.Conv2D(24, 5, padding="same", activation="tanh", kernel_initializer="orthogonal")(x)
    x = L.Conv2D(16, 3, padding="same", activation="tanh")(x)
    return ops.depth_to_space(L.Conv2D(3 * 9, 3, padding="same")(x), 3)


def edsr(x: Any) -> Any:
    """EDSR (Lim et al. 2017): residual blocks without batch normalisation, scaled and shuffled up."""
    x = L.Rescaling(1 / 255.0)(x)
    head = x = L.Conv2D(16, 3, padding="same")(x)
    for _ in range(3):
        x = x + 0.1 * L.Conv2D(16, 3, padding="same")(L.Conv2D(16, 3, padding="same", activation="relu")(x))
    x = L.Conv2D(64, 3, padding="same")(x + head)
    x = L.Conv2D(3, 3, padding="same")(ops.depth_to_space(x, 2))
    return ops.clip(x * 255.0, 0.0, 255.0)


def dncnn(x: Any) -> Any:
    """DnCNN (Zhang et al. 2017): the noise is subtracted."""
    y = L.Conv2D(16, 3, padding="same", activation="relu")(x)
    for _ in range(4):
        y = conv(y, 16)
    return x - L.Conv2D(3, 3, padding="same")(y)


def autoencoder(x: Any) -> Any:
    """A convolutional denoiser of documents: pooling down, UpSampling2D up, sigmoid out."""
    x = L.MaxPooling2D()(L.Conv2D(32, 3, activation="relu", padding="same")(x))
    x = L.MaxPooling2D()(L.Conv2D(16, 3, activation="relu", padding="same")(x))
    x = L.UpSampling2D()(L.Conv2D(16, 3, activation="relu", padding="same")(x))
    x = L.UpSampling2D()(L.Conv2D(32, 3, activation="relu", padding="same")(x))
    return L.Conv2D(1, 3, activation="sigmoid", padding="same")(x)


def zero_dce(x: Any) -> Any:
    """Zero-DCE (Guo et al. 2020): curves of eight iterations over the image."""
    one = L.Conv2D(12, 3, padding="same", activation="relu")(x)
    two = L.Conv2D(12, 3, padding="same", activation="relu")(one)
    three = L.Conv2D(12, 3, padding="same", activation="relu")(two)
    curves = L.Conv2D(24, 3, padding="same", activation="tanh")(L.Concatenate()([one, three]))
    for i in range(8):
        x = x + curves[..., 3 * i : 3 * i + 3] * (ops.square(x) - x)
    return x


def style(x: Any) -> Any:
    """Fast style transfer (Johnson et al. 2016): reflection padding, instance normalisation, nearest upsampling."""

    def block(x: Any, filters: int, size: int = 3, strides: int = 1) -> Any:
        pad = size // 2
        x = ops.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)), mode="reflect")
        return L.GroupNormalization(-1)(L.Conv2D(filters, size, strides=strides)(x))

    x = L.ReLU()(block(x, 8, 9))
    x = L.ReLU()(block(x, 16, 3, 2))
    for _ in range(2):
        x = x + block(L.ReLU()(block(x, 16)), 16)
    x = L.ReLU()(block(L.UpSampling2D()(x), 8))
    return (ops.tanh(block(x, 3, 9)) + 1.0) * 127.5


def hourglass(x: Any) -> Any:
    """Stacked hourglass (Newell et al. 2016), one stack: heat maps of key points."""

    def level(x: Any, depth: int) -> Any:
        skip, down = conv(x, 16), conv(L.MaxPooling2D()(x), 16)
        inner = level(down, depth - 1) if depth > 1 else conv(down, 16)
        return L.Add()([skip, L.UpSampling2D()(conv(inner, 16))])

    return L.Conv2D(5, 1)(level(conv(x, 16, 7, 2), 3))


def soft_keypoints(x: Any) -> Any:
    """Key points by soft-argmax (Sun et al. 2018): the expectation of each heat map."""
    x = L.Conv2D(5, 1)(conv(conv(x, 16, strides=2), 24, strides=2))
    size, points = x.shape[1], x.shape[3]
    heat = ops.softmax(ops.reshape(ops.transpose(x, (0, 3, 1, 2)), (-1, points, size * size)) * 5.0, axis=-1)
    heat = ops.reshape(heat, (-1, points, size, size))
    line = np.linspace(0, 1, size, dtype=np.float32)
    return ops.stack([ops.sum(heat * line, (2, 3)), ops.sum(heat * line[:, None], (2, 3))], axis=-1)


def yolo(x: Any) -> Any:
    """A YOLOv8-like detector (Jocher et al. 2023): C2f, SPPF, a decoupled head with distribution focal loss."""

    def c2f(x: Any, width: int) -> Any:
        parts = ops.split(conv(x, width, 1, act="silu"), 2, axis=-1)
        parts.append(parts[-1] + conv(conv(parts[-1], width // 2, act="silu"), width // 2, act="silu"))
        return conv(ops.concatenate(parts, -1), width, 1, act="silu")

    x = c2f(conv(conv(x, 8, 3, 2, "silu"), 16, 3, 2, "silu"), 16)
    fine = x
    x = c2f(conv(x, 32, 3, 2, "silu"), 32)
    pools = [x]
    for _ in range(3):
        pools.append(L.MaxPooling2D(5, 1, padding="same")(pools[-1]))
    x = conv(L.Concatenate()(pools), 32, 1, act="silu")
    fine = c2f(L.Concatenate()([L.UpSampling2D()(x), fine]), 16)
    rows = []
    for level in (fine, x):
        size, stride = level.shape[1], 48 // level.shape[1]
        sides = ops.reshape(L.Conv2D(4 * 8, 1)(conv(level, 16, act="silu")), (-1, size * size, 4, 8))
        sides = ops.sum(ops.softmax(sides, -1) * np.arange(8, dtype=np.float32), -1)
        grid = np.stack(np.meshgrid(*[np.arange(size) + 0.5] * 2), -1).reshape(-1, 2).astype(np.float32)
        first, last = ops.subtract(grid, sides[..., :2]), ops.add(grid, sides[..., 2:])
        scores = ops.sigmoid(ops.reshape(L.Conv2D(3, 1)(conv(level, 16, act="silu")), (-1, size * size, 3)))
        rows.append(ops.concatenate([(first + last) / 2 * stride / 48, (last - first) * stride / 48, scores], -1))
    return ops.concatenate(rows, 1)


def retina(x: Any) -> Any:
    """RetinaNet-like heads that are shared over a feature pyramid (Lin et al. 2017)."""
    c3 = conv(conv(x, 8, strides=2), 16, strides=2)
    c4 = conv(c3, 24, strides=2)
    p4 = L.Conv2D(16, 1)(c4)
    p3 = L.Conv2D(16, 1)(c3) + L.UpSampling2D(2)(p4)
    tower = keras.Sequential([keras.Input((None, None, 16)), L.Conv2D(16, 3, padding="same", activation="relu")])
    scores, boxes = L.Conv2D(2 * 3, 3, padding="same"), L.Conv2D(2 * 4, 3, padding="same")
    rows = []
    for level in (p3, p4):
        y, count = tower(level), 2 * level.shape[1] * level.shape[2]
        both = [ops.reshape(scores(y), (-1, count, 3)), ops.reshape(boxes(y), (-1, count, 4))]
        rows.append(ops.concatenate(both, -1))
    return ops.concatenate(rows, 1)


def vit(x: Any) -> Any:
    """Vision Transformer (Dosovitskiy et al. 2021) as in keras.io's example: patches, positions, pre-norm blocks."""
    x = ops.image.extract_patches(x, (8, 8))
    x = L.Dense(24)(ops.reshape(x, (-1, x.shape[1] * x.shape[2], x.shape[3])))
    x = x + L.Embedding(x.shape[1], 24)(ops.arange(x.shape[1]))
    for _ in range(2):
        y = L.LayerNormalization(epsilon=1e-6)(x)
        x = L.Add()([L.MultiHeadAttention(3, 8)(y, y), x])
        y = L.Dense(48, activation="gelu")(L.LayerNormalization(epsilon=1e-6)(x))
        x = L.Add()([L.Dropout(0.1)(L.Dense(24)(y)), x])
    x = L.LayerNormalization(epsilon=1e-6)(x)
    return L.Dense(10)(L.Dense(32, activation="gelu")(L.Flatten()(x)))


def cct(x: Any) -> Any:
    """Compact Convolutional Transformer (Hassani et al. 2021): a convolutional tokeniser and sequence pooling."""
    x = L.MaxPooling2D(3, 2, padding="same")(L.Conv2D(24, 3, padding="same", activation="relu", use_bias=False)(x))
    x = L.MaxPooling2D(3, 2, padding="same")(L.Conv2D(24, 3, 2, padding="same", activation="relu")(x))
    x = ops.reshape(x, (-1, x.shape[1] * x.shape[2], 24))
    y = L.LayerNormalization(epsilon=1e-5)(x)
    x = x + L.MultiHeadAttention(2, 12)(y, y)
    x = x + L.Dense(24)(L.Dense(48, activation="gelu")(L.LayerNormalization(epsilon=1e-5)(x)))
    weights = ops.softmax(L.Dense(1)(x), axis=1)
    return L.Dense(10)(ops.squeeze(ops.matmul(ops.transpose(weights, (0, 2, 1)), x), 1))


def swin(x: Any) -> Any:
    """Two Swin blocks (Liu et al. 2021): windows, shifted windows with a mask, patch merging."""
    x = L.LayerNormalization()(L.Conv2D(16, 4, strides=4)(x))
    size, window, width = x.shape[1], 4, 16
    for shift in (0, 2):
        y = L.LayerNormalization()(x)
        y = ops.roll(y, (-shift, -shift), (1, 2)) if shift else y
        parts = size // window
        y = ops.transpose(ops.reshape(y, (-1, parts, window, parts, window, width)), (0, 1, 3, 2, 4, 5))
        y = ops.reshape(y, (-1, parts * parts, window * window, width))
        qkv = ops.reshape(L.Dense(3 * width)(y), (-1, parts * parts, window * window, 3, 2, width // 2))
        q, k, v = (ops.transpose(qkv[:, :, :, i], (0, 1, 3, 2, 4)) for i in range(3))
        scores = ops.matmul(q * (width // 2) ** -0.5, ops.swapaxes(k, -1, -2))
        if shift:
            scores = scores + _shift_mask(size, window, shift)[None, :, None]
        y = ops.transpose(ops.matmul(ops.softmax(scores, -1), v), (0, 1, 3, 2, 4))
        y = L.Dense(width)(ops.reshape(y, (-1, parts * parts, window * window, width)))
        y = ops.transpose(ops.reshape(y, (-1, parts, parts, window, window, width)), (0, 1, 3, 2, 4, 5))
        y = ops.reshape(y, (-1, size, size, width))
        x = x + (ops.roll(y, (shift, shift), (1, 2)) if shift else y)
        x = x + L.Dense(width)(L.Dense(32, activation="gelu")(L.LayerNormalization()(x)))
    x = ops.concatenate([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1)
    return L.Dense(10)(L.GlobalAveragePooling2D()(L.Dense(32, use_bias=False)(L.LayerNormalization()(x))))


def _shift_mask(size: int, window: int, shift: int) -> Any:
    region = np.zeros((size, size), np.int64)
    cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (rows, columns) in enumerate((a, b) for a in cuts for b in cuts):
        region[rows, columns] = number
    parts = size // window
    flat = region.reshape(parts, window, parts, window).transpose(0, 2, 1, 3).reshape(parts * parts, -1)
    return np.where(flat[:, None] == flat[:, :, None], 0.0, -10.0).astype(np.float32)


def mobile_vit(x: Any) -> Any:
    """A MobileViT block (Mehta and Rastegari 2022) as in keras.io's example."""
    x = conv(conv(x, 8, strides=2, act="swish"), 16, strides=2, act="swish")
    local = L.Conv2D(16, 1, padding="same", activation="swish")(L.Conv2D(16, 3, padding="same", activation="swish")(x))
    tokens = L.Reshape((4, x.shape[1] * x.shape[2] // 4, 16))(local)
    y = L.LayerNormalization(epsilon=1e-6)(tokens)
    tokens = tokens + L.MultiHeadAttention(2, 16)(y, y)
    folded = L.Conv2D(16, 1, activation="swish")(L.Reshape(tuple(x.shape[1:]))(tokens))
    x = conv(L.Concatenate()([x, folded]), 16, act="swish")
    return L.Dense(10, activation="softmax")(L.GlobalAveragePooling2D()(x))


def conv_mixer(x: Any) -> Any:
    """ConvMixer (Trockman and Kolter 2022)."""
    x = L.BatchNormalization()(L.Activation("gelu")(L.Conv2D(24, 4, strides=4)(x)))
    for _ in range(3):
        y = L.BatchNormalization()(L.Activation("gelu")(L.DepthwiseConv2D(5, padding="same")(x)))
        x = L.BatchNormalization()(L.Activation("gelu")(L.Conv2D(24, 1)(L.Add()([y, x]))))
    return L.Dense(10)(L.GlobalAveragePooling2D()(x))


def mixer(x: Any) -> Any:
    """MLP-Mixer (Tolstikhin et al. 2021): dense layers over tokens and over channels."""
    x = ops.reshape(L.Conv2D(24, 8, strides=8)(x), (-1, 36, 24))
    for _ in range(2):
        y = L.Permute((2, 1))(L.LayerNormalization()(x))
        x = x + L.Permute((2, 1))(L.Dense(36)(L.Dense(48, activation="gelu")(y)))
        x = x + L.Dense(24)(L.Dense(48, activation="gelu")(L.LayerNormalization()(x)))
    return L.Dense(10)(ops.mean(x, axis=1))


def crnn(x: Any) -> Any:
    """Text recognition (Shi et al. 2015) as in keras.io's captcha example: columns read by two bidirectional LSTMs."""
    x = L.MaxPooling2D()(L.Conv2D(8, 3, activation="relu", padding="same")(x))
    x = L.MaxPooling2D()(L.Conv2D(16, 3, activation="relu", padding="same")(x))
    x = L.Permute((2, 1, 3))(x)
    x = L.Dense(16, activation="relu")(L.Reshape((x.shape[1], x.shape[2] * x.shape[3]))(x))
    x = L.Bidirectional(L.LSTM(12, return_sequences=True, dropout=0.25))(x)
    x = L.Bidirectional(L.LSTM(8, return_sequences=True, dropout=0.25))(x)
    return L.Dense(11, activation="softmax")(x)


def embedding(x: Any) -> Any:
    """A FaceNet-like embedding (Schroff et al. 2015) with GeM pooling, of length 1."""
    x = conv(conv(conv(x, 8, strides=2), 16, strides=2), 32, strides=2)
    x = ops.power(ops.mean(ops.power(ops.maximum(x, 1e-3), 3.0), (1, 2)), 1 / 3.0)
    return ops.normalize(L.Dense(16)(x), axis=-1, order=2)


_IMAGE, _PIXELS = {"image": (48, 48, 3)}, {"image": (48, 48, 3), "low": 0.0, "high": 255.0}
_UNIT = {"image": (48, 48, 3), "low": 0.0, "high": 1.0}
_SETTINGS: dict[Callable[[Any], Any], Any] = {
    unet: _IMAGE, deeplab: _IMAGE, espcn: {"image": (24, 24, 3), "low": 0.0, "high": 1.0},
    edsr: {**_PIXELS, "image": (24, 24, 3)}, dncnn: _UNIT, autoencoder: {**_UNIT, "image": (48, 64, 1)},
    zero_dce: _UNIT, style: _PIXELS, hourglass: _IMAGE, soft_keypoints: _IMAGE, yolo: _UNIT, retina: _IMAGE,
    vit: _IMAGE, cct: _IMAGE, swin: _IMAGE, mobile_vit: _IMAGE, conv_mixer: _IMAGE, mixer: _IMAGE,
    crnn: {**_UNIT, "image": (32, 64, 1)}, embedding: _IMAGE,
}  # fmt: skip
ARCHITECTURES: Mapping[str, Architecture] = {
    make.__name__: Architecture(make, **settings) for make, settings in _SETTINGS.items()
}
