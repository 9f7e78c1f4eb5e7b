"""One small .tflite per operator that vision networks use, for gpu_coverage.py --ops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.modelio import env

IMAGE = (1, 8, 8, 4)


def single_operator_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the files to a folder; yield the name of each case and its path."""
    tf = env.tensorflow()
    for label, (function, shape) in cases(tf).items():
        signature = [tf.TensorSpec(shape, tf.float32)]
        concrete = tf.function(function, input_signature=signature).get_concrete_function()
        path = folder / f"{label.replace(' ', '_')}.tflite"
        path.write_bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete]).convert())
        yield label, path


def cases(tf: Any) -> dict[str, tuple[Callable[[Any], Any], tuple[int, ...]]]:
    """Return name -> (function of one float32 tensor, that tensor's shape)."""
    rng = np.random.default_rng(0)

    def kernel(*shape: int) -> Any:
        return tf.constant(rng.standard_normal(shape).astype(np.float32))

    conv, nn = tf.nn.conv2d, tf.nn
    convolutions: dict[str, Any] = {
        "convolution": (lambda x: conv(x, kernel(3, 3, 4, 8), 1, "SAME"), IMAGE),
        "strided convolution": (lambda x: conv(x, kernel(3, 3, 4, 8), 2, "SAME"), IMAGE),
        "dilated convolution": (lambda x: conv(x, kernel(3, 3, 4, 8), 1, "SAME", dilations=2), IMAGE),
        "convolution in groups of 4": (lambda x: conv(x, kernel(3, 3, 4, 8), 1, "SAME"), (1, 8, 8, 8)),
        "convolution in groups of 2": (lambda x: conv(x, kernel(3, 3, 2, 8), 1, "SAME"), (1, 8, 8, 8)),
        "depthwise convolution": (lambda x: nn.depthwise_conv2d(x, kernel(3, 3, 4, 1), [1] * 4, "SAME"), IMAGE),
        "transposed convolution": (
            lambda x: nn.conv2d_transpose(x, kernel(3, 3, 8, 4), (1, 16, 16, 8), 2, "SAME"),
            IMAGE,
        ),
        "3-D convolution": (lambda x: nn.conv3d(x, kernel(3, 3, 3, 2, 2), [1] * 5, "SAME"), (1, 4, 8, 8, 2)),
        "dense": (lambda x: tf.matmul(x, kernel(4, 8)), (1, 4)),
    }
    pools: dict[str, Any] = {
        "max pool": (lambda x: nn.max_pool2d(x, 2, 2, "SAME"), IMAGE),
        "average pool": (lambda x: nn.avg_pool2d(x, 2, 2, "VALID"), IMAGE),
        "global mean": (lambda x: tf.reduce_mean(x, [1, 2]), IMAGE),
        "maximum over channels": (lambda x: tf.reduce_max(x, 3), IMAGE),
        "sum over channels": (lambda x: tf.reduce_sum(x, 3, keepdims=True), IMAGE),
    }
    activations: dict[str, Any] = {
        name: (function, IMAGE)
        for name, function in {
            "relu": nn.relu, "relu6": nn.relu6, "leaky relu": nn.leaky_relu, "elu": nn.elu, "tanh": tf.tanh,
            "sigmoid": tf.sigmoid, "swish": nn.silu, "softmax": nn.softmax, "log softmax": nn.log_softmax,
            "exact gelu": lambda x: nn.gelu(x, approximate=False), "softplus": nn.softplus,
            "hard swish": lambda x: x * nn.relu6(x + 3.0) / 6.0,
        }.items()
    }  # fmt: skip
    arithmetic: dict[str, Any] = {
        "add": (lambda x: x + kernel(1, 8, 8, 4), IMAGE),
        "multiply by channels": (lambda x: x * kernel(1, 1, 1, 4), IMAGE),
        "subtract": (lambda x: x - kernel(1, 8, 8, 4), IMAGE),
        "divide": (lambda x: x / (tf.abs(x) + 1.0), IMAGE),
        "square root": (lambda x: tf.sqrt(tf.abs(x)), IMAGE),
        "round": (tf.round, IMAGE),
        "select": (lambda x: tf.where(x > 0, x, x * 2), IMAGE),
        "local response norm": (lambda x: nn.lrn(x, 2, 1.0, 1e-4, 0.75), IMAGE),
        "L2 norm": (lambda x: tf.math.l2_normalize(x, -1), IMAGE),
        "argmax": (lambda x: tf.argmax(x, -1, output_type=tf.int32), IMAGE),
        "argmin": (lambda x: tf.argmin(x, -1, output_type=tf.int32), IMAGE),
        "top k": (lambda x: tf.math.top_k(x, 3)[0], IMAGE),
        "cumulative sum": (lambda x: tf.cumsum(x, axis=3), IMAGE),
        "product of matrices": (lambda x: tf.matmul(x, kernel(1, 8, 4, 8)), IMAGE),
    }
    shapes: dict[str, Any] = {
        "concatenate": (lambda x: tf.concat([x, tf.abs(x)], 3), IMAGE),
        "reshape": (lambda x: tf.reshape(x, (1, 256)), IMAGE),
        "transpose": (lambda x: tf.transpose(x, (0, 3, 1, 2)), IMAGE),
        "channel shuffle on 5 axes": (
            lambda x: tf.reshape(tf.transpose(tf.reshape(x, (1, 8, 8, 2, 2)), (0, 1, 2, 4, 3)), IMAGE),
            IMAGE,
        ),
        "pad": (lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), IMAGE),
        "mirror pad": (lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], "REFLECT"), IMAGE),
        "slice": (lambda x: x[:, 2:6, ::2], IMAGE),
        "reversed slice": (lambda x: x[:, ::-1], IMAGE),
        "reverse": (lambda x: tf.reverse(x, [2]), IMAGE),
        "split": (lambda x: tf.split(x, 2, 3)[1], IMAGE),
        "stack": (lambda x: tf.stack([x, tf.abs(x)], axis=1), (1, 8, 8)),
        "unstack": (lambda x: tf.unstack(x, axis=3)[0], IMAGE),
        "gather": (lambda x: tf.gather(x, [2, 0], axis=3), IMAGE),
        "gather_nd": (lambda x: tf.gather_nd(x, [[0, 1], [0, 2]]), IMAGE),
        "broadcast": (lambda x: tf.broadcast_to(x, IMAGE), (1, 1, 1, 4)),
        "tile": (lambda x: tf.tile(x, [1, 2, 2, 1]), IMAGE),
        "resize bilinear": (lambda x: tf.compat.v1.image.resize_bilinear(x, (16, 16)), IMAGE),
        "resize nearest": (lambda x: tf.compat.v1.image.resize_nearest_neighbor(x, (16, 16)), IMAGE),
        "depth to space": (lambda x: nn.depth_to_space(x, 2), IMAGE),
        "space to depth": (lambda x: nn.space_to_depth(x, 2), IMAGE),
        "space to batch": (lambda x: tf.space_to_batch_nd(x, [2, 2], [[0, 0], [0, 0]]), IMAGE),
        "to int32": (lambda x: tf.cast(x, tf.int32), IMAGE),
        "to int64": (lambda x: tf.cast(x, tf.int64), IMAGE),
    }
    return {**convolutions, **pools, **activations, **arithmetic, **shapes}
