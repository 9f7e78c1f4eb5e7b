"""What every file goes through. Lives in a child process: `read` must never end it; an interpreter may.

Each method returns "" when the file was taken, the name of edgecv's error when it was refused, and raises nothing.
Anything else that edgecv raises is a finding: its traceback, after FINDING.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.apart_child import _outcome
from edgecv.core.errors import EdgecvError

FINDING = "finding:"
_CHILD_SIDE = r"edgecv/(runtime/engines/|diagnose/all_tensors)"
"""What runs in the child of a process apart, and raises what interpreters raise."""
READ_TARGETS = ("edgetpu", "gpu", "ethos-u55-128")


class Examiner:
    """Looks at one file after another.

    Args:
        folder: With sound files: int8.tflite, float.tflite, many.tflite.
        inline: Whether interpreters run in this process, and not each in one of its own.
    """

    def __init__(self, folder: str, inline: bool) -> None:
        self._folder = Path(folder)
        os.chdir(folder)
        if inline:
            _in_this_process()

    def read(self, kind: str, path: str) -> str:
        """Do all that edgecv does with a file in its own process."""
        return _judged(lambda: _READERS[kind](Path(path)))

    def interpret(self, path: str) -> str:
        """Do what edgecv does with a .tflite or .onnx in a process apart, here: this one may end over it."""
        return _judged(lambda: self._interpreted(Path(path)), native=True)

    def command(self, arguments: Sequence[str]) -> str:
        """Run the command line as a user does; a traceback or an exit code of its own is a finding."""
        from edgecv.cli.main import main

        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            try:
                main(list(arguments))
            except SystemExit as end:
                code = end.code
            except Exception:
                return f"{FINDING} {' '.join(arguments)}\n{traceback.format_exc()}"
        text = said.getvalue()
        wrong = code not in (None, 0, 1, 2, 3) or "unexpected" in text or "Traceback" in text
        return f"{FINDING} {' '.join(arguments)}: exit {code}\n{text}" if wrong else "refused" if code else ""

    def _interpreted(self, path: Path) -> None:
        from edgecv import runtime
        from edgecv.diagnose.layer_noise import layer_noise
        from edgecv.diagnose.quantised_layers import match
        from edgecv.runtime import golden, open_session
        from edgecv.targets import inspect

        refused = [step for step in (
            _tried(lambda: inspect(path, "cpu")),
            _tried(lambda: _run(open_session(path))),
            _tried(lambda: _replay(runtime.load(path), golden)),
        ) if step is not None]  # fmt: skip
        if path.suffix == ".tflite":
            sample = [np.zeros((1, 28, 28, 1), np.float32)]
            pair = self._folder / "float.tflite"
            refused += [step for step in (
                _tried(lambda: layer_noise(pair, path, [sample], total=1)),
                _tried(lambda: match(pair, path)),
                _tried(lambda: _audit(path, sample)),
            ) if step is not None]  # fmt: skip
        if refused:
            raise refused[0]


def _judged(step: Callable[[], Any], *, native: bool = False) -> str:
    try:
        step()
    except EdgecvError as error:
        return type(error).__name__ if str(error).strip() else f"{FINDING} an error without words\n{error!r}"
    except BaseException as error:
        if native and _is_native(error):
            return "native"
        return f"{FINDING}\n{traceback.format_exc()}"
    return ""


def _tried(step: Callable[[], Any]) -> BaseException | None:
    """Run a step of several; refusals do not keep the next one from being tried."""
    try:
        step()
    except EdgecvError as error:
        return error
    except Exception as error:
        if not _is_native(error):
            raise
        return error
    return None


def _is_native(error: BaseException) -> bool:
    """Say whether a child process would have raised it, for edgecv to tell as an error of the file."""
    frames = traceback.extract_tb(error.__traceback__)
    return _outcome(error)[0] != "defect" and any(re.search(_CHILD_SIDE, frame.filename) for frame in frames)


def _in_this_process() -> None:
    """Call at once what edgecv would call in another process; this one is apart, and asks no GPU or Vela."""
    from edgecv.diagnose import all_tensors, float16, layer_noise
    from edgecv.modelio.onnx import observed
    from edgecv.targets import cpu, gpu, vela

    def direct(function: str, *arguments: Any, about: Any) -> Any:
        module, _, name = function.partition(":")
        try:
            return getattr(importlib.import_module(module), name)(*arguments)
        except EdgecvError:
            raise
        except Exception as error:
            kind, told = _outcome(error)
            if kind == "defect":
                raise
            from edgecv.core.errors import UnsupportedModelError

            raise UnsupportedModelError(str(told)) from error

    class Inline(all_tensors.Interpreter):
        def __init__(self, path: Path) -> None:
            super().__init__(str(path))

        def __enter__(self) -> Inline:
            return self

        def __exit__(self, *_: object) -> None:
            return

    class Near:
        """What `Apart` is, without the process."""

        def __init__(self, factory: str, *arguments: Any, about: Any) -> None:
            self._held = direct(factory, *arguments, about=about)

        def __enter__(self) -> Near:
            return self

        def __exit__(self, *_: object) -> None:
            return

        def call(self, method: str, *arguments: Any) -> Any:
            return getattr(self._held, method)(*arguments)

    observed.Apart = Near  # type: ignore[assignment, misc]
    cpu.call_apart = direct
    gpu.drivers = tuple
    vela.find_tool = lambda *names: None  # by the table: Vela takes seconds a file, and is another's
    layer_noise.AllTensors = float16.AllTensors = Inline  # type: ignore[assignment, misc]


def _run(session: Any) -> None:
    with contextlib.closing(session):
        session.fill(0)
        session.invoke()
        session.get_outputs()


def _replay(predictor: Any, golden: Any) -> None:
    with predictor:
        golden.replay(predictor)
        predictor.predict(np.zeros((9, 7), np.uint8))


def _audit(path: Path, sample: list[np.ndarray]) -> None:
    from edgecv.diagnose.float16 import audit_float16

    audit_float16(path, [sample])


def _model(path: Path) -> None:
    from edgecv.convert.mediapipe import has_metadata
    from edgecv.convert.tflite.associated_files import files_of
    from edgecv.core.progress import QUIET
    from edgecv.graphs import constant
    from edgecv.jobs.delegates import warn_wrong
    from edgecv.modelio.model_file import model_file
    from edgecv.runtime import read_manifest
    from edgecv.runtime.container import check_tflite, sniff
    from edgecv.targets import inspect
    from edgecv.targets.inspection import summarize

    format = sniff(path)
    read_manifest(path)
    if format == "tflite":
        check_tflite(path)
        files_of(path.read_bytes())
        with contextlib.suppress(EdgecvError):
            has_metadata(path.read_bytes())
    opened = model_file(path)
    graph = opened.graph
    assert len(opened.layers) == len(graph.ops)
    for index, tensor in enumerate(graph.tensors):
        if tensor.is_constant:
            with contextlib.suppress(EdgecvError):
                constant(graph, index)
    for target in READ_TARGETS:
        summarize(inspect(path, target))
    warn_wrong(opened, "gpu", QUIET)


def _manifest(path: Path) -> None:
    from edgecv.runtime.container import _parse

    manifest = _parse(path.read_bytes(), path)
    from edgecv.runtime.golden import sample_of
    from edgecv.runtime.image import preprocess_sample

    for golden in manifest.golden:
        preprocess_sample(sample_of(golden), manifest.spec)


def _spec(path: Path) -> None:
    from edgecv.values.spec_file import read_spec

    read_spec(path)


def _target(path: Path) -> None:
    from edgecv.targets import inspect
    from edgecv.values import profiles

    profiles.target(str(path))
    for model in ("int8.tflite", "many.tflite"):
        inspect(model, str(path))


def _calibration(path: Path) -> None:
    from edgecv.calibration import select
    from edgecv.values import profiles

    recipe = profiles.calibration(str(path))
    select(np.arange(40) % 3, recipe, seed=0)


def _recipe(path: Path) -> None:
    from edgecv.train.recipe_files import recipe

    recipe(str(path))


def _gates(path: Path) -> None:
    from edgecv.gates.format import load

    load(path)


def _devices(path: Path) -> None:
    from edgecv.bench.devices.specs import declared, find

    for name in declared(path):
        find(name, path)


def _space(path: Path) -> None:
    from edgecv.jobs.optimize.rules import Facts, enumerated
    from edgecv.jobs.optimize.space import read

    found = read(path)
    if found.size <= 2000:
        enumerated(found, Facts())


def _compression(path: Path) -> None:
    from edgecv.jobs.compress_recipe import read

    read(path)


def _darknet(path: Path) -> None:
    """A damaged network without weights, and its weights file with what is left of the cfg file as content."""
    from edgecv import zoo
    from edgecv.modelio.darknet import import_darknet, plan, read_cfg, read_weights

    with contextlib.suppress(EdgecvError):
        read_weights(path, plan(read_cfg(path)).blobs)
    with zoo.weightless():
        import_darknet(path)


def _import(path: Path) -> None:
    from edgecv.modelio.onnx import import_onnx

    import_onnx(path, allow_difference=float("inf"))


def _npz(path: Path) -> None:
    from edgecv.data import describe, open_divided

    dataset = open_divided(f"npz:{path}")
    describe(dataset)
    split = dataset.split("train")
    for index in range(min(3, len(split))):
        assert split.images[index].size >= 0


def _template(path: Path) -> None:
    from edgecv.zoo.families.filters import template

    assert template(str(path)).size


def _bundle(path: Path) -> None:
    import tempfile

    from edgecv.runtime.container import read_bundle, read_manifest, unpack_bundle

    read_manifest(path)
    read_bundle(path)
    with tempfile.TemporaryDirectory() as folder:
        for part in unpack_bundle(path, folder).values():
            read_manifest(part)


def _state(path: Path) -> None:
    from edgecv.core.progress import QUIET
    from edgecv.train.state import resume

    resume(path, "f" * 64, QUIET)


def style_state() -> Any:
    """Return the state of a transfer of a picture of 2x3 pixels."""
    from edgecv.train.style.state import TransferState

    picture = np.full((2, 3, 3), 0.5, np.float32)
    return TransferState(losses=(2.0, 1.0), picture=picture, optimizer=(picture[None], picture[None]))


def _style_state(path: Path) -> None:
    from edgecv.core.progress import QUIET
    from edgecv.train.style.state import resume

    resume(path, "f" * 64, style_state(), QUIET)


def _image(path: Path) -> None:
    from edgecv.data.sources import check_header
    from edgecv.runtime import load_image, preprocess
    from tests.runtime.conftest import SPEC

    check_header(path)
    preprocess(load_image(path), SPEC)


def _keras(path: Path) -> None:
    from edgecv.modelio import load_keras

    load_keras(path)


def _weights(path: Path) -> None:
    from edgecv.modelio import env
    from edgecv.zoo.entry import Build
    from edgecv.zoo.families import pretrained

    keras = env.keras()
    layers = [keras.layers.Input((8, 8, 1)), keras.layers.Conv2D(4, 3, activation="relu")]
    layers += [keras.layers.BatchNormalization(), keras.layers.Flatten(), keras.layers.Dense(5, name="class")]
    pretrained.load(keras.Sequential(layers), Build(input_shape=(8, 8, 1), units=(5,), weights=str(path)))


def _gallery(path: Path) -> None:
    from edgecv.runtime import Gallery

    Gallery.load(path).identify(np.ones(3))


def _cascade(path: Path) -> None:
    from edgecv import runtime

    runtime.read_manifest(path)
    runtime.load_cascade(path, neighbours=1).predict(np.random.default_rng(0).integers(0, 256, (20, 30), np.uint8))


_READERS: dict[str, Callable[[Path], None]] = {
    "tflite": _model, "onnx": _model, "manifest": _manifest, "spec": _spec, "target": _target,
    "calibration": _calibration, "recipe": _recipe, "gates": _gates, "devices": _devices, "compression": _compression,
    "space": _space,
    "darknet": _darknet, "bundle": _bundle, "onnx-import": _import,
    "npz": _npz, "state": _state, "style state": _style_state, "png": _image, "jpeg": _image, "keras": _keras,
    "h5": _keras, "weights": _weights, "cascade": _cascade, "gallery": _gallery, "template": _template,
}  # fmt: skip


def signature(finding: str) -> str:
    """Return what findings of one cause have in common: the last frame of ours, and the kind of error."""
    frames = re.findall(r'File "[^"]*/(edgecv/[^"]+)", line (\d+)', finding)
    lines = [line for line in finding.splitlines() if line and not line.startswith(" ")]
    kind = lines[-1].split(":")[0] if lines else "?"
    return json.dumps([*(frames[-1] if frames else ("outside", "0")), kind])
