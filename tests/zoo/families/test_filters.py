"""Filters by hand: small matrices and a chessboard, and independent correlations; no kernel is turned around."""

import numpy as np
import pytest

from edgecv import zoo
from edgecv.core.errors import ConfigError
from edgecv.modelio import env
from edgecv.zoo.families import filters
from tests.zoo.outline import cases, figures, outline

GOLDEN = {
    ("sobel", "canonical"): (18, 0, 449_352),
    ("sobel", "gradient"): (18, 0, 449_352),
    ("prewitt", "canonical"): (18, 0, 449_352),
    ("prewitt", "gradient"): (18, 0, 449_352),
    ("laplacian4", "canonical"): (9, 0, 224_676),
    ("laplacian8", "canonical"): (9, 0, 224_676),
    ("box_blur", "canonical"): (27, 0, 674_028),
    ("line7", "canonical"): (294, 0, 80_344_320),
    ("line7", "stride2"): (294, 0, 20_133_120),
    ("pattern_match", "canonical"): (9, 0, 224_676),
    ("pattern_match", "centred"): (9, 0, 224_676),
    ("grad_stack", "canonical"): (54, 0, 1_382_400),
    ("atrous", "canonical"): (3, 0, 76_800),
    ("depth_maxpool", "canonical"): (36, 0, 898_704),
    ("depth_maxpool", "edge"): (36, 0, 898_704),
}
CHESSBOARD = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((20, 20))).astype(np.float32)
NAMES = [entry.name for entry in filters.ENTRIES]


def answer(name, image, variant="canonical", **options):
    """The maps (H, W, C) of an image (H, W) or (H, W, C)."""
    given = np.asarray(image, np.float32)
    given = given[..., None] if given.ndim == 2 else given
    model, _ = zoo.build(name, variant=variant, input_shape=given.shape, **options)
    return model(given[None]).numpy()[0]


def correlated(image, kernel, stride=1):
    """Correlation with VALID padding, window by window."""
    rows, columns = (n - k + 1 for n, k in zip(image.shape, kernel.shape, strict=True))
    return np.array([
        [(image[y : y + kernel.shape[0], x : x + kernel.shape[1]] * kernel).sum() for x in range(0, columns, stride)]
        for y in range(0, rows, stride)
    ])  # fmt: skip


@pytest.fixture
def template(tmp_path):
    def write(values):
        np.save(tmp_path / "template.npy", np.asarray(values, np.float32))
        return str(tmp_path / "template.npy")

    return write


@pytest.mark.parametrize(("name", "variant", "parameters", "trainable", "macs"), cases(GOLDEN))
def test_golden_numbers(name, variant, parameters, trainable, macs):
    assert figures(name, variant) == (parameters, trainable, macs)


def test_multiplications_by_arithmetic():
    assert GOLDEN["sobel", "canonical"][2] == 158 * 158 * 9 * 2
    assert GOLDEN["line7", "stride2"][2] == 214 * 320 * 49 * 3 * 2


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_trainable_and_the_seed_changes_nothing(name):
    shape = zoo.get(name).small_shape
    first, second = (zoo.build(name, input_shape=shape, seed=seed)[0] for seed in (1, 2))
    assert first.trainable_weights == []
    assert all((a == b).all() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))


# Correlation.

FOUR = [[255, 185, 133, 121], [155, 144, 188, 201], [111, 88, 171, 211], [110, 194, 143, 101]]


def test_correlation_with_the_identity(template):
    found = answer("pattern_match", FOUR, weights=template(np.eye(2)))[..., 0]
    assert found.tolist() == [[399, 373, 334], [243, 315, 399], [305, 231, 272]]
    assert found[::2, ::2].tolist() == [[399, 334], [305, 272]]


def test_correlation_turns_no_kernel(template):
    image, kernel = np.arange(1, 17).reshape(4, 4), np.arange(1, 10).reshape(3, 3)
    assert answer("pattern_match", image, weights=template(kernel))[..., 0].tolist() == [[348, 393], [528, 573]]
    turned = answer("pattern_match", image, weights=template(kernel[::-1, ::-1]))[..., 0]
    assert turned.tolist() == [[192, 237], [372, 417]]


def test_a_pattern_is_where_its_response_is_largest():
    a = 255
    image = [[0] * 7, [0, 0, a, 0, a, 0, 0], [0, a, 0, 0, 0, a, 0], [a, 0, 0, 0, 0, 0, a]]
    found = answer("pattern_match", image)[..., 0]
    assert found.tolist() == [[0, 510, 0, 255, 0], [765, 0, 255, 0, 255]]
    assert np.unravel_index(found.argmax(), found.shape) == (1, 0)


def test_a_centred_template_answers_nothing_of_even_areas(template):
    rng = np.random.default_rng(0)
    kernel = rng.integers(0, 255, (4, 5))
    image = np.full((12, 12), 200.0)
    path = template(kernel)
    assert np.abs(answer("pattern_match", image, "centred", weights=path)).max() < 0.05
    assert answer("pattern_match", image, weights=path).max() > 1000


def test_a_picture_as_a_template_and_its_window(tmp_path):
    from PIL import Image

    pixels = np.random.default_rng(1).integers(0, 255, (5, 9)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "t.png")
    model, spec = zoo.build("pattern_match", input_shape=(16, 24, 1), weights=str(tmp_path / "t.png"))
    assert model.output_shape == (None, 12, 16, 1)
    assert model.get_weights()[0][..., 0, 0].tolist() == pixels.tolist()
    assert spec.head.settings["window"] == [5, 9]


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY broken", None])
def test_what_is_no_template_is_refused(tmp_path, content):
    path = tmp_path / "t.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match="template"):
        zoo.build("pattern_match", weights=str(path))


