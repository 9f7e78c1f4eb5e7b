import numpy as np
import pytest

from edgecv import zoo
from edgecv.convert import convert
from edgecv.core.errors import ConfigError
from edgecv.data.synthetic import synthetic
from edgecv.graphs import read_graph
from edgecv.modelio import LoadedModel
from edgecv.values import profiles
from edgecv.zoo import Build
from edgecv.zoo.families import alexnet
from tests.zoo.outline import cases, conv, dense, figures, norm, outline, shapes, sides

GOLDEN = {
    ("alexnet", "canonical"): (62_378_344, 62_378_344, 1_135_256_096),
    ("alexnet", "grouped"): (60_965_224, 60_965_224, 724_406_816),
    ("alexnet", "towers"): (60_965_224, 60_965_224, 724_406_816),
    ("alexnet", "book"): (201_838_952, 201_838_952, 1_274_716_704),
    ("alexnet", "edge"): (4_008_328, 4_005_576, 1_076_890_144),
    ("alexnet_quarter", "canonical"): (3_653_304, 3_653_304, 83_752_344),
    ("alexnet_quarter", "book"): (8_964_024, 8_964_024, 89_060_760),
    ("alexnet_quarter", "edge"): (236_736, 236_048, 80_336_792),
    ("zfnet", "canonical"): (62_357_608, 62_357_608, 1_168_032_896),
    ("zfnet", "edge"): (3_987_592, 3_984_840, 1_109_666_944),
}
STAGES = ("conv1", "pool1", "pool2", "pool5")


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_stages():
    assert sides("alexnet", *STAGES) == [55, 27, 13, 6]
    assert sides("alexnet_quarter", *STAGES) == [59, 29, 14, 6]
    assert sides("zfnet", "conv1", "pool1", "conv2", "pool2", "pool5") == [110, 55, 26, 13, 6]
    assert shapes(outline("alexnet")[0])["flatten"] == (9_216,)
    assert shapes(outline("alexnet", variant="book")[0])["flatten"] == (43_264,)
    assert shapes(outline("alexnet_quarter")[0])["flatten"] == (2_304,)


@pytest.mark.parametrize("name", ["alexnet", "alexnet_quarter", "zfnet"])
def test_the_small_input_is_the_smallest_with_every_stage(name):
    side, _, channels = zoo.get(name).small_shape
    assert sides(name, "pool5", input_shape=(side, side, channels)) == [1]
    with pytest.raises(ConfigError, match="cannot be built for inputs"):
        outline(name, input_shape=(side - 1, side - 1, channels))


def test_parameters_of_the_edge_variants_by_arithmetic():
    def convolutions(stem, image, widths):
        kernels, inputs = (stem, 5, 3, 3, 3), (image, *widths)
        return sum(conv(k, i, o, bias=False) + norm(o) for k, i, o in zip(kernels, inputs, widths, strict=False))

    wide, narrow = (96, 256, 384, 384, 256), (24, 64, 96, 96, 64)
    assert GOLDEN["alexnet", "edge"][1] == convolutions(11, 3, wide) + dense(256, 1000)
    assert GOLDEN["zfnet", "edge"][1] == convolutions(7, 3, wide) + dense(256, 1000)
    assert GOLDEN["alexnet_quarter", "edge"][1] == convolutions(11, 1, narrow) + dense(64, 8)


def test_response_normalisation_as_published():
    def constants(variant):
        model, _ = outline("alexnet", variant=variant)
        config = model.get_layer("lrn1").get_config()
        return [config[key] for key in ("depth_radius", "bias", "alpha", "beta")]

    assert constants("canonical") == [2, 2.0, 1e-4, 0.75]
    assert constants("book") == [2, 1.0, 2e-5, 0.75]
    assert not [x for x in outline("alexnet", variant="edge")[0].layers if "Response" in type(x).__name__]


def test_towers_compute_what_grouped_convolutions_do():
    # Narrow, without response normalisation, which mixes the towers when they are one.
    widths = {"widths": (8, 16, 24, 24, 16), "hidden": (12, 12), "rate": None}
    request = Build(input_shape=(67, 67, 3), units=(5,))
    grouped = alexnet.builder(alexnet.Plan(groups=2, **widths), "grouped")(request)
    towers = alexnet.builder(alexnet.Plan(towers=2, **widths), "towers")(request)
    for stage in alexnet.STAGES:
        pairs = zip(*(towers.get_layer(f"conv{stage}{letter}").get_weights() for letter in "ab"), strict=True)
        grouped.get_layer(f"conv{stage}").set_weights([np.concatenate(pair, axis=-1) for pair in pairs])
    for name in ("fc1", "fc2", "output"):
        grouped.get_layer(name).set_weights(towers.get_layer(name).get_weights())
    image = np.random.default_rng(0).standard_normal((2, 67, 67, 3)).astype(np.float32)
    np.testing.assert_allclose(grouped.predict(image, verbose=0), towers.predict(image, verbose=0), atol=1e-5)


def test_response_normalisation_in_towers_is_the_only_float_of_an_int8_file(tmp_path):
    # The quantiser leaves the pools between a normalisation and the junction in float too.
    plan = alexnet.Plan(
        widths=(8, 16, 24, 24, 16), towers=2, hidden=(12,), rate=None, response=alexnet.ResponseNorm(alpha=0.1)
    )
    model = alexnet.builder(plan, "towers")(Build(input_shape=(67, 67, 3), units=(5,)))
    spec = zoo.get("alexnet").spec("towers", labels=("a", "b", "c", "d", "e"), input_shape=(67, 67, 3))
    source = LoadedModel(model=model, manifest=None, path=tmp_path / "towers.keras", sha256="0" * 64)
    made = convert(
        source, format="tflite", scheme="int8", method="ptq", out=tmp_path / "towers.tflite", spec=spec,
        calibration=profiles.calibration("minmax"), dataset=synthetic(spec),
    )  # fmt: skip
    graph = read_graph(made.path)
    floats = {op.op for op in graph.ops if any(t.dtype == "float32" for t in graph.outputs_of(op))}
    assert floats == {"DEQUANTIZE", "LOCAL_RESPONSE_NORMALIZATION", "MAX_POOL_2D"}


def test_a_tower_has_half_the_kernels():
    model, _ = outline("alexnet", variant="towers")
    assert model.get_layer("conv2a").kernel.shape.as_list() == [5, 5, 48, 128]
    assert model.get_layer("conv3b").kernel.shape.as_list() == [3, 3, 256, 192]
    assert conv(5, 96, 256, groups=2) == 2 * conv(5, 48, 128)


def test_dropout_only_where_published():
    def rates(name, variant="canonical"):
        return [x.rate for x in outline(name, variant=variant)[0].layers if type(x).__name__ == "Dropout"]

    assert rates("alexnet") == rates("alexnet", "book") == [0.5, 0.5]
    assert rates("alexnet_quarter") == rates("zfnet") == rates("alexnet", "edge") == []
