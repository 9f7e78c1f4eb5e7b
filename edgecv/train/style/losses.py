"""What a picture of some content in some style is judged by while it is made. Tensors are tensorflow's.

Two forms of the same loss are in use. Both compare maps with those of the content, and Gram matrices, sums of products
of two channels over all places, with those of the style:

- "paper": half the sum of squared differences of maps; squared differences of Gram matrices G over 4 N^2 M^2, for N
  channels and M places. Source: Gatys et al. 2016, equations 1 to 7.
- "book": means of squared differences, of maps and of Gram matrices over M: what TensorFlow's tutorial of style
  transfer made usual.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from edgecv.core.errors import ConfigError
from edgecv.modelio.env import tensorflow

Form = Literal["paper", "book"]

STYLE_LAYERS = tuple(f"block{block}_conv1" for block in range(1, 6))
CONTENT_LAYER = {"paper": "block4_conv2", "book": "block5_conv2"}
WEIGHTS = {"paper": (1.0, 1e3), "book": (1e4, 1e-2)}
"""Of content and style. Source of the paper's ratio of 1e-3: Gatys et al. 2016, section 3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StyleLoss:
    """How alike content and style have to be.

    Attributes:
        form: "paper" or "book": the scale of both parts.
        content_layers: Layers whose maps are the content's.
        style_layers: Layers whose Gram matrices are the style's; each weighs alike.
        content_weight: Of the content's part, >= 0; so the others of theirs.
        style_weight: Of the style's part.
        variation_weight: Of the mean squared difference of neighbouring pixels, which smooths; 0 for none.
    """

    form: Form = "paper"
    content_layers: tuple[str, ...] = ("block4_conv2",)
    style_layers: tuple[str, ...] = STYLE_LAYERS
    content_weight: float = 1.0
    style_weight: float = 1e3
    variation_weight: float = 0.0

    def __post_init__(self) -> None:
        weights = (self.content_weight, self.style_weight, self.variation_weight)
        if min(weights) < 0 or not any(weights[:2]):
            raise ConfigError(f"weights must be >= 0 and one of content and style above it, got {weights}")
        if not self.content_layers or not self.style_layers:
            raise ConfigError("style transfer needs a layer for the content and one for the style")

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer that it looks at, once."""
        return tuple(dict.fromkeys((*self.style_layers, *self.content_layers)))

    def targets(self, features: Mapping[str, Any]) -> dict[str, Any]:
        """Return what style maps are compared by, Gram matrices over their places, by layer."""
        return {layer: gram(features[layer]) for layer in self.style_layers}

    def parts(self, made: Mapping[str, Any], content: Mapping[str, Any], style: Mapping[str, Any]) -> dict[str, Any]:
        """Return the weighted scalar parts "content" and "style" of a batch's loss, each the mean over its pictures.

        Args:
            made: Maps (n, h, w, c) of the pictures, by layer.
            content: Maps of the content, of the same shapes.
            style: Gram matrices of `targets`, (1, c, c) or (n, c, c).
        """
        like = {"paper": paper_content, "book": book_content}[self.form]
        painted = {"paper": paper_style, "book": book_style}[self.form]
        shown = [like(made[layer], content[layer]) for layer in self.content_layers]
        seen = [painted(gram(made[layer]), style[layer]) for layer in self.style_layers]
        return {
            "content": self.content_weight * sum(shown) / len(shown),
            "style": self.style_weight * sum(seen) / len(seen),
        }

    def variation(self, pictures: Any) -> Any:
        """Return the weighted mean squared difference of neighbouring pixels of pictures (n, h, w, 3)."""
        tf = tensorflow()
        down, across = pictures[:, 1:] - pictures[:, :-1], pictures[:, :, 1:] - pictures[:, :, :-1]
        return self.variation_weight * (tf.reduce_mean(tf.square(down)) + tf.reduce_mean(tf.square(across)))


def gram(maps: Any) -> Any:
    """Return the Gram matrix of maps (n, h, w, c) over their h w places: (n, c, c), sum of products / (h w).

    Gatys et al. do not divide by the places; `paper_style` has that factor, and matrices of images of two sizes can be
    compared only with it.
    """
    tf = tensorflow()
    shape = tf.shape(maps)
    rows = tf.reshape(maps, (shape[0], shape[1] * shape[2], maps.shape[-1]))
    return tf.matmul(rows, rows, transpose_a=True) / tf.cast(shape[1] * shape[2], maps.dtype)


def paper_content(made: Any, content: Any) -> Any:
    """Return 1/2 sum (F - P)^2, the mean over the batch. Source: Gatys et al. 2016, equation 1."""
    tf = tensorflow()
    return 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(made - content), axis=[1, 2, 3]))


def paper_style(made: Any, style: Any) -> Any:
    """Return sum (G - A)^2 / (4 N^2 M^2), the mean over the batch; matrices here have been divided by M.

    Source: Gatys et al. 2016, equation 4.
    """
    tf = tensorflow()
    channels = float(made.shape[-1])
    return tf.reduce_mean(tf.reduce_sum(tf.square(made - style), axis=[1, 2])) / (4.0 * channels**2)


def book_content(made: Any, content: Any) -> Any:
    """Return the mean of squared differences of maps."""
    tf = tensorflow()
    return tf.reduce_mean(tf.square(made - content))


def book_style(made: Any, style: Any) -> Any:
    """Return the mean of squared differences of Gram matrices over their places."""
    tf = tensorflow()
    return tf.reduce_mean(tf.square(made - style))
