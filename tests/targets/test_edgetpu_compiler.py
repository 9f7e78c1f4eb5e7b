"""Google's compiler behind its adapter, with a stand-in that answers in the wording of published logs."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgecv.cli.app import app
from edgecv.convert.embed import embed_tflite
from edgecv.core import files
from edgecv.core.errors import ConfigError, ConversionError, MissingDependencyError
from edgecv.graphs import read_graph
from edgecv.runtime.container import read_manifest
from edgecv.targets import compile_file, edgetpu, edgetpu_log, inspect_or_compile
from edgecv.targets.edgetpu import VARIABLE
from edgecv.targets.edgetpu_compiler import compile_for_edgetpu
from edgecv.targets.verdict import Request
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.profiles import target
from edgecv.values.specs import Head, one_input
from tests.graphs.tiny import N, Net, T, build, lenet
from tests.targets import fake_edgetpu_compiler as fake

SHAPE = (1, 4, 4, 2)


def chain() -> Net:
    """TANH, TANH, HARD_SWISH, TANH: the first two map, the others do not."""
    names = ["x", "a", "b", "c", "y"]
    ops = ["TANH", "TANH", "HARD_SWISH", "TANH"]
    return Net({n: T(SHAPE) for n in names}, [N(op, [i], [o]) for op, i, o in zip(ops, names, names[1:], strict=False)])


def compiled_chain(first: str = "b") -> Net:
    """What the compiler leaves of it: one operator in place of those up to tensor `first`."""
    rest = chain().ops[["a", "b", "c"].index(first) + 1 :]
    kept = {n: T(SHAPE) for n in sorted({"x", first, "b", "c", "y"})}
    return Net(kept, [N("edgetpu-custom-op", ["x"], [first]), *rest])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.v1.tflite"
    path.write_bytes(build(chain()))
    return path


@pytest.fixture
def compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put the stand-in where the compiler is looked for; returns the file that receives its arguments."""
    program = tmp_path / "bin" / "edgetpu_compiler"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {fake.__file__} "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    made = tmp_path / "made.tflite"
    made.write_bytes(build(compiled_chain()))
    monkeypatch.setenv(VARIABLE, str(program))
    monkeypatch.setenv("STAND_IN_MODEL", str(made))
    monkeypatch.setenv("STAND_IN_ARGUMENTS", str(tmp_path / "arguments"))
    return tmp_path / "arguments"


def test_log_of_a_success() -> None:
    names = {"source": "m.tflite", "output": "m_edgetpu.tflite", "log": "m_edgetpu.log"}
    text = fake.SUCCESS.format(
        version=fake.VERSION, started=fake.STARTED, finished=fake.FINISHED, table=fake.TABLE, **names
    )
    log = edgetpu_log.parse(text)
    assert log.version == "16.0.384591198"
    assert (log.on_chip_bytes, log.remaining_bytes, log.streamed_bytes) == (619_008, 523_776, 3_617_587)
    assert (log.subgraphs, log.operations, log.compile_ms, log.failure) == (1, 4, 542, "")
    assert [(r.op, r.count, r.status) for r in log.rows] == [
        ("TANH", 1, "More than one subgraph is not supported"),
        ("TANH", 2, "Mapped to Edge TPU"),
        ("HARD_SWISH", 1, "Operation not supported"),
    ]


def test_log_file_of_an_old_compiler() -> None:
    text = (
        "Edge TPU Compiler version 1.0.249710469\nInput: ./m.tflite\nOutput: m_edgetpu.tflite\n\n"
        "Operator                       Count      Status\n\n"
        "CONV_2D                        35         Mapped to Edge TPU\n"
        "edgetpu-custom-op              1          Mapped to Edge TPU\n"
    )
    log = edgetpu_log.parse(text)
    assert log.version == "1.0.249710469"
    assert [(r.op, r.count) for r in log.rows] == [("CONV_2D", 35), ("edgetpu-custom-op", 1)]
    assert log.on_chip_bytes is None


@pytest.mark.parametrize(
    ("case", "meaning", "hint"),
    [
        ("version", "no version 3 of QUANTIZE", "older version"),
        ("dynamic", "only known at run time", "fixed input sizes"),
        ("activations", "do not fit the chip", "smaller input image"),
        ("internal", "the compiler itself broke", "a little"),
        ("float", "float tensors only", "--scheme int8"),
        ("silent", "", "edgetpu_compiler -d"),
    ],
)
def test_failures_are_explained(compiler, source, tmp_path, monkeypatch, case, meaning, hint) -> None:
    monkeypatch.setenv("STAND_IN_CASE", case)
    with pytest.raises(ConversionError) as caught:
        compile_file(source, "edgetpu", tmp_path / "out")
    assert meaning in caught.value.message
    assert "edgecv's prediction was 2 of 4 operators mapped" in caught.value.message
    assert hint in caught.value.hint
    assert not (tmp_path / "out").exists(), "a failure writes nothing"
    assert "Restored original execution plan" not in caught.value.message


