"""Networks of ONNX files, as PyTorch, TensorFlow and PaddlePaddle export them: a tf_keras model with channels last."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.boundary import model_name
from edgecv.modelio.contract import plain_name
from edgecv.modelio.onnx.build import MALFORMED, Built, build
from edgecv.modelio.onnx.comparing import TOLERANCE, Difference, compare, drawn
from edgecv.modelio.onnx.observed import observe, open_branches
from edgecv.modelio.onnx.opsets import modernise
from edgecv.modelio.onnx.patterns import recognise
from edgecv.modelio.onnx.reading import fix_sizes, plain_net, read_proto

__all__ = ["TOLERANCE", "Difference", "ImportedOnnx", "compare", "import_onnx", "require_close"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedOnnx:
    """A network of an ONNX file.

    Attributes:
        model: tf_keras functional, channels last.
        built: It, and how its inputs and outputs lie beside the file's.
        nodes: How many the file has, without those that only compute constants.
        opset: Of its operators.
        producer: What wrote it.
        differences: From ONNX Runtime, an entry an output.
        remarks: What a user has to know, a sentence each.
    """

    model: Any
    built: Built
    nodes: int
    opset: int
    producer: str
    differences: tuple[Difference, ...]
    remarks: tuple[str, ...]


def import_onnx(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    likely_size: tuple[int, int] | None = None,
    allow_difference: float = TOLERANCE,
    seed: int = 0,
) -> ImportedOnnx:
    """Return the network of an ONNX file, compared with ONNX Runtime on random inputs.

    Args:
        path: The file; weights beside it are read too.
        input_size: Height and width where the file leaves them open; refused where it does not.
        likely_size: Those of the contract, taken where the file leaves them open and `input_size` is None.
        allow_difference: Of an output's range, beyond which the network is refused.
        seed: Of the random inputs.

    Raises:
        ConfigError: The file cannot be read, or a size is missing.
        UnsupportedModelError: It is quantised or damaged, nodes cannot be imported, or answers differ.
        CrashError: ONNX Runtime crashes over it.
    """
    with _sound(path):
        proto = read_proto(path)
        fix_sizes(proto, input_size or likely_size, path, needed=input_size is not None)
        open_branches(proto, path)
        net, fed = plain_net(proto, path), drawn(proto, seed)
        expected = observe(proto, net, path, fed)
        count = len(net.nodes)
        modernise(net)
        recognise(net)
    with env.first_names():
        built = build(net, name=model_name(plain_name(path)), where=str(path))
    differences = compare(built, net.outputs, fed, expected)
    require_close(differences, path, allow_difference, reference="ONNX Runtime")
    return ImportedOnnx(
        model=built.model,
        built=built,
        nodes=count,
        opset=net.opset,
        producer=" ".join(one for one in (proto.producer_name, proto.producer_version) if one),
        differences=differences,
        remarks=tuple(_remarks(net.inputs, net.outputs, built)),
    )


@contextlib.contextmanager
def _sound(path: Path) -> Iterator[None]:
    """Turn what code that trusts a graph raises into an error of the file."""
    try:
        yield
    except MALFORMED as error:
        raise UnsupportedModelError(
            f"{path} is malformed: a node or tensor lacks what its kind has ({type(error).__name__}: {error})",
            hint="the file is damaged, or its exporter is at fault: export the network anew",
        ) from error


def require_close(differences: tuple[Difference, ...], path: Path, allowed: float, *, reference: str) -> None:
    """Raise UnsupportedModelError where an output is not finite, or lies further than allowed from a reference's."""
    # Written so that NaN fails.
    beyond = [one for one in differences if not one.relative <= allowed]
    if not beyond:
        return
    worst = max(beyond, key=lambda one: math.inf if math.isnan(one.relative) else one.relative)
    if not math.isfinite(worst.relative):
        raise UnsupportedModelError(
            f"{path}: output '{worst.output}' of the file or of the import is not finite on random inputs",
            hint="check the file's weights; export it again",
        )
    raise UnsupportedModelError(
        f"{path}: output '{worst.output}' of the import differs from {reference} by {worst.relative:.2g} of its "
        f"range, expected at most {allowed:g}",
        hint=f"edgecv import {path} --allow-difference {worst.relative * 1.5:.1g} makes a .keras of it all the same",
    )


def _remarks(inputs: tuple[str, ...], outputs: tuple[str, ...], built: Built) -> list[str]:
    said = []
    for what, names, perms in (("input", inputs, built.inputs), ("output", outputs, built.outputs)):
        turned = [name for name, perm in zip(names, perms, strict=True) if perm != tuple(range(len(perm)))]
        if turned:
            several = "s" * (len(turned) != 1)
            said.append(f"channels come last in the {what}{several} {', '.join(turned)}, and first in the file")
    return said
