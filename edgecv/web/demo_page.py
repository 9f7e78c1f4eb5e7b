"""A static page that runs a model in the browser: the files of it, by address.

The page's own scripts lie in `demo/`; what they do with a picture is what the runtime does, in the same float32 steps,
and tests hold one to the other. A task that the page can read and draw has a script in `demo/tasks/`. Where a script
does not read every form of its task, `demo/reads.json` lists the values of settings that it does read.
"""

from __future__ import annotations

import html
import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core import codec
from edgecv.core.errors import UnsupportedModelError
from edgecv.tasks.registry import task_of
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import Head, ModelSpec
from edgecv.web import packages, scripts
from edgecv.web.scripts import Content

SCHEMA = "edgecv.web/1"
SCRIPTS = Path(__file__).parent / "demo"
ELEMENT_TYPES = ("float32", "int8", "uint8", "int32")
"""Of inputs and outputs, that LiteRT.js hands over."""
LITERT_BUILDS = ("litert_wasm_internal", "litert_wasm_compat_internal")
"""Of LiteRT.js: the plain one, and that for browsers without relaxed SIMD. Threads need headers that few hosts send."""
NAMED_LABELS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipped:
    """The file that a page shows.

    Attributes:
        path: Of the `.tflite`.
        sha256: Of its content.
        made_as: Scheme and method in words: "int8 ptq".
        spec: Its contract.
        input: Its input tensor.
        outputs: The tensors that the first head reads, in the head's order.
        judged: What is known of its accuracy, a sentence; empty for nothing.
    """

    path: Path
    sha256: str
    made_as: str
    spec: ModelSpec
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    judged: str = ""


def readable(spec: ModelSpec, tensors: tuple[TensorInfo, ...]) -> None:
    """Raise UnsupportedModelError, saying what the page reads, for a model that it cannot feed or read."""
    head = spec.head
    if len(spec.inputs) != 1 or spec.preprocessing is None:
        raise UnsupportedModelError(
            f"'{spec.name}' does not take one image, so a page with a camera has nothing to feed it",
            hint="a page shows models of one image",
        )
    known = sorted(path.stem for path in (SCRIPTS / "tasks").glob("*.js"))
    if head.task not in known:
        raise UnsupportedModelError(
            f"the page does not read {head.task}, the task of head '{head.name}'", hint=f"it reads {', '.join(known)}"
        )
    forms = json.loads((SCRIPTS / "reads.json").read_text(encoding="utf-8")).get(head.task, {})
    settings = codec.encode(task_of(head).settings(head))
    for key, values in forms.items():
        if settings[key] not in values:
            raise UnsupportedModelError(
                f"the page does not read {key} = \"{settings[key]}\" of head '{head.name}'",
                hint=f"it reads {', '.join(values)}",
            )
    for info in tensors:
        if info.dtype not in ELEMENT_TYPES:
            raise UnsupportedModelError(
                f"LiteRT.js does not take tensors of {info.dtype}, as '{info.name}' is",
                hint=f"it takes {', '.join(ELEMENT_TYPES)}",
            )


def files(shipped: Shipped, *, edgecv: str) -> Mapping[str, Content]:
    """Return all files of the page by address, index.html last, so that what is written in order is whole with it.

    Args:
        shipped: The model.
        edgecv: Version of edgecv, which the page names.

    Raises:
        UnsupportedModelError: As `readable`.
        MissingDependencyError: LiteRT.js is not installed.
    """
    readable(shipped.spec, (shipped.input, *shipped.outputs))
    found: dict[str, Content] = dict(_interpreter())
    own = [path for path in sorted(SCRIPTS.rglob("*")) if path.suffix in (".js", ".css")]
    head = shipped.spec.head
    for path in own:
        address = path.relative_to(SCRIPTS).as_posix()
        if not address.startswith("tasks/") or address == f"tasks/{head.task}.js":
            found[address] = path
    found[shipped.path.name] = shipped.path
    found["contract.json"] = json.dumps(_contract(shipped), indent=1, ensure_ascii=False).encode()
    found["index.html"] = _index(shipped, edgecv)
    return found


def _interpreter() -> Mapping[str, Content]:
    """Return LiteRT.js without the builds that the page never asks for, 9 MB each."""
    return {
        address: content
        for address, content in scripts.litert().items()
        if not address.startswith("litert/wasm/") or address.rsplit("/", 1)[1].split(".")[0] in LITERT_BUILDS
    }


def _contract(shipped: Shipped) -> Mapping[str, Any]:
    spec, head = shipped.spec, shipped.spec.head
    settings = codec.encode(task_of(head).settings(head))
    return {
        "schema": SCHEMA,
        "engine": {"name": "LiteRT.js", "version": packages.versions()[packages.LITERT]},
        "file": {
            "path": shipped.path.name,
            "size_bytes": shipped.path.stat().st_size,
            "sha256": shipped.sha256,
            "made_as": shipped.made_as,
        },
        "input": {
            "shape": list(spec.input_shape),
            "preprocessing": codec.encode(spec.preprocessing),
            "tensor": codec.encode(shipped.input),
        },
        "outputs": codec.encode(shipped.outputs),
        "head": {**codec.encode(head), "settings": settings},
        "judged": shipped.judged,
    }


def _index(shipped: Shipped, edgecv: str) -> bytes:
    template = string.Template((SCRIPTS / "index.html").read_text(encoding="utf-8"))
    texts = {"title": shipped.spec.name, "lead": _lead(shipped.spec.head), "version": edgecv}
    return template.substitute({name: html.escape(text) for name, text in texts.items()}).encode()


def _lead(head: Head) -> str:
    """Say in a sentence what the model tells apart."""
    one, several = task_of(head).named
    if not head.labels:
        return f"What a neural network says of a picture: {head.task}."
    named = ", ".join(head.labels[:NAMED_LABELS])
    more = f" and {len(head.labels) - NAMED_LABELS} more" if len(head.labels) > NAMED_LABELS else ""
    return (
        f"What a neural network says of a picture: {head.task} of {len(head.labels)} "
        f"{one if len(head.labels) == 1 else several} ({named}{more})."
    )
