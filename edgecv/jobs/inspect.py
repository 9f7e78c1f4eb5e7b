"""`edgecv inspect`: a target's verdict on every operator, and for a GPU whether the activations fit into float16."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import meaning, models
from edgecv.jobs.delegates import SAMPLES, audit, audit_golden
from edgecv.modelio.model_file import model_file
from edgecv.targets import inspect_or_compile
from edgecv.values import profiles
from edgecv.values.inspection import Inspection


def inspect_file(
    file: Path,
    target: str,
    *,
    data: str | None = None,
    samples: int = SAMPLES,
    compile_: bool = False,
    out: Path | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Inspection:
    """Say what a target does with each operator; for a GPU, also which activations come near float16's limit.

    Args:
        file: A `.tflite` or `.onnx`.
        target: Name, or path of a TOML file.
        data: Data set whose validation samples feed the audit; None takes the inputs of the file's golden vectors.
        samples: Of the data set, at most.
        compile_: Run the target's compiler too; its file goes to `out`, and replaces one with `force`.
        reporter: Told of what takes long.

    Raises:
        ConfigError, DataError: The target or the data set is unknown or wrong.
        UnsupportedModelError: The file cannot be read as a model.
    """
    found = inspect_or_compile(file, target, compile_=compile_, out=out, force=force, reporter=reporter)
    opened = model_file(file)
    manifest = opened.manifest
    found = replace(found, notes=(*found.notes, *meaning.lost_steps(opened)))
    if profiles.target(target).accelerator != "gpu" or opened.format != "tflite":
        return found
    if manifest is None or not (data or manifest.golden):
        note = "activations were not held against float16: the file has no golden inputs; give --data"
        return replace(found, notes=(*found.notes, note))
    if data is None:
        return replace(found, float16=audit_golden(file, manifest, reporter=reporter))
    dataset = models.open_data(data, manifest)
    return replace(found, float16=audit(file, manifest.spec, dataset, "validation", samples=samples, reporter=reporter))
