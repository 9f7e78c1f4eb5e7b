"""The functions of `keras.ops` that a model may hold by name, and what each does to a tensor.

Each computes and does nothing else, so a file that names one carries no code. What draws at random, loops, or calls
functions of its own is not among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Role(StrEnum):
    """What a function does, for passes that change a network around it.

    MOVE copies values to other places, so the scale of its input is that of its output; POINTWISE keeps places and
    channels; DECISION gives booleans or indices; REDUCTION, CONTRACTION and SPATIAL mix values.
    """

    MOVE = "move"
    POINTWISE = "pointwise"
    DECISION = "decision"
    REDUCTION = "reduction"
    CONTRACTION = "contraction"
    SPATIAL = "spatial"


_BY_ROLE = {
    Role.MOVE: """
        array_split broadcast_to concatenate crop_images depth_to_space diagonal dsplit dstack expand_dims
        extract_patches flip fliplr flipud get_item hsplit hstack moveaxis pad pad_images ravel repeat reshape roll
        rot90 slice space_to_depth split squeeze stack swapaxes take take_along_axis tile transpose tril triu unfold
        unstack vsplit vstack""",
    Role.POINTWISE: """
        absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cast cbrt ceil celu clip cos cosh divide
        divide_no_nan elu erf exp exp2 expm1 floor floor_divide fmod gelu hard_shrink hard_sigmoid hard_silu hard_tanh
        heaviside hypot leaky_relu log log10 log1p log2 log_sigmoid logaddexp maximum minimum mod multiply nan_to_num
        negative power reciprocal relu relu6 round rsqrt saturate_cast selu sigmoid sign silu sin sinc sinh
        soft_shrink softplus softsign sparse_plus sparse_sigmoid sqrt square squareplus stop_gradient subtract tan
        tanh tanh_shrink threshold true_divide trunc where full_like ones_like zeros_like""",
    Role.DECISION: """
        all any argmax argmin argsort equal greater greater_equal isfinite isinf isnan less less_equal logical_and
        logical_not logical_or logical_xor not_equal one_hot""",
    Role.REDUCTION: """
        amax amin average count_nonzero cumprod cumsum log_softmax logsumexp max mean median min moments nanmax
        nanmean nanmin nansum norm normalize prod ptp quantile softmax sort sparsemax std sum top_k trace var
        batch_normalization layer_normalization rms_normalization""",
    Role.CONTRACTION: """
        cross dot dot_product_attention einsum inner kron matmul outer tensordot vdot""",
    Role.SPATIAL: """
        adaptive_average_pool adaptive_max_pool affine_transform average_pool conv conv_transpose depthwise_conv fold
        gaussian_blur glu hsv_to_rgb map_coordinates max_pool perspective_transform resize rgb_to_grayscale rgb_to_hsv
        separable_conv sobel_edges""",
}
FUNCTIONS: Mapping[str, Role] = MappingProxyType(
    {name: role for role, names in _BY_ROLE.items() for name in names.split()}
)
"""By their public names in `keras.ops`, or in `keras.ops.image`."""

RENAMED = {"batch_norm": "batch_normalization", "layer_norm": "layer_normalization", "rms_norm": "rms_normalization"}
"""Public names of the operations that Keras' graphs call otherwise."""
