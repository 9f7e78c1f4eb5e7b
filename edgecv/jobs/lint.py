"""Reading TOML files of edgecv as strictly as the commands that use them do, without a model or an interpreter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgecv import gates
from edgecv.core.errors import ConfigError
from edgecv.core.shown import Shown
from edgecv.tasks.registry import task_of
from edgecv.values.profiles import read_toml
from edgecv.values.spec_file import spec_of

Kind = Literal["contract", "gates", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with a file.

    Attributes:
        file: Its path.
        message: What is wrong, and where.
        hint: What to do about it; may be empty.
    """

    file: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lint(Shown):
    """What reading files came to.

    Attributes:
        read: Path of each file that was checked, to what it is.
        left: Files that are something else.
        findings: What is wrong; the first thing of each file.
        failure: A sentence for the user when something is wrong.
        passed: Whether nothing is.
    """

    read: Mapping[str, Kind]
    left: tuple[str, ...]
    findings: tuple[Finding, ...]
    failure: str = field(init=False)
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        wrong = len(self.findings)
        failure = f"{wrong} of {len(self.read)} files {'is' if wrong == 1 else 'are'} wrong" if wrong else ""
        object.__setattr__(self, "failure", failure)
        object.__setattr__(self, "passed", not wrong)


def lint(files: Sequence[Path], *, skip_others: bool = False) -> Lint:
    """Check contracts and gates files.

    Args:
        files: TOML files; what each one is, its keys say.
        skip_others: Leave other TOML files alone, in place of calling them wrong.
    """
    read: dict[str, Kind] = {}
    left, findings = [], []
    for file in files:
        try:
            document = read_toml(file)
            kind = kind_of(document)
            if kind == "other" and skip_others:
                left.append(str(file))
                continue
            read[str(file)] = kind
            _check(file, kind, document)
        except ConfigError as error:
            read.setdefault(str(file), "other")
            # What a value says of itself does not know of the file.
            message = error.message if str(file) in error.message else f"{file}: {error.message}"
            findings.append(Finding(file=str(file), message=message, hint=error.hint))
    return Lint(read=read, left=tuple(left), findings=tuple(findings))


def kind_of(document: Mapping[str, Any]) -> Kind:
    """Return what a parsed TOML file is: a contract has inputs and heads, one of them at least; gates have gates."""
    if {"input_shape", "inputs", "heads"} & set(document):
        return "contract"
    return "gates" if isinstance(document.get("gate"), list) else "other"


def _check(file: Path, kind: Kind, document: Mapping[str, Any]) -> None:
    if kind == "gates":
        gates.load(file)
    elif kind == "contract":
        for head in spec_of(document, where=str(file)).heads:
            task_of(head).settings(head)
    else:
        raise ConfigError(
            f"{file} is neither a contract nor a gates file",
            hint="a contract has [[inputs]] and [[heads]], gates have [[gate]]; --skip-others leaves other files alone",
        )