@pytest.mark.parametrize("values", [np.zeros((3, 3)), np.ones(3), np.full((2, 2), np.nan), np.ones((64, 2))])
def test_templates_of_wrong_values_are_refused(template, values):
    with pytest.raises(ConfigError, match="template"):
        zoo.build("pattern_match", input_shape=(32, 32, 1), weights=template(values))


# Edges.


def test_prewitt_by_hand():
    step = np.tile(np.repeat([10, 0], 4), (8, 1))
    horizontal, vertical = np.moveaxis(answer("prewitt", step), -1, 0)
    assert vertical.tolist() == [[0, 0, 30, 30, 0, 0]] * 6
    assert not horizontal.any()
    assert answer("prewitt", step[:, ::-1])[..., 1].tolist() == [[0, 0, -30, -30, 0, 0]] * 6
    assert answer("prewitt", [[1, 2, 3], [1, 2, 3], [4, 3, 2]])[0, 0, 0] == -3


@pytest.mark.parametrize("name", ["sobel", "prewitt"])
def test_the_gradient_variants_are_the_negatives(name):
    image = np.random.default_rng(2).integers(0, 256, (12, 9))
    assert (answer(name, image, "gradient") == -answer(name, image)).all()
    ramp = np.tile(np.arange(8), (8, 1))
    x, y = answer("sobel", ramp, "gradient")[0, 0]
    assert (x, y) == (8, 0)


def test_the_chessboard():
    assert CHESSBOARD.sum() == 12_800
    assert CHESSBOARD[0, 0] == 0
    edges = answer("prewitt", CHESSBOARD)
    assert edges.shape == (158, 158, 2)
    for index in (0, 1):
        found = edges[..., index]
        assert (found.min(), found.max(), found.sum(), np.count_nonzero(found)) == (-3, 3, 0, 2_212)
    laplacian = answer("laplacian8", CHESSBOARD)
    assert (laplacian.min(), laplacian.max(), laplacian.sum(), np.count_nonzero(laplacian)) == (-4, 4, 0, 4_228)
    blurred = answer("box_blur", np.repeat(CHESSBOARD[..., None], 3, axis=2))
    assert blurred.min() == 0
    assert blurred.max() == pytest.approx(1)
    assert blurred[..., 0].sum() == pytest.approx(12_482, abs=0.01)


@pytest.mark.parametrize(
    ("name", "kernels"),
    [
        ("sobel", filters.SOBEL.values()),
        ("prewitt", filters.PREWITT.values()),
        ("laplacian4", [filters.LAPLACIAN4]),
        ("laplacian8", [filters.LAPLACIAN8]),
    ],
)
def test_against_correlation_window_by_window(name, kernels):
    image = np.random.default_rng(3).integers(0, 256, (11, 13)).astype(np.float64)
    for found, kernel in zip(np.moveaxis(answer(name, image), -1, 0), kernels, strict=True):
        assert (found == correlated(image, np.array(kernel))).all()


def test_kernels_of_edges_sum_to_zero():
    for kernel in (*filters.SOBEL.values(), *filters.PREWITT.values(), filters.LAPLACIAN4, filters.LAPLACIAN8):
        assert np.sum(kernel) == 0


# Lines, stacks, dilation, pools over channels.


def test_lines_have_the_sizes_of_same_padding():
    for variant, shape in (("canonical", (427, 640, 2)), ("stride2", (214, 320, 2))):
        assert outline("line7", variant=variant)[0].output_shape[1:] == shape
    image = np.zeros((15, 15, 3))
    image[:, 7] = 1
    column, row = np.moveaxis(answer("line7", image), -1, 0)
    assert (column[7, 7], row[7, 7], column[7, 6]) == (21, 3, 0)
    assert (answer("line7", image, "stride2") == np.stack([column, row], -1)[::2, ::2]).all()


def test_gradients_on_the_image():
    image = np.random.default_rng(4).integers(0, 256, (9, 10, 3)).astype(np.float32)
    found = answer("grad_stack", image)
    assert found.shape == (9, 10, 5)
    assert (found[..., :3] == image).all()
    mean = image.mean(axis=-1).astype(np.float64)
    for index, kernel in enumerate(filters.SOBEL.values()):
        assert found[1:-1, 1:-1, 3 + index] == pytest.approx(-correlated(mean, np.array(kernel)), abs=1e-3)


def test_dilation_spreads_the_taps():
    impulse = np.zeros((1, 17))
    impulse[0, 8] = 1
    spread = answer("atrous", impulse)[0, :, 0]
    # The response to an impulse is the kernel, turned around by correlation.
    assert spread[4:13][::-1].tolist() == [1, 0, 0, 0, 2, 0, 0, 0, 3]
    assert spread.sum() == 6


def test_the_larger_of_two_channels():
    image = np.random.default_rng(5).integers(0, 256, (10, 12)).astype(np.float64)
    expected = np.abs(np.stack([correlated(image, np.array(k)) for k in filters.PREWITT.values()], -1))
    for variant in ("canonical", "edge"):
        assert (answer("depth_maxpool", image, variant) == expected).all()


def test_a_pool_over_channels_by_hand():
    values = np.array([[1, 3, 5, 7, 4, 5], [11, 3, 4, 1, 21, 6]], np.float32).reshape(1, 1, 2, 6)
    given = env.keras().Input((1, 2, 6))
    for group, expected in ((2, [[3, 7, 5], [11, 4, 21]]), (3, [[5, 7], [11, 21]]), (6, [[7], [21]])):
        pooled = env.keras().Model(given, filters.depth_max_pool(given, group, name="pool"))
        assert pooled(values).numpy()[0, 0].tolist() == expected
    with pytest.raises(ConfigError, match="6 channels"):
        filters.depth_max_pool(given, 4, name="pool")
