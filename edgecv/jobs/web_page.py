"""`edgecv web`, and `edgecv export --web`: a model as a static page that runs it in the browser."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv import __version__, runtime
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.files import check_output, sha256, write_bytes
from edgecv.core.shown import Shown
from edgecv.modelio.model_file import model_file
from edgecv.targets import edgetpu
from edgecv.values.manifest import Manifest
from edgecv.values.specs import ModelSpec
from edgecv.web import demo_page, packages, scripts


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPage(Shown):
    """A page that was written.

    Attributes:
        index: Path of index.html.
        model: Name of the model's file in the folder.
        size_bytes: Of all files.
        visit_bytes: What a browser loads of them: one build of the interpreter, and everything else.
    """

    index: str
    model: str
    size_bytes: int
    visit_bytes: int


def check(out: Path, *, force: bool) -> None:
    """Raise before any work where no page can be written: the folder holds one, or LiteRT.js is not installed."""
    if out.is_file():
        raise ConfigError(f"{out} is a file", hint="name a folder for the page")
    packages.versions()
    check_output(out / "index.html", force=force)


def write(file: Path, *, out: Path, spec: ModelSpec | None = None, judged: str = "", force: bool = False) -> WebPage:
    """Write a page with a model into a folder.

    Args:
        file: A `.tflite`.
        out: The folder.
        spec: The model's contract, for a file without one.
        judged: What is known of its accuracy, a sentence.
        force: Replace a page that is there.

    Raises:
        ConfigError: The folder holds a page already, or the file does not exist.
        UnsupportedModelError: No browser runs the file, or the page does not read its answers.
        MissingDependencyError: LiteRT.js is not installed.
    """
    check(out, force=force)
    found = demo_page.files(_shipped(file, spec, judged), edgecv=__version__)
    sizes = {}
    for address, content in found.items():
        data = scripts.read(content)
        sizes[address] = len(data)
        (out / address).parent.mkdir(parents=True, exist_ok=True)
        write_bytes(out / address, data)
    spare = sum(size for address, size in sizes.items() if demo_page.LITERT_BUILDS[1] in address)
    total = sum(sizes.values())
    return WebPage(index=str(out / "index.html"), model=file.name, size_bytes=total, visit_bytes=total - spare)


def _shipped(file: Path, spec: ModelSpec | None, judged: str) -> demo_page.Shipped:
    opened = model_file(file)
    if not file.exists():
        raise ConfigError(f"{file} does not exist", hint="check the path")
    if opened.is_keras or opened.format != "tflite":
        raise UnsupportedModelError(
            f"{file} is no .tflite, and a page runs those", hint="make one: edgecv export MODEL, or edgecv convert"
        )
    if edgetpu.is_compiled(file):
        raise UnsupportedModelError(
            f"{file} is compiled for an Edge TPU, which browsers do not have", hint="pass the file it was compiled from"
        )
    with runtime.load(file, spec=spec, apart=True) as predictor:
        given = predictor.inputs[predictor.bound_inputs[0]]
        return demo_page.Shipped(
            path=file,
            sha256=sha256(file),
            made_as=_made_as(predictor.manifest, given.dtype),
            spec=predictor.spec,
            input=given,
            outputs=tuple(predictor.outputs[place] for place in predictor.bound_outputs[0]),
            judged=judged,
        )


def _made_as(manifest: Manifest | None, dtype: str) -> str:
    if manifest is None:
        return f"of another tool, {dtype} input"
    return manifest.scheme if manifest.method == "none" else f"{manifest.scheme} {manifest.method}"
