"""Score the Edge TPU predictions against files that the real compiler compiled.

    python benchmarks/edgetpu_score.py FOLDER [--json]

FOLDER holds `models/NAME.tflite` (the files before compilation) and `truth.json`: a list of
`{"model": NAME, "ops": [{"index", "op", "mapped"}, …], "parameter_cache": [{"cached_param_bytes",
"streamed_param_bytes"}, …], "log": {"rows": [{"op", "count", "status"}, …]}}` with what the compiler did to each.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from edgecv.targets import inspect
from edgecv.values.inspection import Inspection

CLOSE = 0.03
LEAST = 16 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Agreement on one model.

    Attributes:
        wrong: Indices of the operators that the prediction maps and the compiler does not, or the other way round.
        certain: Verdicts called certain; `certain_wrong` those of them that are wrong.
        parameter_bytes: True ones, cached and streamed together; None when the file tells none.
        parameter_error: |predicted - true| / true of all parameter bytes; None when either is unknown or 0.
        statuses: Whether the compiler's log counts the same statuses for the same operators; None without a log.
        placed: Whether cached and streamed bytes are right by themselves, within 3 %; None when unknown.
    """

    model: str
    n_ops: int
    wrong: tuple[int, ...]
    certain: int
    certain_wrong: int
    parameter_bytes: int | None
    parameter_error: float | None
    placed: bool | None
    statuses: bool | None


def score(folder: Path) -> tuple[Score, ...]:
    """Score every model that `folder`/truth.json names."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return tuple(_score_model(folder / "models" / entry["model"], entry) for entry in truth)


def _score_model(path: Path, entry: dict[str, Any]) -> Score:
    found = inspect(path, "edgetpu")
    wrong = [p.index for p, t in zip(found.ops, entry["ops"], strict=True) if p.mapped != t["mapped"]]
    packages = entry.get("parameter_cache") or []
    sure = [p.index for p in found.ops if p.certainty == "certain"]
    return Score(
        model=entry["model"],
        n_ops=found.n_ops,
        wrong=tuple(wrong),
        certain=len(sure),
        certain_wrong=len(set(sure) & set(wrong)),
        parameter_bytes=sum(p["cached_param_bytes"] + p["streamed_param_bytes"] for p in packages) or None,
        parameter_error=_parameter_error(found, packages),
        placed=_placed(found, packages),
        statuses=_statuses(found, entry.get("log")),
    )


def _statuses(found: Inspection, log: dict[str, Any] | None) -> bool | None:
    if not log:
        return None
    told = Counter({(row["op"], row["status"]): row["count"] for row in log["rows"]})
    return Counter((op.op, op.status) for op in found.ops) == told


def _parameter_error(found: Inspection, packages: list[dict[str, Any]]) -> float | None:
    on_chip, streamed = found.parameter_bytes.on_chip, found.parameter_bytes.streamed
    true = sum(p["cached_param_bytes"] + p["streamed_param_bytes"] for p in packages)
    if on_chip is None or streamed is None or true == 0:
        return None
    return abs(on_chip + streamed - true) / true


def _placed(found: Inspection, packages: list[dict[str, Any]]) -> bool | None:
    on_chip, streamed = found.parameter_bytes.on_chip, found.parameter_bytes.streamed
    cached = sum(p["cached_param_bytes"] for p in packages)
    sent = sum(p["streamed_param_bytes"] for p in packages)
    if on_chip is None or streamed is None or cached + sent == 0:
        return None
    return max(abs(on_chip - cached), abs(streamed - sent)) <= CLOSE * (cached + sent)


def summary(scores: tuple[Score, ...]) -> dict[str, Any]:
    """Return the totals; "networks" are the files with at least 16 KiB of weights."""
    errors = sorted(s.parameter_error for s in scores if s.parameter_error is not None)
    networks = [s for s in scores if s.parameter_error is not None and (s.parameter_bytes or 0) >= LEAST]
    return {
        "models": len(scores),
        "models_exact": sum(not s.wrong for s in scores),
        "ops": sum(s.n_ops for s in scores),
        "ops_right": sum(s.n_ops - len(s.wrong) for s in scores),
        "logs": sum(s.statuses is not None for s in scores),
        "logs_with_equal_statuses": sum(bool(s.statuses) for s in scores),
        "certain": sum(s.certain for s in scores),
        "certain_wrong": sum(s.certain_wrong for s in scores),
        "parameter_models": len(errors),
        "parameter_error_median": errors[len(errors) // 2] if errors else None,
        "parameter_within_3_percent": sum(e <= CLOSE for e in errors),
        "parameter_within_5_percent": sum(e <= 0.05 for e in errors),
        "networks": len(networks),
        "networks_within_3_percent": sum((s.parameter_error or 0) <= CLOSE for s in networks),
        "networks_cached_and_streamed_right": sum(bool(s.placed) for s in networks),
    }


def main(arguments: list[str] | None = None) -> int:
    """Print agreement per model and in total."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args(arguments)
    scores = score(options.folder)
    totals = summary(scores)
    if options.json:
        sys.stdout.write(json.dumps(totals, indent=1) + "\n")
        return 0
    for one in scores:
        error = "-" if one.parameter_error is None else f"{one.parameter_error:.1%}"
        wrong = f"wrong at {list(one.wrong)}" if one.wrong else "right"
        sys.stdout.write(f"{one.model:70} {one.n_ops:4} ops  {wrong:24} parameter bytes off by {error}\n")
    sys.stdout.write("\n".join(f"{name}: {value}" for name, value in totals.items()) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
