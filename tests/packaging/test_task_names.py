"""No stage holds the name of a task, of a kind of truth or of a metric: each asks the task of the head or target."""

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

from edgecv.tasks.registry import TASKS

PACKAGE = Path(__file__).parents[2] / "edgecv"
# A task may name itself; so may networks made for one, and readers, which say what a data set's truths are, or what the
# last layer of a format that was made for one task gives.
READERS = (
    "characters coco columns digits folder identities keras_sets masks npz objects pairs pictures scenes tfds voc yolo"
)
FREE = ("tasks/", "zoo/families/", "modelio/darknet/heads.py", *(f"data/{reader}.py" for reader in READERS.split()))

OTHER_WORDS = {
    ("compress/mask_output.py", "segmentation"): "surgery of how networks of this one task end",
    ("gates/checking.py", "regression"): "a figure that got worse, which is what regression tests look for",
    ("train/recipes.py", "mae"): "a loss, beside mse and huber",
    ("values/old_report.py", "mae"): "reports of schema 1 named the metrics of their time and no tasks",
    ("values/old_report.py", "top1"): "likewise",
    ("values/old_report.py", "exact_match"): "likewise",
    ("values/old_report.py", "classification"): "likewise",
    ("values/old_report.py", "multilabel"): "likewise",
    ("values/old_report.py", "regression"): "likewise",
}


def names() -> frozenset[str]:
    """Every registered task, the kinds of truth that it reads, and its metric."""
    return frozenset(name for own, task in TASKS for name in (own, task.metric.name, *task.reads))


def named(source: str, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Yield line and text of the strings that are a name; docstrings, strings that are statements, do not count."""
    tree = ast.parse(source)
    documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        literal = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents
        # Pieces of f-strings and keys such as "_top1" come with what joins them.
        if literal and node.value.strip(" _-:/.,()'") in known:
            yield node.lineno, node.value


@functools.cache
def everywhere() -> tuple[tuple[str, int, str], ...]:
    known = names()
    sources = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
    return tuple(
        (place, line, text)
        for place, path in sources.items()
        if not place.startswith(FREE)
        for line, text in named(path.read_text(encoding="utf-8"), known)
    )


def test_only_tasks_readers_and_network_families_name_a_task():
    found = [f"{place}:{line}: {text!r}" for place, line, text in everywhere() if (place, text) not in OTHER_WORDS]
    assert not found, "move what these lines know into the task, see docs/tasks.md:\n" + "\n".join(found)


def test_what_is_excused_is_still_there():
    assert {(place, text) for place, _, text in everywhere()} >= set(OTHER_WORDS)
    missing = [place for place in FREE if not (PACKAGE / place).exists()]
    assert not missing


def test_names_are_found_in_every_form():
    source = '''
"""classification"""
def f(head):
    """top1"""
    if head.task == "classification":
        return {"top1": 1}, f"val_{head.name}_top1", f"classification: {head}"
    return "no classification"
'''
    assert [line for line, _ in named(source, frozenset({"classification", "top1"}))] == [5, 6, 6, 6]
    assert {"regression", "mae", "detection"} <= names()
