"""A sample of `make fuzz`, and that the fuzzer sees what it looks for."""

from __future__ import annotations

import random
import time
import zipfile
from pathlib import Path

import pytest

from edgecv.core.errors import CrashError
from edgecv.graphs import read_onnx, read_tflite
from tests.fuzz import examiner, fuzz, raw
from tests.fuzz.corpus import corpus

FILES = 100
SEED = 29


def test_nothing_but_errors_of_edgecv_comes_of_damaged_files() -> None:
    """The readers of every kind, the interpreters and a few commands; `make fuzz` reads thousands, keras files too."""
    results = list(fuzz.examined(range(FILES), SEED, keras=False))
    assert len(results) == FILES
    assert {result.case.kind for result in results} == set(corpus(keras=False))
    assert any("command" in result.outcomes for result in results)
    assert not [finding for result in results for finding in result.findings]


@pytest.mark.slow
def test_nothing_but_errors_of_edgecv_comes_of_damaged_keras_files() -> None:
    kinds = dict(corpus())
    drawn = [i for i in range(3000) if fuzz.case(kinds, SEED, i).kind in ("keras", "h5", "weights", "onnx-import")][
        :150
    ]
    results = list(fuzz.examined(drawn, SEED))
    assert not [finding for result in results for finding in result.findings]


def test_a_file_of_a_seed_is_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = dict(corpus(keras=False))
    first = [fuzz.case(kinds, 3, i) for i in range(40)]
    now = time.localtime(time.time() + 60)
    monkeypatch.setattr(time, "localtime", lambda *_: now)
    assert first == [fuzz.case(kinds, 3, i) for i in range(40)]
    assert [each.data for each in first] != [fuzz.case(kinds, 4, i).data for i in range(40)]


def test_the_sound_files_are_taken_and_most_damaged_ones_differ(tmp_path: Path) -> None:
    kinds = corpus(keras=False)
    for name, read in (("tflite", read_tflite), ("onnx", read_onnx)):
        for place, data in enumerate(kinds[name].seeds):
            path = tmp_path / f"{place}.{name}"
            path.write_bytes(data)
            assert read(path).ops
    for name, kind in kinds.items():
        changed = [kind.mutate(kind.seeds[0], random.Random(i)) != kind.seeds[0] for i in range(30)]
        assert sum(changed) > 20, name


def test_damaged_flatbuffers_often_stay_flatbuffers(tmp_path: Path) -> None:
    """Else all would be refused at the door, and nothing behind it would be tried."""
    kind, whole = corpus(keras=False)["tflite"], 0
    for i in range(60):
        try:
            read_tflite(kind.mutate(kind.seeds[i % 3], random.Random(i)))
            whole += 1
        except Exception:
            continue
    assert whole > 15


@pytest.mark.parametrize("text", ["[1, {'a': 2}]".replace("'", '"'), '{"a": {"b": [1, 2, "x"]}, "c": null}'])
def test_json_is_damaged_anywhere(text: str) -> None:
    found = {raw.damaged_json(text, random.Random(i)) for i in range(50)}
    assert len(found) > 20


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), zipfile.BadZipFile("x")])
def test_a_bare_exception_is_a_finding(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def raises(path: Path) -> None:
        raise error

    monkeypatch.setitem(examiner._READERS, "spec", raises)
    told = examiner.Examiner.read(object.__new__(examiner.Examiner), "spec", "m.toml")
    assert told.startswith(examiner.FINDING)
    assert type(error).__name__ in examiner.signature(told)


def test_a_reader_that_ends_its_process_is_a_finding_and_an_interpreter_that_does_is_none(tmp_path: Path) -> None:
    class Dying:
        def call(self, *arguments: object, seconds: float) -> str:
            raise CrashError("m: running it ended the interpreter's process by SIGSEGV")

        def close(self, *, at_once: bool) -> None:
            return

    bench = fuzz.Bench(tmp_path)
    bench._children = {"read": Dying(), "interpret": Dying()}  # type: ignore[dict-item]
    result = bench.examine(fuzz.Case(1, "tflite", ".tflite", b""))
    assert len(result.findings) == 1
    assert "read" in result.findings[0]
    assert result.outcomes["interpret"] == "ended"
