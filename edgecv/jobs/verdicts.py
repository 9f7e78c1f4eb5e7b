"""What the targets of a file do with it, as soon as it is made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from edgecv.core.progress import QUIET, Reporter
from edgecv.targets import inspect, summarize
from edgecv.values.inspection import TargetVerdict

NAMED = 3
"""Operators that a warning names; the verdict has all."""


def verdicts(file: Path, targets: Iterable[str], *, reporter: Reporter = QUIET) -> tuple[TargetVerdict, ...]:
    """Return each target's verdict on a file, predicted from its data; one that leaves operators out is warned of.

    Args:
        file: A `.tflite` or `.onnx`.
        targets: Names, or paths of TOML files.
        reporter: Gets the warnings.

    Raises:
        ConfigError, UnsupportedModelError: As `edgecv.targets.inspect`.
    """
    found = tuple(_verdict(file, target) for target in dict.fromkeys(targets))
    for one in found:
        if one.unmapped:
            reporter.warn(_warning(one))
        for doubt in one.doubts:
            reporter.warn(f"not known of {one.target}: {doubt}")
    return found


def _verdict(file: Path, target: str) -> TargetVerdict:
    found = inspect(file, target, predicted=True)
    summary = summarize(found)
    return TargetVerdict(
        target=summary.target,
        n_ops=summary.n_ops,
        n_mapped=summary.n_mapped,
        unmapped=summary.unmapped,
        kind=summary.kind,
        doubts=tuple(dict.fromkeys(op.reason for op in found.ops if op.mapped and op.certainty == "unknown")),
        advice=found.advice,
        notes=found.notes,
    )


def _warning(found: TargetVerdict) -> str:
    named = [f"#{one.index} {one.op}{f' ({one.layer})' if one.layer else ''}" for one in found.unmapped[:NAMED]]
    more = f" and {len(found.unmapped) - NAMED} more" if len(found.unmapped) > NAMED else ""
    helps = f"; what helps: {found.advice[0].text}" if found.advice else ""
    return (
        f"{len(found.unmapped)} of {found.n_ops} operators do not map to {found.target}: {', '.join(named)}{more}; "
        f"{found.unmapped[0].reason}{helps}"
    )
