"""What is hard for networks on devices, and what to do: remarks that several families share."""

from __future__ import annotations

BIG = "the int8 file is over 8 MB: weights are streamed over the link at each inference; prefer a smaller network"
CONCAT = "all inputs of a concatenation share one scale: calibrate on real images"
DENSE = "most weights sit in the first dense layer: bound by memory; the edge variant pools globally instead"
GROUPED = (
    "grouped convolutions (grouped) make the compiler refuse the whole file: the towers variant is the same network"
)
GROUPED_GPU = "grouped convolutions (grouped) may stay on the CPU: the towers variant is the same network"
LEAKY = "leaky ReLU is not supported (LEAKY_RELU): train the edge variant, which has ReLU6"
LRN = "local response normalisation has no int8 kernel: it stays float between conversions; the edge variant has none"
LRN_TARGET = "local response normalisation is not supported: train the edge variant, which has batch normalisation"
SMALL = "small enough for every target"
