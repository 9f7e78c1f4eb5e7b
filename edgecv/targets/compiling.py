"""`edgecv inspect --compile`: the vendor's compiler makes the file, and its verdict is compared with the prediction."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgecv.core import files
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.registry import Registry
from edgecv.graphs import read_graph, read_tflite
from edgecv.targets.inspection import describe, inspect
from edgecv.targets.vendor import with_manifest
from edgecv.targets.verdict import Procedure, Request, Verdict
from edgecv.values import profiles
from edgecv.values.inspection import Compilation, Inspection


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """What a compiler made of a file.

    Attributes:
        data: The compiled .tflite.
        log: Everything that the compiler said.
        suffix: What its files are named by: "_edgetpu".
        tool: Name and version.
        verdict: What it did with each operator.
        figures: Its own figures, by name with units.
    """

    data: bytes
    log: str
    suffix: str
    tool: str
    verdict: Verdict
    figures: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiler:
    """A vendor's compiler, and what predicts its verdict without it."""

    compile: Callable[[Request], Compiled]
    predict: Procedure


COMPILERS: Registry[Compiler] = Registry("compiler")
"""By the name of the verdict procedure of the targets that they compile for."""


def compile_file(
    path: files.PathLike, target_name: str, out: files.PathLike, *, force: bool = False, reporter: Reporter = QUIET
) -> Inspection:
    """Compile a file for a target with the vendor's compiler, and write the result beside its log.

    Args:
        path: A quantised `.tflite` file.
        target_name: Name of a target, or path of a target's TOML file.
        out: Folder to write NAME_SUFFIX.tflite and NAME_SUFFIX.log to; the manifest goes along.
        force: Replace what exists.
        reporter: Is told what runs.

    Returns:
        The inspection as the compiler decided, with the prediction's disagreements in `compilation`.

    Raises:
        ConfigError: The target has no compiler, or a file exists and `force` is false.
        MissingDependencyError: The compiler is not installed.
        ConversionError: It fails; the message explains why.
    """
    profile, source = profiles.target(target_name), Path(path)
    if profile.verdict not in COMPILERS:
        known = ", ".join(n for n in profiles.target_names() if profiles.target(n).verdict in COMPILERS)
        raise ConfigError(f"target '{profile.name}' has no compiler", hint=f"targets with one: {known}")
    compiler, graph = COMPILERS.get(profile.verdict), read_graph(source)
    request = Request(path=source, graph=graph, profile=profile, reporter=reporter)
    predicted = describe(source, profile, graph, compiler.predict(request))
    made = _compile(compiler, request, predicted)
    model = files.check_output(Path(out) / f"{source.stem}{made.suffix}.tflite", force=force)
    log = files.check_output(model.with_suffix(".log"), force=force)
    data = with_manifest(source, graph, read_tflite(made.data), made.data, target=profile.name, tool=made.tool)
    files.write_bytes(model, data)
    files.write_text(log, made.log)
    found = describe(source, profile, graph, made.verdict)
    compilation = Compilation(
        tool=made.tool,
        path=str(model),
        log=str(log),
        size_bytes=len(data),
        figures=made.figures,
        disagreements=disagreements(predicted, found),
    )
    return dataclasses.replace(found, compilation=compilation)


def inspect_or_compile(
    path: files.PathLike,
    target_name: str,
    *,
    compile_: bool = False,
    out: files.PathLike | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Inspection:
    """Inspect a file, or compile it as `compile_file` does, to its own folder when `out` is None.

    Raises:
        ConfigError: `out` is given and nothing is compiled; otherwise as `inspect` and `compile_file`.
    """
    if not compile_:
        if out is not None:
            raise ConfigError("--out is where --compile writes", hint="add --compile, or leave --out away")
        return inspect(path, target_name, reporter=reporter)
    return compile_file(path, target_name, Path(path).parent if out is None else out, force=force, reporter=reporter)


def _compile(compiler: Compiler, request: Request, predicted: Inspection) -> Compiled:
    try:
        return compiler.compile(request)
    except ConversionError as error:
        expected = f"edgecv's prediction was {predicted.n_mapped} of {predicted.n_ops} operators mapped"
        raise ConversionError(f"{error.message}; {expected}", hint=error.hint) from error


def disagreements(predicted: Inspection, compiled: Inspection) -> tuple[str, ...]:
    """Return a sentence for each operator that the prediction places differently."""
    return tuple(
        f"{ours.index} {ours.op}: predicted {_place(ours.mapped)} ({ours.certainty}: {ours.reason or ours.status}), "
        f"compiled {_place(theirs.mapped)} ({theirs.reason or theirs.status})"
        for ours, theirs in zip(predicted.ops, compiled.ops, strict=True)
        if ours.mapped != theirs.mapped
    )


def _place(mapped: bool) -> str:
    return "on the accelerator" if mapped else "on the CPU"
