"""What networks cost and the shapes of their stages, from models without weights; parameters by arithmetic."""

from __future__ import annotations

import math

from edgecv import zoo


def outline(name, **options):
    """Build as zoo.build does, without weights."""
    with zoo.weightless():
        return zoo.build(name, **options)


def figures(name, variant, **options):
    """Parameters, trainable parameters and multiply-accumulates."""
    profile = zoo.profile(outline(name, variant=variant, **options)[0])
    return profile.parameters, profile.trainable, profile.macs


def cases(golden):
    return [(name, variant, *numbers) for (name, variant), numbers in golden.items()]


def shapes(model):
    """Layer name to output shape without the batch."""
    return {layer.name: tuple(layer.output_shape)[1:] for layer in model.layers[1:]}


def sides(name, *layers, **options):
    found = shapes(outline(name, **options)[0])
    return [found[layer][0] for layer in layers]


# Parameters by arithmetic.


def conv(kernel, inputs, filters, *, bias=True, groups=1):
    return kernel * kernel * inputs // groups * filters + bias * filters


def dense(*widths):
    """Of dense layers in a row, from one width to the next."""
    return sum((a + 1) * b for a, b in zip(widths, widths[1:], strict=False))


def norm(channels):
    """Trainable parameters of a batch normalisation; its statistics are as many again."""
    return 2 * channels


def size(*shape):
    return math.prod(shape)