def test_compiled_file_log_and_verdict(compiler, source, tmp_path) -> None:
    found = compile_file(source, "edgetpu", tmp_path / "out")
    made = found.compilation
    assert made is not None
    assert Path(made.path).name == "model.v1_edgetpu.tflite"
    assert [op.op for op in read_graph(made.path).ops] == ["edgetpu-custom-op", "HARD_SWISH", "TANH"]
    assert "Mapped to Edge TPU" in Path(made.log).read_text()
    assert made.tool == "edgetpu_compiler 16.0.384591198"
    assert made.figures["on_chip_bytes"] == 619_008
    assert made.disagreements == ()
    assert [(o.mapped, o.certainty) for o in found.ops] == [(m, "accelerator") for m in (True, True, False, False)]
    assert [o.reason for o in found.ops[2:]] == ["Operation not supported", "More than one subgraph is not supported"]
    assert found.parameter_bytes.on_chip_memory == 619_008
    assert found.latency is not None
    assert found.latency.kind == "predicted"


def test_inspection_says_that_the_compiler_could_be_asked(compiler, source, tmp_path, monkeypatch) -> None:
    assert any("--compile asks it" in note for note in inspect_or_compile(source, "edgetpu").notes)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    assert not any("--compile" in note for note in inspect_or_compile(source, "edgetpu").notes)


def test_disagreements_are_listed(compiler, source, tmp_path) -> None:
    (tmp_path / "made.tflite").write_bytes(build(compiled_chain("a")))
    found = compile_file(source, "edgetpu", tmp_path / "out")
    assert found.compilation is not None
    (line,) = found.compilation.disagreements
    assert line.startswith("1 TANH: predicted on the accelerator (likely")
    assert any("counts 2 mapped operators" in note for note in found.notes)


def test_options_follow_the_version_and_the_target(compiler, source, tmp_path) -> None:
    compile_file(source, "edgetpu-runtime13", tmp_path / "out")
    arguments = compiler.read_text().splitlines()
    assert arguments[:2] == ["-s", "-o"]
    assert arguments[arguments.index("--min_runtime_version") + 1] == "13"
    assert int(arguments[arguments.index("--timeout_sec") + 1]) > 180
    assert arguments[-1].endswith(".tflite")


def test_existing_files_are_kept_without_force(compiler, source, tmp_path) -> None:
    compile_file(source, "edgetpu", tmp_path / "out")
    with pytest.raises(ConfigError, match="already exists"):
        compile_file(source, "edgetpu", tmp_path / "out")
    compile_file(source, "edgetpu", tmp_path / "out", force=True)


def test_a_hanging_compiler_is_killed_with_its_children(compiler, source, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("STAND_IN_CASE", "hang")
    monkeypatch.setenv("STAND_IN_PIDS", str(tmp_path / "pids"))
    request = Request(path=source, graph=read_graph(source), profile=target("edgetpu"))
    with pytest.raises(ConversionError, match="did not finish within"):
        compile_for_edgetpu(request, timeout_s=3.0)
    processes = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(processes) == 2
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in processes) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in processes)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_without_the_compiler_says_where_to_get_it(source, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(MissingDependencyError, match="edgetpu_compiler") as caught:
        compile_file(source, "edgetpu", tmp_path / "out")
    assert "coral.ai/docs/edgetpu/compiler" in caught.value.hint


def test_targets_without_a_compiler_and_a_lost_out(source, tmp_path) -> None:
    with pytest.raises(ConfigError, match="no compiler"):
        compile_file(source, "cpu", tmp_path / "out")
    with pytest.raises(ConfigError, match="--compile"):
        inspect_or_compile(source, "cpu", out=tmp_path)


@pytest.fixture
def with_manifest(tmp_path: Path) -> Path:
    head = Head("digits", "classification", "probabilities", tuple("0123456789"))
    manifest = Manifest(
        spec=one_input(name="lenet5", input_shape=(784,), heads=(head,)),
        format="tflite",
        scheme="int8",
        provenance=Provenance(recipe={"step": "convert"}, tools={"edgecv": "0"}),
        layer_map=("c1", "c1", "s2", "c3", "s4", "flat", "f5", "f6", "out"),
        golden_tolerance=0.25,
    )
    path = tmp_path / "lenet.tflite"
    path.write_bytes(embed_tflite(build(lenet()), manifest))
    return path


def test_command_writes_the_compiled_file_with_its_manifest(with_manifest, compiler, tmp_path) -> None:
    rest = lenet().ops[-1]
    cut = rest.inputs[0]
    tensors = {n: t for n, t in lenet().tensors.items() if n in ("x", cut, "y")}
    (tmp_path / "made.tflite").write_bytes(build(Net(tensors, [N("edgetpu-custom-op", ["x"], [cut]), rest])))
    arguments = ["inspect", with_manifest, "--target", "edgetpu", "--compile", "-o", tmp_path / "out", "--json"]
    done = CliRunner().invoke(app, [str(a) for a in arguments])
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert (document["n_mapped"], document["n_ops"]) == (8, 9)
    path = Path(document["compilation"]["path"])
    before, after = read_manifest(with_manifest), read_manifest(path)
    assert before is not None
    assert after is not None
    assert (after.target, after.spec, after.golden_tolerance) == ("edgetpu", before.spec, 0.25)
    assert after.layer_map == ("f6", "out")
    assert after.provenance.recipe == {"step": "compile", "target": "edgetpu"}
    assert after.provenance.tools == {"edgecv": "0", "edgetpu_compiler": "16.0.384591198"}
    assert after.provenance.parents[-1] == {"sha256": files.sha256(with_manifest), "step": "convert"}
    assert sorted(os.listdir(tmp_path / "out")) == ["lenet_edgetpu.log", "lenet_edgetpu.tflite"]
    assert (edgetpu.is_compiled(path), edgetpu.is_compiled(with_manifest)) == (True, False)
