import pytest

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio.safety import is_plain, refuse_code


def layer(kind, *, module="keras.layers", name="x", **config):
    return {"module": module, "class_name": kind, "config": {"name": name, **config}, "registered_name": None}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (layer("Lambda", name="evil"), "a Lambda layer in 'evil'"),
        (
            layer("Dense", activation={"class_name": "__lambda__", "config": {"value": "4wEA"}}),
            "a lambda function in 'x'",
        ),
        (layer("lambda_layer.Lambda", module="keras.src.layers.core"), "a Lambda layer"),
        (layer("Custom>Lambda"), "a Lambda layer"),
        (layer("system", module="os"), "'os.system', which is outside keras"),
        (layer("Dense", module="keras_evil.layers"), "outside keras"),
        (layer("build", module="edgecv.zoo.catalog"), "outside keras"),
        (layer("exec", module="builtins"), "outside keras"),
        (layer("TFOpLambda", function="io.write_file"), "not plain arithmetic"),
        (layer("TFOpLambda", function="py_function"), "not plain arithmetic"),
    ],
)
def test_what_can_run_code_is_found_at_any_depth(node, message):
    nested = layer("Functional", layers=[layer("Sequential", layers=[layer("Dense"), node])])
    with pytest.raises(UnsupportedModelError, match=message):
        refuse_code(nested, where="m.keras")


def test_standard_configs_pass():
    """Each of them, and not since nothing is looked at: one name in the same place is refused."""
    relu = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    own = layer("SparseConv2D", module="edgecv.modelio.layers")
    sums = layer("TFOpLambda", function="math.add")

    def passes(*layers):
        return refuse_code(layer("Sequential", layers=list(layers)), where="m.keras") is None

    assert passes(layer("Dense", activation=relu), own, sums)
    for evil in ({**relu, "module": "os"}, {**own, "module": "edgecv.modelio.env"}):
        with pytest.raises(UnsupportedModelError, match="outside keras"):
            passes(layer("Dense", activation=evil), sums)


ARITHMETIC = (
    "__operators__.add", "__operators__.getitem", "abs", "argmax", "boolean_mask", "broadcast_to",
    "cast", "clip_by_value", "compat.v1.gather", "compat.v1.image.resize_bilinear", "compat.v1.nn.max_pool",
    "compat.v1.pad", "compat.v1.reduce_sum", "compat.v1.transpose", "concat", "convert_to_tensor", "cumsum",
    "dynamic_stitch", "einsum", "exp", "expand_dims", "fill", "gather", "gather_nd", "image.crop_to_bounding_box",
    "image.extract_patches", "image.resize", "image.rgb_to_grayscale", "keras.activations.gelu", "keras.backend.mean",
    "keras.backend.resize_images", "linalg.matmul", "linalg.normalize", "math.greater", "math.reduce_mean",
    "math.softplus", "math.top_k", "maximum", "meshgrid", "nn.bias_add", "nn.conv2d", "nn.depth_to_space", "nn.moments",
    "nn.l2_normalize", "nn.softmax", "one_hot", "ones_like", "pad", "range", "repeat", "reshape", "reverse", "roll",
    "scatter_nd", "shape", "signal.fft2d", "slice", "sort", "split", "squeeze", "stack", "strided_slice", "tile",
    "transpose", "unstack", "where", "zeros_like",
)  # fmt: skip
CODE = (
    "audio.decode_wav", "case", "compat.v1.py_func", "cond", "function", "io.read_file", "io.write_file",
    "keras.backend.print_tensor", "keras.backend.rnn", "keras.models.load_model", "keras.utils.get_file",
    "load_op_library", "map_fn", "no_such_function", "numpy_function", "print", "py_function", "raw_ops.PyFunc",
    "raw_ops.ReadFile", "raw_ops.WriteFile", "rpc_call", "saved_model.load", "scan", "while_loop", "xla_custom_call",
)  # fmt: skip


@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_is_no_code_by_whatever_name(name):
    assert is_plain(name)


@pytest.mark.parametrize("name", CODE)
def test_what_calls_back_or_touches_files_is_code(name):
    assert not is_plain(name)


def test_of_all_names_that_keras_can_record_arithmetic_passes_and_the_rest_does_not():
    """Keras records what its dispatcher sees; an attacker can write any name that tensorflow knows."""
    from tensorflow.python.util import dispatch, tf_export

    names = tf_export._NAME_TO_SYMBOL_MAPPING
    recorded = {n for n, s in names.items() if hasattr(s, dispatch.FALLBACK_DISPATCH_ATTR) and "raw_ops" not in n}
    arithmetic = ("math.", "nn.", "image.", "linalg.", "__operators__.", "keras.activations.", "bitwise.")
    refused = {n for n in recorded if n.startswith(arithmetic) and not is_plain(n)}
    # Random, ragged, or losses of text and of distributed training.
    assert {n for n in refused if "ctc" not in n and "sampler" not in n and "ragged" not in n and "crop" not in n} <= {
        "nn.collapse_repeated", "nn.compute_accidental_hits", "nn.compute_average_loss", "math.confusion_matrix",
        "nn.scale_regularization_loss", "linalg.experimental.conjugate_gradient", "nn.sampled_softmax_loss",
    }  # fmt: skip
    passed = [n for n in names if is_plain(n)]
    files = (
        "read_file",
        "write",
        "py_func",
        "load",
        "save",
        "rpc",
        "matching",
        "open",
        "exec",
        "eval",
        "call",
    )
    assert [n for n in passed if any(word in n.lower() for word in files)] == []
