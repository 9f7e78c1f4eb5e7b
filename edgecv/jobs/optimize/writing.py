"""From a finished search, or one under way, to its folder: the winner, its recipe, the outcome and the page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from edgecv.core import codec
from edgecv.core.files import atomic_path, sha256, write_text
from edgecv.core.progress import Reporter
from edgecv.jobs import loss, models
from edgecv.jobs.compress_recipe import CompressionRecipe
from edgecv.jobs.float_islands import FASTER
from edgecv.jobs.optimize import engine, summing_up
from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.optimize.driver import Searched
from edgecv.jobs.optimize.engine import Study
from edgecv.jobs.optimize.recipe_file import toml_of
from edgecv.jobs.optimize.space import Space
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.jobs.trials.judge import TEST, VALIDATION
from edgecv.modelio.model_file import model_file
from edgecv.report import search_page
from edgecv.values.scores import Drop
from edgecv.values.search import Applied, Cost, Judged, Outcome, Winner

PAGE = "report.html"
AGAIN_S = 5
"""Seconds after which a browser loads the page of a search under way again."""


def outcome(
    work: Workbench, done: Searched, given: Space, applied: tuple[Applied, ...], out: Path, reporter: Reporter
) -> Outcome:
    """Return what a search came to, and put its winner and its recipe into `out`."""
    shown = engine.winner(done.study)
    chosen = shown or engine.nearest_miss(done.study)
    best = None if chosen is None else _winner(work, done, chosen, shown is not None, out, reporter)
    return _summed(work, done, given, applied, out, chosen, best)


def live(work: Workbench, given: Space, applied: tuple[Applied, ...], out: Path) -> Callable[[Study], None]:
    """Return what writes the page of a search under way, which a browser loads again by itself."""

    def write(study: Study) -> None:
        done = Searched(study=study, stopped="under way", seconds=0.0, made=0)
        found = _summed(work, done, given, applied, out, engine.winner(study), None)
        write_text(out / PAGE, search_page.render(found, refresh_s=AGAIN_S))

    return write


def write(found: Outcome, given: Space, out: Path) -> None:
    """Write the outcome as JSON and as a page, and the space."""
    write_text(out / "outcome.json", json.dumps(codec.encode(found), indent=1))
    write_text(out / "space.toml", space_toml(given))
    write_text(out / PAGE, search_page.render(found))


def space_toml(given: Space) -> str:
    """Return a space as the TOML that `--space` reads."""
    lines = ["# The space that was searched: pass it back, changed, as --space."]
    for table, knobs in given.document.items():
        lines += ["", f"[{table}]", *(f"{key} = {json.dumps(values)}" for key, values in knobs.items())]
    return "\n".join(lines) + "\n"


def _summed(
    work: Workbench, done: Searched, given: Space, applied: tuple[Applied, ...], out: Path, chosen: Candidate | None,
    best: Winner | None,
) -> Outcome:  # fmt: skip
    study = done.study
    base = work.baseline
    priced = [cost for cost in study.costs.values() if not cost.failure]
    first = next((c for c in priced if c.ratio and c.latency_ms and c.kind != "predicted"), None)
    site = work.site
    return Outcome(
        path=str(out), objective=study.objective,
        verdict=summing_up.verdict(best.validation, best.test) if best else None,
        stopped=done.stopped, metric=base.metric.name, unit=base.metric.drop_unit, baseline=base.value, n=base.n,
        dataset=base.dataset, device=site.target if site.predicted else ", ".join(site.timing),
        reference="milliseconds, predicted" if site.predicted else "the float32 file, one thread, in the same run",
        kind=priced[0].kind if priced else "measured",
        float_ms=first.latency_ms / first.ratio if first and first.latency_ms and first.ratio else None,
        float_bytes=work.float_file.stat().st_size,
        combinations=given.size, shapes=summing_up.timed(study), accuracies=len(study.findings),
        made=done.made, seconds=done.seconds, winner=best, front=tuple(one.id for one in engine.front(study)),
        trials=summing_up.trials(study, chosen), rules=applied,
        worth=summing_up.worth(study, given),
    )  # fmt: skip


def _winner(work: Workbench, done: Searched, chosen: Candidate, shown: bool, out: Path, reporter: Reporter) -> Winner:
    study, limit = done.study, done.study.objective.max_drop
    file = work.file(chosen)
    path, recipe = out / f"winner{file.suffix}", out / "winner.toml"
    with atomic_path(path) as partial:
        shutil.copyfile(file, partial)
    cost = study.costs[chosen.id]
    found = study.finding(chosen.id, "full")
    assert found is not None
    assert found.drop is not None
    assert found.drop_ci95 is not None
    lost = Drop(value=found.drop, ci95=found.drop_ci95)
    validation = summing_up.judged(
        VALIDATION, found.n, found.before or 0.0, found.value or 0.0, lost, limit, device=work.judged_on(chosen)
    )
    test = None if done.stopped == "interrupted" else _tested(work, file, chosen, limit, reporter)
    write_text(recipe, toml_of(_as_made(work.recipe(chosen), file), _remarks(chosen, cost)))
    float_bytes = work.float_file.stat().st_size
    slower = slower_than_float(cost)
    if slower and study.objective.goal == "fastest":
        reporter.warn(f"{chosen.label} {slower}; of what was judged nothing faster is shown to keep the limit")
    return Winner(
        id=chosen.id, label=chosen.label, path=str(path), recipe=str(recipe), sha256=sha256(path),
        size_bytes=path.stat().st_size, shown=shown, cost=cost,
        faster=1 / cost.ratio if cost.ratio and cost.kind != "predicted" else None,
        smaller=float_bytes / path.stat().st_size, validation=validation, test=test,
        tied=summing_up.tied(study, chosen), trail=summing_up.trail(study, chosen, float_bytes),
    )  # fmt: skip


def _as_made(recipe: CompressionRecipe, file: Path) -> CompressionRecipe:
    """Return the recipe with the names of the layers that were timed to be faster in float: another time may differ."""
    *before, last = recipe.steps
    if FASTER not in last.options.get("keep_float", ()):
        return recipe
    manifest = model_file(file).manifest
    kept = list(manifest.provenance.recipe.get("keep_float", ())) if manifest else []
    others = {name: value for name, value in last.options.items() if name != "keep_float"}
    options = {**others, "keep_float": kept} if kept else others
    return replace(recipe, steps=(*before, replace(last, options=options)))


def slower_than_float(cost: Cost) -> str:
    """Return how much slower than the float32 file a file is shown to be; "" where that is not shown."""
    if cost.kind == "predicted" or cost.ratio is None or cost.ratio_ci95 is None or cost.ratio_ci95[0] <= 1:
        return ""
    low, high = cost.ratio_ci95
    return f"takes {cost.ratio:.2f} [{low:.2f}, {high:.2f}] of the float32 file's time"


def _tested(work: Workbench, file: Path, chosen: Candidate, limit: float | None, reporter: Reporter) -> Judged | None:
    """Return how the winner does on the split that nothing was chosen by."""
    if TEST not in work.dataset.splits:
        reporter.warn(f"{work.dataset.name} has no test split: the winner was chosen and judged on the same samples")
        return None
    if models.has_seen(work.loaded.manifest, work.dataset, TEST):
        reporter.warn(loss.seen(TEST, work.dataset.name))
    found = work.judged(file, chosen, work.judge_on(TEST))
    on = work.judged_on(chosen)
    return summing_up.judged(TEST, found.n, found.before, found.value, found.drop, limit, device=on)


def _remarks(chosen: Candidate, cost: object) -> list[str]:
    run = [f"{name.split('.')[1]} {value}" for name, value in chosen.settings if name.startswith("device.")]
    return ["Found by edgecv optimize; edgecv compress MODEL --recipe winner.toml --out FILE makes the same bytes.",
            *([f"It was timed with: {', '.join(run)}."] if run else [])]  # fmt: skip
