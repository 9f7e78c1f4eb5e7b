"""The float model that everything is compared with: made ready to evaluate and to time."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgecv.bench import BaselineEngine, BenchCase, choose_baseline_engine
from edgecv.convert import convert
from edgecv.errors import ConfigError
from edgecv.pipeline import models
from edgecv.pipeline.assess import is_keras, manifest_of
from edgecv.progress import QUIET, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineFile:
    """The float model as a file that the chosen engine runs."""

    path: Path
    name: str
    engine: BaselineEngine

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
    source: Path, *, seed: int = 0, choice: BaselineEngine | None = None, reporter: Reporter = QUIET
) -> Iterator[BaselineFile]:
    """Make a baseline ready, for as long as the context lasts.

    A keras model is converted, as it is and unquantised, to the format that the engine runs; a `.tflite` or `.onnx`
    is used as it is, and must be a float32 file.

    Args:
        source: `.keras`, `.h5`, SavedModel folder, `.tflite` or `.onnx`.
        choice: Engine; None looks for a GPU and falls back, declared, to the CPU.

    Raises:
        ConfigError: It does not exist, or is a quantised file.
    """
    if not source.exists():
        raise ConfigError(f"baseline {source} does not exist", hint="check --baseline")
    engine = choice or choose_baseline_engine()
    reporter.info(engine.sentence)
    if not is_keras(source):
        _check_float(source)
        yield BaselineFile(path=source, name=source.stem, engine=engine)
        return
    with tempfile.TemporaryDirectory(prefix="edgecv-baseline-") as folder:
        out = Path(folder) / f"{source.stem}.{engine.format}"
        loaded = models.load(models.Source(path=source))
        models.require_manifest(loaded)
        convert(loaded, format=engine.format, scheme="float32", out=out, seed=seed, reporter=reporter)
        yield BaselineFile(path=out, name=source.stem, engine=engine)


def _check_float(source: Path) -> None:
    manifest = manifest_of(source)
    if manifest is not None and manifest.scheme != "float32":
        raise ConfigError(
            f"baseline {source} is a {manifest.scheme} file", hint="the baseline is the float32 model: pass the .keras"
        )
