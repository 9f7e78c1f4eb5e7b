from __future__ import annotations

import json

import pytest

from edgecv.cli.main import main
from edgecv.core.errors import ConfigError
from edgecv.targets import edgetpu_rules as rules
from edgecv.targets import parse_minimum
from edgecv.values import profiles
from tests.graphs.tiny import N, Net, T, build, constant, lenet


def chain(*ops: str) -> Net:
    names = ["x", *(f"t{i}" for i in range(1, len(ops))), "y"]
    tensors = {name: T((1, 4, 4, 2)) for name in names}
    return Net(tensors, [N(op, [a], [b]) for op, a, b in zip(ops, names, names[1:], strict=False)])


def test_advice_says_what_to_do_and_what_it_would_map(judge) -> None:
    found = judge(chain("TANH", "HARD_SWISH", "TANH", "TANH"))
    first, parts = found.advice
    assert (first.op, first.ops, first.cause, first.would_map) == ("HARD_SWISH", (1,), "table", 4)
    assert "ReLU6" in first.text
    assert (parts.cause, parts.ops, parts.would_map) == ("second_part", (2, 3), 3)
    assert "edgetpu_compiler -a" in parts.text


def test_the_change_that_maps_most_comes_first(judge) -> None:
    found = judge(chain("TANH", "ELU", "TANH", "TANH", "HARD_SWISH", "TANH"))
    assert [(a.op, a.would_map) for a in found.advice[:2]] == [("ELU", 4), ("HARD_SWISH", 1)]


def test_operators_with_the_same_advice_share_it(judge) -> None:
    net = chain("TANH", "RELU")
    net.tensors = {name: T(t.shape, "float32", None) for name, t in net.tensors.items()}
    (advice,) = judge(net).advice
    assert (advice.op, advice.ops, advice.would_map) == ("RELU, TANH", (0, 1), 2)
    assert "--scheme int8 --target edgetpu" in advice.text


def test_limits_have_their_own_advice(judge) -> None:
    resize = Net(
        {"x": T((1, 1, 1, 4)), "s": constant([33, 33]), "y": T((1, 33, 33, 4))},
        [N("RESIZE_BILINEAR", ["x", "s"], ["y"], None, 3)],
    )
    (advice,) = judge(resize).advice
    assert advice.cause == "resize_factor"
    assert "steps of 2" in advice.text


def test_a_rejected_file_names_the_operator_to_change(judge) -> None:
    net = chain("TANH", "CONV_2D")
    net.ops[1].version = 6
    (advice,) = judge(net).advice
    assert (advice.op, advice.ops, advice.cause) == ("CONV_2D", (1,), "version")


def test_what_maps_needs_no_advice(judge) -> None:
    assert judge(lenet()).advice == ()


def test_every_condition_and_limit_that_refuses_has_advice() -> None:
    profile = profiles.target("edgetpu")
    bounded = {name.removesuffix("_refused") for name in profile.limits if name.endswith("_refused")}
    sized = {"fits_tile", "transpose_fits", "precise_resize"}  # they refuse by a limit's name
    causes = (set(rules.CONDITIONS.names()) - sized) | bounded
    others = {"boundary", "type", "table", "custom", "rank", "runtime", "version", "dynamic", "second_part"}
    general = {name for name in profile.advice if "." not in name}
    assert general == causes | others
    seen = {name.removeprefix("table.") for name in profile.advice if name.startswith("table.")}
    assert not seen & set(profile.ops), "an operator of the table needs no replacement"


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("0.66", True),
        ("0.67", False),
        ("66%", True),
        ("67%", False),
        ("1", False),
        ("2", True),
        ("3", False),
        ("0", True),
    ],
)
def test_minimum_is_a_share_or_a_count(judge, text, passes) -> None:
    found = judge(chain("TANH", "TANH", "ELU"))
    assert (parse_minimum(text).failure(found) == "") is passes


def test_failure_names_the_first_operator_that_does_not_map(judge) -> None:
    failure = parse_minimum("3").failure(judge(chain("TANH", "TANH", "ELU")))
    assert "2 of 3 operators map to edgetpu (predicted), --min-mapped is 3" in failure
    assert "2 ELU" in failure


@pytest.mark.parametrize("text", ["many", "", "-0.1", "1.5", "101%", "-3", "nan"])
def test_wrong_minimum_is_a_config_error(text) -> None:
    with pytest.raises(ConfigError, match="--min-mapped"):
        parse_minimum(text)


def test_command_prints_advice_and_gates(tmp_path, capsys) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(chain("TANH", "HARD_SWISH", "TANH")))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(["inspect", str(path), "--target", "edgetpu", *arguments])
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    code, out, _ = run("--min-mapped", "1")
    assert (code, "to map more: HARD_SWISH #1: use ReLU6" in out, "(+2 operators)" in out) == (1, True, True)
    assert "latency: " in out
    code, out, err = run("--min-mapped", "50%", "--json")
    assert (code, json.loads(out)["advice"][0]["would_map"]) == (1, 3)
    assert "--min-mapped is 50%" in err
    assert "hint: use ReLU6" in err
    assert run("--min-mapped", "0.3")[0] == 0
    assert run("--min-mapped", "half")[0] == 2
