import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.tasks.embedding.task import EmbeddingTask, VerificationTask
from edgecv.zoo.families.siamese import LENGTH
from tests.zoo.outline import cases, conv, dense, figures, outline, shapes

GOLDEN = {
    ("siamese_mnist", "canonical"): (26_080, 26_080, 114_720),
    ("siamese_mnist", "triplet"): (26_080, 26_080, 114_720),
    ("siamese_mnist", "edge"): (72_272, 71_952, 2_859_264),
    ("siamese_mnist", "pair"): (26_080, 26_080, 229_440),
    ("siamese_mnist", "book"): (52_160, 52_160, 229_440),
}


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_parameters_by_arithmetic():
    assert conv(3, 1, 8) + conv(3, 8, 16) + dense(64, LENGTH, LENGTH) == 26_080


def test_stages():
    assert shapes(outline("siamese_mnist")[0]) == {
        "conv1": (26, 26, 8), "pool1": (8, 8, 8), "conv2": (6, 6, 16), "pool2": (2, 2, 16),
        "flatten": (64,), "fc1": (128,), "embedding": (128,),
    }  # fmt: skip


@pytest.mark.parametrize("variant", ["pair", "book"])
def test_two_inputs_and_their_distance(variant):
    model, spec = zoo.build("siamese_mnist", variant=variant)
    assert [tensor.name for tensor in model.inputs] == [one.name for one in spec.inputs] == ["first", "second"]
    assert len({(one.shape, one.preprocessing) for one in spec.inputs}) == 1
    assert (spec.head.task, spec.head.activation) == ("verification", "distances")
    images = np.random.default_rng(0).random((2, 3, 28, 28, 1), np.float32)
    apart, alike = (model([images[0], other]).numpy() for other in (images[1], images[0]))
    assert apart.shape == (3, 1)
    assert (apart > 1e-3).all()
    assert (alike < 1e-3).all() == (variant == "pair")


def test_the_pair_is_the_distance_of_the_encoders_vectors():
    encoder, (pair, _) = zoo.build("siamese_mnist")[0], zoo.build("siamese_mnist", variant="pair")
    encoder.set_weights(pair.get_weights())
    images = np.random.default_rng(0).random((2, 3, 28, 28, 1), np.float32)
    first, second = encoder(images[0]).numpy(), encoder(images[1]).numpy()
    expected = np.linalg.norm(first - second, axis=1)
    assert pair(list(images)).numpy()[:, 0] == pytest.approx(expected, rel=1e-4)


def test_a_vector_has_no_labels():
    spec = zoo.get("siamese_mnist").spec()
    assert (spec.head.task, spec.head.labels, spec.input.name) == ("embedding", (), "image")
    assert zoo.get("siamese_mnist").spec(labels=("a", "b")).labels == ()
    with pytest.raises(ConfigError, match="takes inputs like"):
        zoo.get("siamese_mnist").spec(input_shape=(28, 28, 3))


def test_heads_fit_their_tasks():
    entry = zoo.get("siamese_mnist")
    EmbeddingTask().check(entry.spec().head, [(1, LENGTH)])
    for variant in ("pair", "book"):
        VerificationTask().check(entry.spec(variant).head, [(1, 1)])
