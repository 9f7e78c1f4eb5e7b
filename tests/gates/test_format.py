import pytest

from edgecv import gates
from edgecv.core.errors import ConfigError

BOUND = "{reference = 1, tolerance_down = 0, tolerance_up = 0}"


def test_the_documented_example_parses(gates_file):
    text = gates.format.__doc__.split("\n\n", 1)[1]
    parsed = gates.load(gates_file(text))
    assert parsed.report == "demo/report.json"
    gate = parsed.gate[0]
    assert (gate.metric.low, gate.metric.high) == pytest.approx((0.98, 0.992))
    assert gate.size_bytes.explained == "narrower head"
    assert gate.mapped_ops["edgetpu"].reference == 9
    assert gate.latency_ratio[0].device == "local"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'[[gate]]\nartifact = "a"\nmetrc = {BOUND}', "did you mean 'metric'"),
        ('[[gate]]\nartifact = "a"\nmetric = {reference = 1, tolerance = 0}', "unknown key 'tolerance'"),
        ('[[gate]]\nartifact = "a"\nmetric = {reference = 1, tolerance_up = 0}', "'tolerance_down' is missing"),
        (f"[[gate]]\nmetric = {BOUND}", "'artifact' is missing"),
        (f'[[gates]]\nartifact = "a"\nmetric = {BOUND}', "did you mean 'gate'"),
        ('[[gate]]\nartifact = "a"', "no figure to check"),
        ("gate = []", "would check nothing"),
        ('report = "r.json"', "'gate' is missing"),
        ('[[gate]]\nartifact = "a"\nmetric = {reference = nan, tolerance_down = 0, tolerance_up = 0}', "finite"),
        ('[[gate]]\nartifact = "a"\nmetric = {reference = 1, tolerance_down = 0, tolerance_up = inf}', "finite"),
        ('[[gate]]\nartifact = "a"\nmetric = {reference = 1, tolerance_down = -1, tolerance_up = 0}', ">= 0"),
        ('[[gate]]\nartifact = "a"\nmetric = 0.98', "expected a table"),
        ("[[gate]", "not valid TOML"),
    ],
)
def test_a_wrong_file_is_refused(gates_file, text, message):
    path = gates_file(text)
    with pytest.raises(ConfigError) as caught:
        gates.load(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        gates.load(tmp_path / "gates.toml")
