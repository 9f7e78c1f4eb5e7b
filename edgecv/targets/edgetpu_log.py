"""Reading what the Edge TPU compiler prints, and explaining its failures.

Source: logs that people published of compiler versions 1.0 to 16.0 (https://github.com/google-coral/edgetpu/issues),
and https://coral.ai/docs/edgetpu/compiler/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_ROW = re.compile(r"^(?P<op>[A-Za-z0-9_][\w-]*)\s+(?P<count>\d+)\s{2,}(?P<status>\S.*?)\s*$")
_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the operator table: so many operators of a kind have this status."""

    op: str
    count: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompilerLog:
    """What a log says; None where it does not.

    Attributes:
        on_chip_bytes: "On-chip memory used for caching model parameters"; as printed, so rounded to 0.01 MiB.
        remaining_bytes: "On-chip memory remaining for caching model parameters".
        streamed_bytes: "Off-chip memory used for streaming uncached model parameters".
        failure: The line that says why it failed, "" when it did not.
    """

    version: str = ""
    rows: tuple[Row, ...] = ()
    on_chip_bytes: int | None = None
    remaining_bytes: int | None = None
    streamed_bytes: int | None = None
    subgraphs: int | None = None
    operations: int | None = None
    compile_ms: int | None = None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why the compiler fails with a message, and what to do."""

    pattern: str
    meaning: str
    hint: str


EXPLANATIONS = (
    Explanation(
        r"Didn't find op for builtin opcode '(?P<op>\w+)' version '(?P<version>\d+)'",
        "the compiler reads files with TensorFlow Lite 2.6, which has no version {version} of {op}",
        "convert the model again with a converter that writes an older version of this operator; "
        "`edgecv inspect --target edgetpu` names the last one",
    ),
    Explanation(
        r"only supports static-sized tensors",
        "a tensor's size is only known at run time",
        "give the model fixed input sizes, and shapes as constants",
    ),
    Explanation(
        r"due to large activation tensors",
        "the activations between two operators do not fit the chip",
        "use a smaller input image or fewer channels in the first layers; compile an earlier part only "
        "(edgetpu_compiler -d searches one)",
    ),
    Explanation(
        r"Model not quantized",
        "the file holds float tensors only",
        "quantise it: edgecv quantize MODEL --scheme int8 --target edgetpu",
    ),
    Explanation(
        r"[Uu]nresolved custom op",
        "the file holds a custom operator that the compiler's interpreter lacks",
        "leave it out of the file and compute it on the host",
    ),
    Explanation(
        r"builtin_code out of range",
        "the file holds an operator that is newer than the compiler's TensorFlow Lite 2.6",
        "replace the operator; `edgecv inspect --target edgetpu` names it",
    ),
    Explanation(
        r"Internal compiler error",
        "the compiler itself broke; published cases depend on sizes and even on the trained weights",
        "change the input size or a layer's width a little, or compile an earlier part only (edgetpu_compiler -d)",
    ),
    Explanation(
        r"Model failed in Tflite interpreter",
        "the file does not run in the compiler's interpreter, TensorFlow Lite 2.6",
        "check it with `edgecv verify`, and convert it again",
    ),
    Explanation(
        r"Model could not be parsed|Invalid model",
        "the compiler cannot read the file",
        "convert it again; it may be newer than the compiler's TensorFlow Lite 2.6",
    ),
)
_FAILED = re.compile(
    r"^(ERROR: .+|Compilation failed: .+|Internal compiler error.*|Invalid model: .+|Model not .+)$", re.M
)


def parse(text: str) -> CompilerLog:
    """Read a compiler's output, or the .log file that it writes, or both after one another."""
    version = _VERSION.search(text)
    return CompilerLog(
        version=version[1] if version else "",
        rows=tuple(dict.fromkeys(_rows(text))),
        on_chip_bytes=_size(text, "On-chip memory used for caching model parameters"),
        remaining_bytes=_size(text, "On-chip memory remaining for caching model parameters"),
        streamed_bytes=_size(text, "Off-chip memory used for streaming uncached model parameters"),
        subgraphs=_number(text, r"Number of Edge TPU subgraphs: (\d+)"),
        operations=_number(text, r"Total number of operations: (\d+)"),
        compile_ms=_number(text, r"Models? compiled successfully in (\d+) ms"),
        failure=_failure(text),
    )


def _rows(text: str) -> Iterator[Row]:
    in_table = False
    for line in text.splitlines():
        if re.match(r"^Operator\s+Count\s+Status\s*$", line):
            in_table = True
        elif in_table and line.strip():
            found = _ROW.match(line)
            if found is None:
                in_table = False
                continue
            yield Row(op=found["op"], count=int(found["count"]), status=found["status"])


def explain(text: str) -> tuple[str, str]:
    """Return what a failing compiler's output means, and what to do: ("", general advice) when it is unknown."""
    for known in EXPLANATIONS:
        found = re.search(known.pattern, text)
        if found:
            return known.meaning.format(**found.groupdict()), known.hint
    return "", "compile an earlier part only (edgetpu_compiler -d searches one), or change sizes a little"


def _failure(text: str) -> str:
    if re.search(r"compiled successfully", text):
        return ""
    lines = [found[1].strip() for found in _FAILED.finditer(text)]
    # "Restored original execution plan" follows every failure and says nothing.
    telling = [line for line in lines if "Restored original execution plan" not in line]
    return next(iter([*telling, *lines]), "")


def _size(text: str, name: str) -> int | None:
    found = re.search(rf"{re.escape(name)}: ([\d.]+)\s*([KMG]?i?B)", text)
    return round(float(found[1]) * _UNITS[found[2]]) if found and found[2] in _UNITS else None


def _number(text: str, pattern: str) -> int | None:
    found = re.search(pattern, text)
    return int(found[1]) if found else None
