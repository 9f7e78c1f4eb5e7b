"""The float model that everything is compared with: made ready to evaluate and to time."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgecv.bench import BaselineEngine, BenchCase, choose_baseline_engine
from edgecv.convert import convert
from edgecv.convert.graphdef import write_graphdef
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.jobs import graph_models, models
from edgecv.jobs.contract import described
from edgecv.modelio import LoadedModel, load_keras, save_keras
from edgecv.modelio.model_file import model_file
from edgecv.modelio.opening import Opening
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import ModelSpec

_ENGINE_OF = {"tflite": "litert", "onnx": "onnxruntime"}


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFile:
    """The float model as a file that the chosen engine runs.

    Attributes:
        path: That file.
        source: What the user gave: what accuracy is evaluated with where the file says nothing of its contract.
        described: A .keras of a graph file that says nothing of it either, for the same; None where none is needed.
    """

    path: Path
    name: str
    engine: BaselineEngine
    source: Path
    described: Path | None = None

    @property
    def evaluable(self) -> Path:
        """The file that accuracy is evaluated with, where it can be by the same package that is timed."""
        if self.described is not None:
            return self.described
        return self.source if self.engine.engine == "tensorflow" else self.path

    def case(self) -> BenchCase:
        """Return what the benchmark measures."""
        return BenchCase(
            name=f"baseline {self.name}",
            path=str(self.path),
            engine=self.engine.engine,
            accelerator=self.engine.accelerator,
        )


@contextlib.contextmanager
def open_baseline(
    source: Path,
    *,
    seed: int = 0,
    wanted: str = "auto",
    choice: BaselineEngine | None = None,
    spec: ModelSpec | None = None,
    evaluated: bool = False,
    reporter: Reporter = QUIET,
) -> Iterator[BaselineFile]:
    """Make a baseline ready, for as long as the context lasts.

    A keras model is converted, as it is and unquantised, to the format that the engine runs; a `.tflite` or `.onnx`
    is used as it is, and must be a float32 file.

    Args:
        source: `.keras`, `.h5`, SavedModel folder, `.tflite` or `.onnx`.
        wanted: "auto", or an engine's name: see `choose_baseline_engine`.
        choice: Engine; None chooses one that can use a GPU, and falls back, declared, to the CPU.
        spec: The contract of a model that says nothing of its own: that of the files it is compared with.
        evaluated: Whether its accuracy is asked for too, and not only its time.

    Raises:
        ConfigError: It does not exist, is a quantised file, or in a format that the engine does not run.
        MissingDependencyError: The engine that is asked for is not installed.
    """
    if not source.exists():
        raise ConfigError(f"baseline {source} does not exist", hint="check --baseline")
    if not model_file(source).is_keras:
        _check_float(source)
        engine = choice or choose_baseline_engine(wanted=_fitting(source, wanted))
        reporter.info(engine.sentence)
        with tempfile.TemporaryDirectory(prefix="edgecv-baseline-") as folder:
            described = _imported(source, spec, Path(folder), reporter) if evaluated else None
            yield BaselineFile(path=source, name=source.stem, engine=engine, source=source, described=described)
        return
    engine = choice or choose_baseline_engine(wanted=wanted)
    reporter.info(engine.sentence)
    with tempfile.TemporaryDirectory(prefix="edgecv-baseline-") as folder:
        loaded, out = _loaded(source, spec, reporter), Path(folder) / f"{source.stem}.{engine.format}"
        _write(loaded, engine, out, seed, reporter)
        if engine.engine == "tensorflow" and not model_file(source).manifest:
            source = save_keras(loaded.model, Path(folder) / "described.keras", models.require_manifest(loaded))
        yield BaselineFile(path=out, name=out.stem, engine=engine, source=source)


def contract(spec: Path | None, files: Sequence[Path]) -> ModelSpec | None:
    """Return the contract that a user gives, else that of the first file that has one; None when there is none."""
    if spec is not None:
        return read_spec(spec)
    manifests = (model_file(file).manifest for file in files)
    return next((manifest.spec for manifest in manifests if manifest is not None), None)


def _loaded(source: Path, spec: ModelSpec | None, reporter: Reporter) -> LoadedModel:
    known = model_file(source).manifest is not None
    if not known and spec is not None:
        reporter.info(f"{source.name} says nothing of its inputs: it takes the contract of the files")
    return described(load_keras(source, spec=None if known else spec), reporter=reporter)


def _imported(source: Path, spec: ModelSpec | None, folder: Path, reporter: Reporter) -> Path | None:
    """Write a graph file without a contract as a .keras with that of the files; None where it has one of its own."""
    if model_file(source).manifest is not None:
        return None
    reporter.info(f"{source.name} says nothing of its inputs: its import is evaluated, with the contract of the files")
    loaded = described(graph_models.loaded(source, Opening(spec=spec), reporter=reporter), reporter=reporter)
    return save_keras(loaded.model, folder / f"{source.stem}.keras", models.require_manifest(loaded))


def _write(loaded: LoadedModel, engine: BaselineEngine, out: Path, seed: int, reporter: Reporter) -> None:
    if engine.format == "graphdef":
        write_graphdef(loaded.model, out)
    else:
        convert(loaded, format=engine.format, scheme="float32", out=out, seed=seed, reporter=Unseen(reporter))


def _fitting(source: Path, wanted: str) -> str:
    """Return the engine that runs a converted file as it is."""
    fits = _ENGINE_OF[model_file(source).format]
    if wanted not in ("auto", fits):
        raise ConfigError(
            f"baseline {source} is a file for {fits}, and --baseline-engine is {wanted}",
            hint="pass the .keras: it is converted for any engine",
        )
    return fits


def _check_float(source: Path) -> None:
    manifest = model_file(source).manifest
    if manifest is not None and manifest.scheme != "float32":
        raise ConfigError(
            f"baseline {source} is a {manifest.scheme} file", hint="the baseline is the float32 model: pass the .keras"
        )
