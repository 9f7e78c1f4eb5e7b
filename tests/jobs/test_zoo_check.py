"""Every network converts to every scheme and format, passes its checks, and is read by every target."""

import pytest

from edgecv import zoo
from edgecv.jobs import zoo_check as matrix

# Depthwise layers, gates and residuals, wide dense layers, several heads on feature vectors.
SUBSET = [
    pytest.param("mobilenet_v2_small", "canonical", marks=pytest.mark.slow),
    pytest.param("se_resnet20", "canonical", marks=pytest.mark.slow),
    pytest.param("mlp_multitask", "canonical", marks=pytest.mark.slow),
    ("cnn_mnist_b4", "canonical"),
    pytest.param("line7", "stride2", marks=pytest.mark.slow),
    pytest.param("depth_maxpool", "edge", marks=pytest.mark.slow),
    pytest.param("siamese_mnist", "pair", marks=pytest.mark.slow),
]
# Networks of bundles convert apart (tests/jobs/test_bundle.py): as one file, regions alone take gigabytes of samples.
WHOLE = [
    (entry.name, name) for entry in zoo.entries() for name, variant in entry.variants.items() if variant.further is None
]
# Layers of less than 1024 weights stay float in a dynamic file, so a network of nothing else makes none.
TINY = 2_000


def expected_failures(name: str, variant: str, cell: matrix.Cell) -> bool:
    """Say whether a cell cannot be: there are too few weights to shrink, or a filter's, which are fixed."""
    with zoo.weightless():
        model, _ = zoo.build(name, variant=variant, input_shape=cell.input_shape)
    if not model.trainable_weights and cell.way == "int8-pruned":
        return "its weights are fixed" in cell.error
    return model.count_params() < TINY and cell.way == "dynamic" and "no weights became" in cell.error


def check(name: str, variant: str) -> None:
    found = list(matrix.cells(name, variant=variant, input_shape=zoo.get(name).small_shape))
    assert len(found) == len(matrix.WAYS) * len(matrix.FORMATS)
    broken = [
        f"{cell.way} {cell.format}: {cell.error}"
        for cell in found
        if cell.error and not expected_failures(name, variant, cell)
    ]
    assert broken == []
    for cell in found:
        if cell.format == "tflite" and not cell.error:
            assert [reading.target for reading in cell.targets] == list(matrix.TARGETS)
            assert cell.targets[0].n_mapped == cell.targets[0].n_ops
            if cell.way.startswith("int8"):
                assert cell.size_bytes < 0.5 * size_of(found, "float32") or cell.size_bytes < 40_000


def size_of(found: list[matrix.Cell], way: str) -> int:
    return next(cell.size_bytes for cell in found if cell.way == way and cell.format == "tflite")


def test_networks_of_two_inputs_get_one_of_each():
    settled = matrix.network("siamese_mnist", variant="pair", input_shape=zoo.get("siamese_mnist").small_shape)
    (cell,) = matrix.cells_of(settled, "float32", formats=("tflite",), targets=("cpu",))
    assert cell.error == ""
    assert len(settled.spec.inputs) == 2


@pytest.mark.parametrize(("name", "variant"), SUBSET)
def test_a_representative_network(name, variant):
    check(name, variant)


@pytest.mark.matrix
@pytest.mark.timeout(5400)
@pytest.mark.parametrize(("name", "variant"), WHOLE)
def test_every_network(name, variant):
    check(name, variant)


def test_what_fails_is_a_cell_and_not_an_exception(monkeypatch):
    from edgecv.core.errors import ConversionError

    def refuse(*arguments, **options):
        raise ConversionError("no such thing")

    monkeypatch.setattr(matrix, "convert", refuse)
    (cell,) = matrix.cells("lenet5", ways=("float32",), formats=("tflite",))
    assert cell.error == "ConversionError: no such thing"
    assert (cell.size_bytes, cell.targets) == (None, ())
