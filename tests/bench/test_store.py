from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgecv.bench import BenchPlan, ResultsFile
from edgecv.bench.devices.fake import FakeDevice
from edgecv.bench.records import Launch, Measurement, Run
from edgecv.bench.store import measurement_key
from edgecv.core.errors import ConfigError

RUN = Run(
    engine="e 1",
    accelerator="cpu",
    kind="measured",
    cpu=None,
    iterations=3,
    load_ms=1.0,
    first_ms=2.0,
    peak_rss_bytes=None,
    stable=True,
    wall_ms=(0.5, 0.25),
    cpu_ms=(0.5, 0.25),
    switches=(0, None),
)
MEASUREMENT = Measurement(key="k", name="n", launches=(Launch(case=RUN, baseline=None, seconds=0.5),), complete=True)


def test_measurements_survive_the_file(tmp_path):
    store = ResultsFile(tmp_path / "r.json")
    assert store.read() == ()
    pair = replace(MEASUREMENT, key="l", launches=(Launch(case=RUN, baseline=RUN, seconds=1.0),))
    store.save(replace(MEASUREMENT, complete=False))
    store.save(pair)
    store.save(MEASUREMENT)
    assert ResultsFile(store.path).read() == (MEASUREMENT, pair)


def test_what_the_file_had_is_kept(tmp_path):
    ResultsFile(tmp_path / "r.json").save(MEASUREMENT)
    ResultsFile(tmp_path / "r.json").save(replace(MEASUREMENT, key="other"))
    assert len(ResultsFile(tmp_path / "r.json").read()) == 2


def test_two_writers_of_one_file_keep_each_others_rows(tmp_path):
    first, second = ResultsFile(tmp_path / "r.json"), ResultsFile(tmp_path / "r.json")
    for turn in range(4):
        first.save(replace(MEASUREMENT, key=f"first {turn}"))
        second.save(replace(MEASUREMENT, key=f"second {turn}"))
    second.save(replace(MEASUREMENT, key="first 0", name="changed by the other"))
    first.save(replace(MEASUREMENT, key="first 1", complete=False))
    found = {row.key: row for row in ResultsFile(tmp_path / "r.json").read()}
    assert len(found) == 8
    assert found["first 0"].name == MEASUREMENT.name, "the first one measured it, and wrote last"
    assert not found["first 1"].complete


def test_two_processes_write_one_file_at_once(tmp_path):
    code = (
        "import sys\nfrom dataclasses import replace\nfrom edgecv.bench import ResultsFile\n"
        "from tests.bench.test_store import MEASUREMENT\nstore = ResultsFile(sys.argv[1])\n"
        "for i in range(40): store.save(replace(MEASUREMENT, key=f'{sys.argv[2]} {i}'))\n"
    )
    path = tmp_path / "r.json"
    root = Path(__file__).parents[2]
    commands = [[sys.executable, "-c", code, str(path), name] for name in ("a", "b")]
    writers = [subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}) for command in commands]
    assert [writer.wait(100) for writer in writers] == [0, 0]
    assert {row.key for row in ResultsFile(path).read()} == {f"{name} {i}" for name in "ab" for i in range(40)}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": "edgecv.report/1"}'])
def test_other_files_are_refused_and_stay(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"r\.json"):
        ResultsFile(path).save(MEASUREMENT)
    assert path.read_text() == text


def test_an_unknown_key_in_a_measurement_is_named(tmp_path):
    path = tmp_path / "r.json"
    ResultsFile(path).save(MEASUREMENT)
    document = json.loads(path.read_text())
    document["measurements"][0]["nmae"] = "x"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match="measurement 0: unknown key 'nmae'"):
        ResultsFile(path).read()


def test_keys_are_about_contents(case_of, tmp_path):
    device, chosen = FakeDevice({}), BenchPlan()
    case = case_of("a")
    key = measurement_key(case, None, chosen, device)
    assert key == measurement_key(replace(case, name="renamed"), None, chosen, device)
    others = {
        measurement_key(replace(case, threads=2), None, chosen, device),
        measurement_key(case, case, chosen, device),
        measurement_key(case, None, replace(chosen, seed=1), device),
        measurement_key(case, None, chosen, FakeDevice({}, name="other")),
    }
    assert len(others | {key}) == 5
