import pytest

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio.safety import refuse_code


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
    relu = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "function"}
    own = layer("SparseConv2D", module="edgecv.modelio.layers")
    refuse_code(layer("Sequential", layers=[layer("Dense", activation=relu), own]), where="m.keras")
    refuse_code(layer("TFOpLambda", function="math.add"), where="m.keras")
