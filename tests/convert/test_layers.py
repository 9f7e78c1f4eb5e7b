import pytest

from edgecv.convert.layers import LayerTree, layer_tree, resolve
from edgecv.modelio import env
from edgecv.modelio.boundary import output_names

TREE = LayerTree(
    name="net",
    children={
        "c1": LayerTree(name="c1"),
        "quant_c2": LayerTree(name="c2"),
        "c2_relu": LayerTree(name="c2_relu"),
        "quantize_layer": LayerTree(name=""),
        "backbone": LayerTree(name="backbone", children={"c1": LayerTree(name="c1")}),
    },
)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("net/c1/Conv2D", "c1"),
        ("net/c1_3/Conv2D1", "c1"),
        ("net/quant_c2/BiasAdd;net/quant_c2/Conv2D", "c2"),
        ("net/c2_relu/Relu6;net/c1/Conv2D", "c1"),
        ("net/c2_relu/Relu", "c2_relu"),
        ("net/backbone/c1/Conv2D", "backbone/c1"),
        ("net/quantize_layer/AllValuesQuantize", ""),
        ("c1/Conv2D", "c1"),
        ("arith.constant", ""),
        ("", ""),
    ],
)
def test_names_lead_to_layers(name, layer):
    assert resolve(name, TREE) == layer


def test_tree_of_a_nested_model():
    keras = env.keras()
    inner = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(2, name="d")], name="inner")
    image = keras.layers.Input((4,), name="image")
    model = keras.Model(image, keras.layers.Dense(1, name="end")(inner(image)), name="outer")
    tree = layer_tree(model)
    assert resolve("outer/inner/d/MatMul", tree) == "inner/d"
    assert output_names(model) == ("end",)


def test_wrappers_stand_for_what_they_wrap(qat_source):
    tree = layer_tree(qat_source.model)
    assert tree.children["quant_stem"].name == "stem"
    assert output_names(qat_source.model) == ("side",)
