"""What evaluations and answers look like, for tasks that the commands know nothing of."""

from argparse import Namespace

import pytest

from edgecv.cli import render_answer, render_assess, render_models, render_optimize
from edgecv.values.evaluation import Evaluation, HeadEvaluation
from edgecv.values.scores import Metric, Table
from edgecv.values.specs import Head

MATRIX = Table("confusion", ("cat", "dog"), ("cat", "dog"), ((9.0, 1.0), (0.0, None)), corner="true")


def judged(name="tones", *, metric=Metric("loudness", "dB", "lower"), **changes):  # noqa: B008
    return HeadEvaluation(head=Head(name, "listening", "linear"), metric=metric, value=3.25, **changes)


@pytest.fixture
def shown(capsys):
    """Print an evaluation of these heads, and return the lines with single spaces."""

    def lines(*heads, **changes):
        facts = {"n": 12, "dataset": "songs", "split": "test", "dataset_sha256": "0", "engine": "LiteRT 2"}
        render_assess.evaluation(Evaluation(heads=heads, accelerator="cpu", **facts, **changes))
        return [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]

    return lines


def test_metric_and_further_figures(shown):
    lines = shown(judged(figures={"loudness": 3.25, "peak": 0.5, "gap": None}))
    assert lines == [
        "loudness 3.2500 (unit: dB) on 12 samples of songs (test)",
        "LiteRT 2, cpu",
        "peak 0.5",
        "unknown: gap",
    ]


def test_every_head_is_named_but_the_first(shown):
    lines = shown(judged(), judged("beat", metric=Metric("hits")))
    assert lines[-1] == "head beat: hits 3.2500"


def test_figures_per_label_and_tables(shown):
    lines = shown(judged(per_label={"low": {"peak": 0.25}, "high": {"gap": None}}, tables=(MATRIX,)))
    assert "low 0.2500" in lines
    assert "high unknown" in lines
    assert "cat 9 1" in lines
    assert "dog 0 unknown" in lines


def test_shares_of_labels_have_four_decimals_and_counts_none(shown):
    rows = {"low": {"recall": 1.0, "seen": 3.0}, "high": {"recall": 0.9, "seen": 1.0}}
    lines = shown(judged(per_label=rows))
    assert "low 1.0000 3" in lines
    assert "high 0.9000 1" in lines


def test_what_is_long_is_left_to_json(shown):
    names = tuple(map(str, range(31)))
    table = Table("confusion", names, names, ((1.0,) * 31,) * 31)
    lines = shown(judged(per_label={name: {"peak": 1.0} for name in names}, tables=(table,)))
    assert lines[2:] == ["figures of 31 labels: see --json", "confusion, 31 by 31: see --json"]


def test_where_it_ran(shown):
    found = {"adapter": "Mali", "precision": "float16", "fully_accelerated": False, "kind": "simulated", "device": "pi"}
    assert shown(judged(), **found)[1] == (
        "LiteRT 2, cpu (Mali, float16, in part, the rest on the CPU): simulated, on pi"
    )


@pytest.mark.parametrize(
    ("prediction", "lines"),
    [
        ({"labels": [{"label": "7", "score": 0.75}, {"label": "1", "score": 0.25}]}, ["0.7500 7", "0.2500 1"]),
        ({"same": True, "distance": 0.125, "threshold": None}, ["same: yes", "distance: 0.125", "threshold: unknown"]),
        ({"vector": [0.5] * 9}, ["vector: " + "0.5, " * 8 + "… (9 in all)"]),
        ({"shares": {"sky": 0.25}, "runs": [[0, 5], [1, 3]]}, ["shares: sky 0.25", "runs: (0, 5), (1, 3)"]),
        ({"objects": []}, ["objects: none"]),
    ],
)
def test_answers(capsys, prediction, lines):
    render_answer.answer({"heads": {"a": prediction}})
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()] == lines


def test_answers_of_several_heads_are_named(capsys):
    found = {"objects": [{"label": "cat", "score": 0.5, "xyxy": [1.0, 2.0]}]}
    render_answer.answer({"heads": {"boxes": found, "kind": {"labels": [{"label": "x", "score": 1.0}]}}})
    text = capsys.readouterr().out
    assert text.startswith("boxes:\n")
    assert text.endswith("kind:\n  1.0000  x\n")
    assert "1, 2" in text


def test_the_next_step_of_an_import_can_be_pasted(capsys):
    made = Namespace(
        path="my nets/a b.keras", name="a", format="onnx", input_shape=(8, 8, 3), labels=0, parameters=1, macs=1,
        size_bytes=1, nodes=None, outputs={}, differences={}, seen=None, open=("unit",),
    )  # fmt: skip
    render_models.imported(made)
    told = capsys.readouterr().out
    assert "edgecv spec 'my nets/a b.keras' --data D" in told
    assert "edgecv quantize 'my nets/a b.keras' --data D --preset unit --out 'a b.tflite'" in told


def test_a_search_that_was_interrupted_before_any_answer_has_no_empty_table(capsys):
    done = Namespace(
        metric="top1", baseline=0.9, n=5, rules=(), combinations=4, trials=(), shapes=0, device="local",
        kind="measured", accuracies=0, made=0, stopped="interrupted", unit="points", path="out", winner=None,
    )  # fmt: skip
    render_optimize.outcome(done)
    told = capsys.readouterr().out
    assert "stopped: interrupted" in told
    assert "candidate ┃" not in told
    assert "candidate |" not in told
    assert "times are" not in told
