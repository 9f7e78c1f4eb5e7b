import numpy as np
import pytest

from edgecv import zoo
from edgecv.tasks.embedding.task import EmbeddingTask
from edgecv.zoo.families.facenet import LENGTH, NN2_MODULES
from tests.zoo.outline import cases, conv, dense, figures, outline, shapes

GOLDEN = {
    ("facenet", "canonical"): (22_808_144, 22_779_312, 1_416_974_176),
    ("facenet", "long"): (23_497_424, 23_467_824, 1_417_662_304),
    ("facenet_nn2", "canonical"): (7_456_304, 7_456_304, 1_596_530_688),
    ("facenet_mnv2", "canonical"): (2_421_952, 2_387_840, 152_967_040),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_nn2_by_arithmetic():
    total, channels = conv(7, 3, 64) + conv(1, 64, 64) + conv(3, 64, 192), 192
    for _, one, three, five, projection, _ in NN2_MODULES:
        total += conv(1, channels, one) if one else 0
        total += conv(1, channels, three[0]) + conv(3, *three) + conv(1, channels, five[0]) + conv(5, *five)
        total += conv(1, channels, projection) if projection else 0
        channels = one + three[1] + five[1] + (projection or channels)
    assert channels == 1024
    assert total + dense(1024, LENGTH) == GOLDEN[("facenet_nn2", "canonical")][0]


def test_stages():
    found = shapes(outline("facenet")[0])
    assert [found[name] for name in ("conv4b", "mixed6", "mixed7", "embedding")] == [
        (17, 17, 256), (8, 8, 896), (3, 3, 1792), (128,),
    ]  # fmt: skip
    found = shapes(outline("facenet_nn2")[0])
    assert [found[f"{name}_concat"] for name in ("3a", "3b", "3c", "4a", "4e", "5b")] == [
        (28, 28, 256), (28, 28, 320), (14, 14, 640), (14, 14, 640), (7, 7, 1024), (7, 7, 1024),
    ]  # fmt: skip
    assert shapes(outline("facenet_mnv2")[0])["out_relu"] == (5, 5, 1280)


@pytest.mark.slow
def test_a_residual_keeps_its_input():
    """One public network adds the scaled branches to themselves, and so loses what went in."""
    model, _ = zoo.build("facenet", input_shape=zoo.get("facenet").small_shape)
    up = model.get_layer("block8_6_up")
    up.set_weights([np.zeros_like(weights) for weights in up.get_weights()])
    from edgecv.modelio import env

    ends = env.keras().Model(model.input, [model.get_layer(name).output for name in ("block8_5_out", "block8_6_add")])
    image = np.random.default_rng(0).normal(size=(1, 75, 75, 3)).astype(np.float32)
    before, after = ends(image)
    assert np.abs(before).max() > 0
    assert np.array_equal(before, after)


@pytest.mark.parametrize("name", ["facenet", "facenet_nn2", "facenet_mnv2"])
def test_vectors_get_length_1_outside_of_the_network(name):
    spec = zoo.get(name).spec()
    assert (spec.head.settings["normalise"], spec.head.settings["loss"], spec.head.settings["margin"]) == (
        True, "triplet", 0.2,
    )  # fmt: skip
    task = EmbeddingTask()
    task.check(spec.head, [(1, LENGTH)])
    vector = np.arange(LENGTH, dtype=np.float32)
    found = task.decode([vector], spec.head)
    assert found.normalised
    assert np.linalg.norm(found.vector) == pytest.approx(1)
    kinds = {layer.__class__.__name__ for layer in outline(name, input_shape=zoo.get(name).small_shape)[0].layers}
    assert not kinds & {"UnitNormalization", "Lambda", "TFOpLambda"}
