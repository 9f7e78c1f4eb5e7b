"""docs/tasks.md lists the protocol, all of it."""

import re
from pathlib import Path

from edgecv.core import codec
from edgecv.tasks.base import BaseTask
from edgecv.tasks.learning import TrainingTask
from edgecv.tasks.protocol import Task
from edgecv.tasks.registry import task_of
from edgecv.values.profiles import read_toml
from edgecv.values.specs import Head

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text()


def members(protocol):
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_every_member_is_in_a_table():
    listed = re.findall(r"(?m)^\| `(\w+)", PAGE)
    assert len(listed) == len(set(listed))
    assert set(listed) == members(Task) | members(TrainingTask)


def test_what_has_a_default_is_said_to_have_one():
    rows = re.findall(r"(?m)^\| `(\w+)[^|]*\|([^|]*)\|[^|]*\|$", PAGE)
    said = {name for name, default in rows if default.strip()}
    own = {"name", "metric", "reads"}
    assert said == (members(BaseTask) & members(Task)) - own


def test_its_settings_decode(tmp_path):
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    (tmp_path / "h.toml").write_text(text)
    (document,) = read_toml(tmp_path / "h.toml", what="spec")["heads"]
    head = codec.decode(Head, document, where="docs/tasks.md")
    assert task_of(head).settings(head).ignore_index == 255
