"""Running the compilers that vendors ship: finding them, killing them with their children, reading what they left."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecv.convert.embed import embed_tflite
from edgecv.core import files
from edgecv.core.errors import ConversionError, MissingDependencyError
from edgecv.graphs import Graph
from edgecv.graphs.layers import layer_names
from edgecv.runtime.container import read_manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a process left: its exit status and everything that it wrote."""

    returncode: int
    output: str


Tool = Callable[[Sequence[str], Path, float], Finished]
"""Runs a command in a folder, for so many seconds at most."""


def find_tool(name: str, variable: str) -> str | None:
    """Return the path of a program, or None: what an environment variable names, else one beside Python or on PATH."""
    named = os.environ.get(variable)
    if named:
        return shutil.which(named)
    return shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)


def require_tool(name: str, variable: str, *, why: str, hint: str) -> str:
    """Return the path of a program.

    Raises:
        MissingDependencyError: It is not there; `hint` says how to get it.
    """
    found = find_tool(name, variable)
    if found is None:
        named = os.environ.get(variable)
        where = f"'{named}', which {variable} names, cannot be run" if named else "it is not on PATH"
        raise MissingDependencyError(f"the program '{name}' is needed {why}; {where}", hint=hint)
    return found


def run_tool(command: Sequence[str], folder: Path, timeout_s: float) -> Finished:
    """Run a command with its output captured; it and its children are killed when time is up or edgecv is interrupted.

    Raises:
        ConversionError: It did not finish in time, or cannot be started.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(
            list(command), cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise ConversionError(
            f"{name} cannot be started: {error}", hint="check that it is built for this CPU"
        ) from error
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        raise ConversionError(
            f"{name} did not finish within {timeout_s:.0f} s", hint="give it more time, or a smaller model"
        ) from None
    finally:
        _kill_group(process)
    return Finished(returncode=process.returncode, output=output)


def _kill_group(process: subprocess.Popen[str]) -> None:
    # Compilers fork; the group outlives its leader.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)


def left_on_cpu(graph: Graph, compiled: Graph, custom: str) -> frozenset[int]:
    """Return which operators of a file its compiled form still holds, told by the names of their outputs.

    Args:
        graph: The file before compilation.
        compiled: The file that the compiler wrote.
        custom: The operator that stands for the compiled ones.
    """
    kept = {compiled.tensors[t].name for op in compiled.ops if op.op != custom for t in op.outputs if t >= 0}
    return frozenset(op.index for op in graph.ops if any(tensor.name in kept for tensor in graph.outputs_of(op)))


def with_manifest(source: Path, graph: Graph, compiled: Graph, data: bytes, *, target: str, tool: str) -> bytes:
    """Return a compiled file with the manifest of the file that it was made from, brought up to date.

    Args:
        source: The file before compilation; without a manifest, `data` is returned as it is.
        graph: Of `source`; `compiled` of `data`.
        data: The compiled file.
        target: Name of the target.
        tool: Name and version of the compiler: "ethos-u-vela 5.2.0".
    """
    manifest = read_manifest(source)
    if manifest is None:
        return data
    layers = layer_names(graph, manifest.layer_map)
    by_output = {t.name: layer for op, layer in zip(graph.ops, layers, strict=True) for t in graph.outputs_of(op)}
    name, _, version = tool.rpartition(" ")
    origin = manifest.provenance
    sha = files.sha256(source)
    provenance = dataclasses.replace(
        origin,
        source_sha256=sha,
        recipe={"step": "compile", "target": target},
        tools={**origin.tools, name: version},
        parents=(*origin.parents, {"sha256": sha, "step": str(origin.recipe.get("step", "convert"))}),
    )
    layer_map = tuple(
        next((by_output[t.name] for t in compiled.outputs_of(op) if by_output.get(t.name)), "") for op in compiled.ops
    )
    updated = dataclasses.replace(manifest, target=target, layer_map=layer_map, provenance=provenance)
    return embed_tflite(data, updated)
