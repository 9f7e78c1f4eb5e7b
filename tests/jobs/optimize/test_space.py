"""Spaces as data, the candidates of them, the recipes they are, and the rules that leave some out."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecv.core.errors import ConfigError
from edgecv.jobs import compress_recipe
from edgecv.jobs.optimize import space as spaces
from edgecv.jobs.optimize.candidates import candidate, recipe_of
from edgecv.jobs.optimize.knobs import KNOBS
from edgecv.jobs.optimize.recipe_file import toml_of
from edgecv.jobs.optimize.rules import Facts, enumerated
from edgecv.jobs.optimize.writing import space_toml


def read(tmp_path: Path, text: str) -> spaces.Space:
    path = tmp_path / "space.toml"
    path.write_text(text)
    return spaces.read(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no knobs"),
        ("slim = 1\n", "must be a table"),
        ("[slim]\nmacz = [0.5]\n", "did you mean 'slim.macs'"),
        ("[slim]\nmacs = 0.5\n", "must be a list"),
        ("[slim]\nmacs = []\n", "at least one value"),
        ("[slim]\nmacs = [0.5, 0.5]\n", "twice"),
        ("[slim]\nmacs = [0.0]\n", "a share above 0"),
        ("[slim]\nmacs = [1.5]\n", "a share above 0"),
        ("[slim]\nmacs = ['half']\n", "takes float or int"),
        ("[slim]\nmacs = [true]\n", "takes float or int"),
        ("[slim]\nepochs = [0]\n", "1 or more"),
        ("[quantize]\nscheme = ['int7']\n", "int16x8"),
        ("[quantize]\nkeep_float = ['conv1']\n", "list of layer names"),
        ("[prune]\nsparsity = [1.0]\n", "below 1"),
        ("[prune]\nsparse = ['yes']\n", "takes bool"),
        ("[quantize]\narithmetic = ['bfloat16']\n", "float16"),
        ("[device]\nthreads = [0]\n", "1 or more"),
    ],
)
def test_a_wrong_space_is_refused_with_the_way_out(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert said in str(error.value)


def test_a_space_reads_back_from_what_is_written_of_it(tmp_path: Path) -> None:
    given = spaces.space(
        {"slim.macs": [1, 0.5], "quantize.keep_float": [[], ["conv*", "out"]], "device.threads": [1, 2]}
    )
    assert read(tmp_path, space_toml(given)) == given
    assert given.size == 8


def test_candidates_that_are_the_same_recipe_are_one() -> None:
    given = spaces.space({"slim.macs": [1.0, 0.5], "slim.epochs": [2, 4], "quantize.scheme": ["float32", "int8"],
                          "quantize.rung": ["plain", "adaround"]})  # fmt: skip
    found, applied = enumerated(given, Facts())
    # As it is or slimmed with 2 or 4 epochs, each float32, int8 plain or int8 adaround.
    assert len(found) == 9
    assert len({one.id for one in found}) == 9
    assert {rule.rule: rule.combinations for rule in applied} == {"same": 7}


def test_rules_name_what_they_leave_out_and_why() -> None:
    given = spaces.space({"slim.macs": [1.0, 0.5], "quantize.scheme": ["float32", "int8", "int4"]})
    found, applied = enumerated(given, Facts(target="edgetpu", schemes=("int8",), slimmable="every channel is tied"))
    assert [one.label for one in found] == ["int8"]
    assert [(rule.rule, rule.combinations) for rule in applied] == [("target", 4), ("slim", 1)]
    assert "edgetpu" in applied[0].why
    assert applied[1].why == "every channel is tied"
    with pytest.raises(ConfigError, match="every channel is tied"):
        enumerated(spaces.space({"slim.macs": [0.5]}), Facts(slimmable="every channel is tied"))


def test_zeros_change_the_time_of_a_file_that_leaves_them_out_and_of_no_other() -> None:
    given = spaces.space({"prune.sparsity": [0.0, 0.7, 0.8], "prune.sparse": [False, True],
                          "quantize.scheme": ["float32", "int8"]})  # fmt: skip
    found, _ = enumerated(given, Facts())
    assert {one.label for one in found} == {
        "float32", "int8", "zeros 0.7, float32", "zeros 0.8, float32", "zeros 0.7, int8", "zeros 0.8, int8",
        "zeros 0.7, zeros left out, float32", "zeros 0.8, zeros left out, float32",
    }  # fmt: skip
    shapes = {one.label: one.shape for one in found}
    assert shapes["float32"] == shapes["zeros 0.7, float32"] == shapes["zeros 0.8, float32"]
    assert len({shapes[label] for label in shapes if "left out" in label} | {shapes["float32"]}) == 3
    sparse = next(one for one in found if one.label.startswith("zeros 0.8, zeros left out"))
    alone, _ = enumerated(spaces.space({"prune.sparsity": [0.0, 0.8], "prune.sparse": [True]}), Facts())
    assert [one.label for one in alone] == ["float32", "zeros 0.8, zeros left out, float32"]
    prune, convert = recipe_of(sparse, data="digits", seed=0).steps
    assert (prune.method, prune.options) == ("prune", {"sparsity": 0.8})
    assert convert.options == {"scheme": "float32", "target": "cpu", "sparse": True}


def test_files_computed_in_float16_are_left_out_where_nothing_can_judge_them() -> None:
    given = spaces.space({"quantize.scheme": ["float16", "int8"], "quantize.arithmetic": ["float32", "float16"]})
    found, _ = enumerated(given, Facts())
    assert [one.label for one in found] == ["float16", "float16, computed in float16", "int8"]
    assert [one.answers_there for one in found] == [False, True, False]
    assert len({one.shape for one in found}) == 3
    assert recipe_of(found[1], data=None, seed=0).steps[-1].options["arithmetic"] == "float16"
    left, applied = enumerated(given, Facts(half="no CPU here does"))
    assert [one.label for one in left] == ["float16", "int8"]
    assert ("arithmetic", "no CPU here does") in [(rule.rule, rule.why) for rule in applied]


def test_a_space_that_cannot_be_counted_out_is_refused() -> None:
    many = [round(0.0001 * i, 4) for i in range(1, 1001)]
    with pytest.raises(ConfigError, match="1,000,000 combinations"):
        enumerated(spaces.space({"slim.macs": many, "low_rank.energy": many}), Facts())


def test_every_value_of_every_knob_is_a_recipe_that_compress_accepts(tmp_path: Path) -> None:
    values = {"slim.macs": 0.5, "slim.bytes": 0.5, "low_rank.energy": 0.7, "units.drop": 1, "prune.sparsity": 0.5}
    for name, kind in KNOBS.items():
        some = kind.choices or (
            values.get(name, 0.5 if float in kind.kinds else ("conv1",) if tuple in kind.kinds else 2),
        )
        if name == "quantize.calibration":
            some = ("percentile",)
        for value in some:
            base = {"quantize.scheme": "int8", "slim.macs": 0.5} if not name.startswith("slim.bytes") else {}
            one = candidate({**base, name: value})
            path = tmp_path / "recipe.toml"
            path.write_text(toml_of(recipe_of(one, data="digits", seed=3), ["a remark"]))
            recipe = compress_recipe.read(path)
            assert recipe.seed == 3
            assert recipe.steps == recipe_of(one, data="digits", seed=3).steps


def test_a_recipe_is_its_steps_in_order_with_a_share_of_the_epochs() -> None:
    one = candidate({"slim.macs": 0.5, "slim.epochs": 9, "slim.rounds": 2, "quantize.scheme": "int8",
                     "quantize.method": "qat", "quantize.epochs": 2, "quantize.rung": "adaround"})  # fmt: skip
    slim, quantize = recipe_of(one, data=None, seed=0, epochs=1 / 3).steps
    assert (slim.method, slim.options["macs"], slim.options["epochs"], slim.options["rounds"]) == ("slim", 0.5, 3, 2)
    assert (quantize.method, quantize.options["by"], quantize.options["epochs"]) == ("quantize", "qat", 1)
    # Training with quantisation learns its own rounding: steps before calibration mean nothing beside it.
    assert "adaround" not in quantize.options
    assert one["quantize.rung"] == "plain"
    assert one.trains
    assert one.epochs == 11


def test_every_way_of_slimming_trains_at_the_rate_of_its_table() -> None:
    settings = {"slim.macs": 0.5, "low_rank.energy": 0.7, "units.drop": 1}
    rates = {"slim.learning_rate": 0.002, "low_rank.learning_rate": 0.003, "units.learning_rate": 0.004}
    steps = recipe_of(candidate({**settings, **rates}), data=None, seed=0).steps
    assert [step.options["learning_rate"] for step in steps if step.method == "slim"] == [0.002, 0.003, 0.004]
    default = recipe_of(candidate(settings), data=None, seed=0).steps
    assert not any("learning_rate" in step.options for step in default)
    # A rate means nothing where its table does nothing.
    assert candidate({"units.learning_rate": 0.004}).id == candidate({}).id


def test_only_what_changes_the_operators_is_timed_anew() -> None:
    plain = candidate({"slim.macs": 0.5, "slim.epochs": 2, "quantize.scheme": "int8"})
    longer = candidate({"slim.macs": 0.5, "slim.epochs": 8, "quantize.scheme": "int8", "quantize.rung": "equalise"})
    wider = candidate({"slim.macs": 0.6, "slim.epochs": 2, "quantize.scheme": "int8"})
    threads = candidate({"slim.macs": 0.5, "slim.epochs": 2, "quantize.scheme": "int8", "device.threads": 2})
    assert plain.shape == longer.shape
    assert len({plain.shape, wider.shape, threads.shape}) == 3


def test_a_label_speaks_of_what_differs_and_always_of_the_type() -> None:
    given = spaces.space({"slim.macs": [1.0, 0.5], "slim.epochs": [3], "quantize.scheme": ["int8"]})
    assert [one.label for one in enumerated(given, Facts())[0]] == ["int8", "MACs 0.5, int8"]
    assert candidate({}).label == "float32"
