"""Whether a model's values fit into float16, before a file is made that CPUs may compute in it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgecv.convert import convert
from edgecv.core.errors import ConversionError
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.data import Dataset
from edgecv.jobs import delegates, models
from edgecv.modelio import LoadedModel
from edgecv.modelio.model_file import ModelFile
from edgecv.targets import cpu
from edgecv.values.inspection import Float16Tensor

ASK = (
    "processors that have float16 arithmetic compute it so, sums too; what that costs, they say: "
    "`edgecv evaluate FILE --data D --device DEVICE`, for example the emulated arm64 of `make arm`"
)
SHOWN = 3
"""Layers that a message names."""


def check(loaded: LoadedModel, dataset: Dataset | None, *, seed: int = 0, reporter: Reporter = QUIET) -> None:
    """Compute a model in float32 on real samples, and hold every operator's output against float16's range.

    Args:
        loaded: A float model with its contract.
        dataset: The first samples of its validation split are taken; without one, noise is.
        seed: Of the noise.
        reporter: Warned of values near the limit, and of what was not looked at.

    Raises:
        ConversionError: A value is beyond 65504, and would be infinite in float16.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "float32.tflite"
        made = convert(
            loaded, format="tflite", scheme="float32", out=file, dataset=dataset, seed=seed, reporter=Unseen(reporter)
        )
        if dataset is None:
            found = delegates.audit_golden(file, made.manifest)
            reporter.warn("values were held against float16's range on noise only; --data D takes real samples")
        else:
            spec = models.require_manifest(loaded).spec
            found = delegates.audit(file, spec, dataset, "validation", reporter=reporter)
    beyond = [one for one in found.near if one.overflows]
    if beyond:
        raise ConversionError(
            f"in float16 values would be infinite: {_named(beyond)}, and float16 ends at 65504 ({found.source})",
            hint="leave --arithmetic float16 out; a batch normalisation behind these layers, folded, keeps them small",
        )
    if found.near:
        reporter.warn(f"values come near the end of float16, 65504: {_named(list(found.near))} ({found.source})")


def is_half(opened: ModelFile) -> bool:
    """Say whether CPUs that have float16 arithmetic compute a file in it."""
    return opened.format == "tflite" and opened.graph.half


def otherwise_elsewhere(opened: ModelFile, device: str) -> str:
    """Return what is to be known of an accuracy that was found here, of a file that other CPUs compute in float16.

    Args:
        opened: The file.
        device: Where it answered.

    Returns:
        A sentence; "" where the answers are those of the device that it is for.
    """
    if not is_half(opened) or device != "local" or cpu.computes_half("cpu"):
        return ""
    return (
        f"{opened.path.name}: accuracy of float32 arithmetic: this host does not compute in float16, as other CPUs do "
        "with this file; --device NAME asks one of them"
    )


def _named(found: list[Float16Tensor]) -> str:
    shown = [f"{one.layer or one.op} reaches {one.largest:.3g}" for one in found[:SHOWN]]
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return ", ".join(shown) + more
