"""Tables on narrow screens."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from edgecv.cli import console, render_assess, render_bench, screen
from edgecv.cli.tables import RULE, Column, layout
from edgecv.gates import GateResult
from edgecv.jobs.check import Outcome

NUMBERS = Column(name="p50 ms", cells=("12,345.678", "1.000"), number=True)
NAMES = Column(name="file", cells=("lenet5-pruned-int8.tflite", "a"))
WORDS = Column(name="why", cells=("one two three four five six seven eight nine ten", ""))


def names(found) -> list[str]:
    return [column.name for column in found.columns]


def test_a_pipe_gets_everything_unfolded() -> None:
    found = layout([NAMES, NUMBERS, WORDS], None)
    assert found.widths == (25, 10, 48)
    assert not found.dropped


def test_text_folds_before_a_column_goes() -> None:
    found = layout([NAMES, NUMBERS, WORDS], 80)
    assert names(found) == ["file", "p50 ms", "why"]
    assert sum(found.widths) + 2 * RULE == 80
    assert found.widths[1] == 10


def test_columns_give_way_by_rank_then_from_the_right() -> None:
    ranked = Column(name="load ms", cells=("1.5", "2.5"), number=True, rank=0)
    assert names(layout([NAMES, ranked, NUMBERS, WORDS], 66)) == ["file", "p50 ms", "why"]
    narrow = layout([NAMES, ranked, NUMBERS, WORDS], 30)
    assert names(narrow) == ["file", "p50 ms"]
    assert narrow.remarks == ("no room for: load ms, why (widen the window, or --json)",)


def test_what_all_rows_share_is_said_below() -> None:
    kind = Column(name="kind", cells=("measured", "measured"), rank=0)
    found = layout([NAMES, NUMBERS, kind], 40)
    assert names(found) == ["file", "p50 ms"]
    assert found.remarks == ("kind: measured",)


def test_how_figures_came_about_stays_where_it_differs() -> None:
    kind = Column(name="kind", cells=("measured", "simulated"), rank=0, kind=True)
    assert names(layout([NAMES, NUMBERS, kind], 40)) == ["file", "kind"]


def test_an_empty_column_is_the_first_to_go() -> None:
    empty, ranked = Column(name="note", cells=("", "")), Column(name="op", cells=("ADD", "MUL"), rank=0)
    found = layout([NAMES, ranked, NUMBERS, empty], 48)
    assert names(found) == ["file", "op", "p50 ms"]
    assert found.remarks == ()


@pytest.mark.parametrize("width", [44, 60, 80, 120])
@pytest.mark.parametrize("seed", range(20))
def test_a_table_fits_and_figures_keep_their_width(seed: int, width: int) -> None:
    rng = random.Random(seed)
    columns = [
        Column(
            name=f"column {i}",
            cells=("123.456",) if i and rng.random() < 0.5 else ("ab " * rng.randrange(15),),
            number=False,
            rank=rng.choice([None, 0, 1, 2]),
        )
        for i in range(rng.randrange(1, 10))
    ]
    columns = [replace(column, number=column.cells == ("123.456",)) for column in columns]
    found = layout(columns, width)
    assert sum(found.widths) + RULE * (len(found.widths) - 1) <= width
    assert found.columns[0] is columns[0]
    assert {id(c) for c in (*found.columns, *found.dropped)} == {id(c) for c in columns}
    for column, given_width in zip(found.columns, found.widths, strict=True):
        assert given_width >= column.natural or not column.number


@pytest.mark.parametrize("columns", [60, 80])
def test_printed_lines_fit(columns, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    rows = [
        (f"lenet5-pruned-int8-{i}.tflite", "litert 2.1.0 cpu", "1.250", "[0.981, 1.022]", "measured") for i in range(3)
    ]
    header = ("file", "engine", "p50 ms", "95 % interval", "kind")
    console.emit_table("a title", header, rows, right=(2, 3), spare=("engine",))
    out = capsys.readouterr().out
    assert all(len(line) <= columns for line in out.splitlines())
    assert out.count("[0.981, 1.022]") == 3
    assert out.startswith("a title\n")


def test_prose_folds_between_words_and_keeps_its_indent() -> None:
    text = "  note: one two three four\nshort"
    assert screen.folded(text, 16) == "  note: one two\n    three four\nshort"
    assert screen.folded("/a/very/long/path/that-has-no-blank", 10) == "/a/very/long/path/that-has-no-blank"


def gate(artifact: str, status: str, hint: str = "") -> GateResult:
    return GateResult(
        artifact=artifact, figure="metric", where="g", status=status, message=f"{artifact} says", hint=hint
    )


def test_gates_that_fail_come_first_and_the_others_when_asked(capsys) -> None:
    results = (gate("a", "pass"), gate("b", "regression", "look at b"), gate("c", "pass"))
    outcome = Outcome(passed=False, results=results, failure="")
    render_assess.gates(outcome)
    assert capsys.readouterr().out == "2 of 3 pass\nFAIL b, metric: b says\n  next: look at b\n"
    render_assess.gates(outcome, everything=True)
    assert "c says" in capsys.readouterr().out
    render_assess.gates(Outcome(passed=True, results=results[:1], failure=""))
    assert capsys.readouterr().out == "1 of 1 pass: every figure of 1 artifact is within its bounds\n"


def test_a_warning_of_several_files_is_said_once() -> None:
    told = [("a", "load 3.04 on 2 CPUs"), ("b", "load 3.10 on 2 CPUs"), ("a", "no governor"), ("b", "no governor")]
    assert render_bench.warned(told) == [
        "warning: a, and 1 other alike: load 3.04 on 2 CPUs",
        "warning: 2 files (a, b): no governor",
    ]
    assert render_bench.warned([("a", "x")]) == ["warning: a: x"]


def test_a_reporter_says_a_thing_once_and_how_far_long_work_is(capsys) -> None:
    seconds = iter([0.0, 1.0, 11.0, 11.0, 12.0])
    reporter = console.ConsoleReporter(clock=lambda: next(seconds))
    reporter.warn("hot")
    reporter.warn("hot")
    with reporter.bar("train", 5) as advance:
        advance(1, note="loss 2")
        advance(0, note="step 1/9")
        advance(1, note="loss 1")
    assert capsys.readouterr().err.splitlines() == [
        "warning: hot", "train …", "train: 1 of 5, step 1/9", "train: loss 1",
    ]  # fmt: skip


def test_wide_characters_take_two_places() -> None:
    assert Column(name="label", cells=("犬猫",)).natural == 5
    assert Column(name="a", cells=("犬猫犬",)).natural == 6
