"""What a head's settings say is read strictly, by every task."""

from __future__ import annotations

import dataclasses

import pytest

from edgecv.core.errors import ConfigError
from edgecv.tasks.registry import TASKS, task_of
from edgecv.values.specs import Head

NAMES = tuple(sorted(TASKS.names()))
WITH_SETTINGS = tuple(name for name in NAMES if dataclasses.fields(TASKS.get(name).Settings))


def head(task: str, **settings: object) -> Head:
    return Head("answer", task, "logits", ("a", "b"), settings=settings)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_the_settings_of_a_head_without_any(name):
    assert task_of(head(name)).settings(head(name)) == TASKS.get(name).Settings()


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_key_is_refused_when_a_file_is_checked(name):
    wrong = head(name, surprise=1)
    with pytest.raises(ConfigError, match=rf"settings of head 'answer' \({name}\): unknown key 'surprise'") as caught:
        task_of(wrong).check(wrong, [(1, 2)])
    assert "known keys: " in caught.value.hint


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_a_misspelt_key_is_told_the_nearest_one(name):
    for field in dataclasses.fields(TASKS.get(name).Settings):
        wrong = head(name, **{field.name + "s": field.default})
        with pytest.raises(ConfigError) as caught:
            task_of(wrong).settings(wrong)
        assert f"did you mean '{field.name}'?" in caught.value.hint


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_a_value_of_another_type_is_refused(name):
    for field in dataclasses.fields(TASKS.get(name).Settings):
        with pytest.raises(ConfigError, match=rf"\({name}\): {field.name}"):
            task_of(head(name)).settings(head(name, **{field.name: {"a": "table"}}))


def test_an_unknown_task_is_told_the_nearest_one():
    with pytest.raises(ConfigError, match="unknown task 'segmentacion'") as caught:
        task_of(head("segmentacion"))
    assert "did you mean 'segmentation'" in caught.value.hint
