"""The steps of recipes, each made once: what several candidates have in common is not made again for each.

A step's result lies in a folder that is named by the hash of all that it depends on: the model before it, the request,
the data, and the versions of the tools. The steps are those of `edgecv compress`, so a recipe gives the same bytes
there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from edgecv.core.files import sha256
from edgecv.core.progress import Reporter
from edgecv.jobs import models
from edgecv.jobs.compress import plain
from edgecv.jobs.compress_recipe import METHODS, CompressionRecipe, request_of
from edgecv.jobs.journal import content_key, read_record, write_record


def made(
    source: models.Source,
    recipe: CompressionRecipe,
    folder: Path,
    *,
    splits: Mapping[str, str],
    suffix: str = ".tflite",
    reporter: Reporter,
) -> Path:
    """Return the file that a recipe makes of a model; what stands in `folder` already is not made again.

    Args:
        source: The float model.
        recipe: What is done.
        folder: Of all steps of all recipes.
        splits: Hashes of the data's splits by name.
        suffix: Of the file for the device.
        reporter: Gets the progress of each step.

    Raises:
        EdgecvError: As the command of the step's name.
    """
    before = source
    for index, step in enumerate(recipe.steps, start=1):
        request = request_of(step, recipe, f"step {index}")
        settings = {"method": step.method, "request": plain(request), "data": dict(splits)}
        key = content_key([sha256(before.path)], settings)[:24]
        out = folder / key / f"{step.method}{'.keras' if METHODS[step.method].keras else suffix}"
        record = out.with_suffix(".json")
        if not _stands(record, out):
            out.parent.mkdir(parents=True, exist_ok=True)
            result = METHODS[step.method].run(before, request, out, reporter)
            write_record(record, {"sha256": sha256(out), "settings": settings, "result": plain(result)})
        before = replace(source, path=out, spec=None, preset=None, input_size=None, architecture=None)
    return before.path


def _stands(record: Path, out: Path) -> bool:
    return record.exists() and out.exists() and read_record(record).get("sha256") == sha256(out)
