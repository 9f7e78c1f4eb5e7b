"""Seeing what a model sees: `edgecv view`, from models and an image to a page of maps, heat and silent channels."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.compress.slim.useless import ALIKE, Useless
from edgecv.convert import convert
from edgecv.core import files
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.patterns import matching
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.core.shown import Shown
from edgecv.diagnose import views
from edgecv.diagnose.layer_outputs import KerasLayers, LayerOutputs, TfliteLayers
from edgecv.diagnose.onnx_layers import OnnxLayers
from edgecv.diagnose.views import Sight, ViewedLayer
from edgecv.evaluate import KerasPredictor
from edgecv.jobs import contract, heat, models, removal
from edgecv.jobs.evaluate import EvaluationRequest, imports, open_artifact
from edgecv.modelio import LoadedModel
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.report import view_page
from edgecv.runtime import preprocess_sample
from edgecv.runtime.reading import loaded_sample
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]
MOST_PICTURED = 24
"""Layers with pictures where none are named."""
NO_PICTURE = ("Dropout", "Flatten", "Reshape", "RESHAPE", "InputLayer", "SpatialDropout2D")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPlan:
    """What to look at.

    Attributes:
        layers: Names, with wildcards, of the layers that get pictures; empty: those with maps, 24 at most.
        data: A data set that ranges, noise and silent channels are judged over; None: the bundled one that the model
            was trained on, else the image alone.
        samples: Of it.
        alike: Correlation from which one map stands for another.
        heat: Whether heat maps are made: hiding parts of the image takes some 169 inferences.
        source: How a keras model is opened, but for its path.
    """

    layers: tuple[str, ...] = ()
    data: str | None = None
    samples: int = 64
    alike: float = ALIKE
    heat: bool = True
    source: models.Source | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alike <= 1:
            raise ConfigError(f"--alike is above 0 and 1 at most, got {self.alike}")


@dataclass(frozen=True, slots=True, kw_only=True)
class View(Shown):
    """What was seen.

    Attributes:
        models: The files, one or two.
        image: The picture.
        page: Where the page is.
        samples: How many the figures are over, the image included.
        data: What the others are of; None when the image is alone.
        answers: By model: what each head says, as `edgecv predict` does.
        heat: How the heat maps were made.
        layers: In the order of execution.
        removable: Channels that may go, of a keras model.
        command: That takes them out; "" when there is none.
        cautions: What a reader should know.
    """

    models: tuple[str, ...]
    image: str
    page: str
    samples: int
    data: str | None
    answers: tuple[dict[str, Any], ...]
    heat: tuple[str, ...]
    layers: tuple[ViewedLayer, ...]
    removable: tuple[Useless, ...] = ()
    command: str = ""
    cautions: tuple[str, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    """One model that is open."""

    file: ModelFile
    predictor: Any
    loaded: LoadedModel | None

    @property
    def name(self) -> str:
        return self.file.name


def view(
    paths: Sequence[Path], image: Path, plan: ViewPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> View:
    """Look at a model, or at two beside each other, on an image, and write a page.

    Args:
        paths: A `.keras`, `.tflite` or `.onnx`; and a second form of the same model to hold against it.
        image: A picture.
        plan: What to look at.
        out: The page, `.html`.
        force: Replace it.
        reporter: Takes progress and remarks.

    Raises:
        ConfigError, DataError: A path, the image, a layer's name or the data set is wrong.
        UnsupportedModelError: A model cannot be looked into, or the two have nothing in common.
    """
    if len(paths) not in (1, 2):
        raise ConfigError(f"view takes one model or two, got {len(paths)}", hint="edgecv view MODEL [SECOND] IMAGE")
    if out.suffix.lower() != ".html":
        raise ConfigError(f"the page is an .html file, got {out}", hint=f"--out {out.stem or 'view'}.html")
    page = files.check_output(out, force=force)
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(_opened(path, plan, reporter)) for path in paths]
        spec = _checked_spec(opened)
        pixels = loaded_sample(image, spec)[0]
        tensors, source = _samples(opened, spec, pixels, plan, reporter)
        looks = [stack.enter_context(one) for one in _looks(opened, stack, reporter)]
        matching(plan.layers, [layer.name for layer in looks[0].layers], kind="layer")
        sights = views.look(
            looks, ([one] for one in tensors), spec, total=len(tensors), alike=plan.alike, reporter=reporter
        )
        asked = [(one.name, one.predictor, one.loaded) for one in opened]
        heats = heat.heats(asked, tensors[0], sights, reporter) if plan.heat else ()
        answers = [one.predictor.predict(image) for one in opened]
    gone = _removal(opened, tensors, plan)
    cautions = _cautions(opened, len(tensors), gone)
    found = View(
        models=tuple(map(str, paths)), image=str(image), page=str(page), samples=len(tensors), data=source,
        answers=tuple(_answer(one) for one in answers), heat=tuple(one.title for one in heats),
        layers=tuple(one.figures for one in sights), removable=gone.channels if gone else (),
        command=gone.command if gone else "", cautions=cautions,
    )  # fmt: skip
    told = view_page.ViewPage(
        title=f"edgecv view, {image.name} in {' and '.join(one.name for one in opened)}",
        models={name: _sentence(one) for name, one in zip(_names(opened), opened, strict=True)},
        image=pixels, image_name=image.name, heats=heats, sights=sights, pictured=_pictured(sights, plan.layers),
        answers={name: np.asarray(one.draw(pixels)) for name, one in zip(_names(opened), answers, strict=True)},
        samples=len(tensors), source=source or image.name, removal=removal.told(gone),
        command=found.command, cautions=cautions,
    )  # fmt: skip
    files.write_text(page, view_page.render(told))
    return found


@contextlib.contextmanager
def _opened(path: Path, plan: ViewPlan, reporter: Reporter) -> Iterator[_Model]:
    file = model_file(path)
    source = replace(plan.source or models.Source(path=path), path=path)
    if file.is_keras or imports(file, EvaluationRequest(spec=source.spec, source=source)):
        loaded = contract.opened(source, plan.data, reporter=reporter)
        yield _Model(file=file, predictor=KerasPredictor(loaded), loaded=loaded)
        return
    if file.format not in ("tflite", "onnx"):
        raise UnsupportedModelError(
            f"{path} is a {file.format}: its layers cannot be looked into", hint="give a .keras, .tflite or .onnx"
        )
    spec = read_spec(source.spec) if source.spec else None
    with open_artifact(path, spec=spec, apart=True) as predictor:
        yield _Model(file=file, predictor=predictor, loaded=None)


def _removal(opened: Sequence[_Model], tensors: Sequence[Array], plan: ViewPlan) -> removal.Removal | None:
    """Return what may go of the first keras model; None where there is none."""
    for one in opened:
        if one.loaded is not None:
            return removal.removal(
                one.loaded, one.file.path, tensors, alike=plan.alike, data=plan.data, source=plan.source
            )
    return None


def _checked_spec(opened: Sequence[_Model]) -> ModelSpec:
    specs = [one.predictor.spec for one in opened]
    spec: ModelSpec = specs[0]
    if len(spec.inputs) != 1 or spec.preprocessing is None:
        raise UnsupportedModelError(
            f"'{spec.name}' takes {', '.join(one.name for one in spec.inputs)}: view shows models of one image",
            hint="`edgecv debug` compares the layers of any model",
        )
    if any(one.inputs != spec.inputs for one in specs):
        raise ConfigError(
            f"{opened[0].name} and {opened[1].name} do not take the same input", hint="give two forms of one model"
        )
    return spec


def _samples(
    opened: Sequence[_Model], spec: ModelSpec, pixels: Array, plan: ViewPlan, reporter: Reporter
) -> tuple[list[Array], str | None]:
    """Return the tensors that figures are over, the image's first, and what the others are of."""
    image = preprocess_sample((pixels,), spec)[0]
    manifest = opened[0].predictor.manifest
    recorded = manifest.provenance.dataset if manifest is not None else None
    if plan.data is None and recorded not in models.BUNDLED:
        return [image], None
    dataset = models.open_data(plan.data, manifest)
    split = dataset.split("validation")
    chosen = np.unique(np.linspace(0, len(split) - 1, min(plan.samples, len(split))).astype(int))
    found = [preprocess_sample(split.record(int(index)).inputs, spec)[0] for index in chosen]
    if plan.data is None:
        reporter.info(f"{dataset.name}, which the model was trained on, is looked at too: --data takes another")
    return [image, *found], f"the image, and {len(found)} of validation of {dataset.name}"


def _looks(opened: Sequence[_Model], stack: contextlib.ExitStack, reporter: Reporter) -> list[LayerOutputs]:
    """Return what looks into each model; of a keras model beside a file, into the float file of the same layers."""
    mixed = len({one.loaded is None for one in opened}) == 2
    found: list[LayerOutputs] = []
    for one in opened:
        if one.loaded is None:
            found.append(TfliteLayers(one.file.path) if one.file.format == "tflite" else OnnxLayers(one.file.path))
        elif mixed:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            twin = folder / "float32.tflite"
            convert(one.loaded, format="tflite", scheme="float32", out=twin, reporter=Unseen(reporter))
            found.append(TfliteLayers(twin))
        else:
            found.append(KerasLayers(one.loaded.model))
    return found


def _pictured(sights: Sequence[Sight], patterns: Sequence[str]) -> list[Sight]:
    """Return the layers that get pictures: those named, or those with maps, spread evenly over the network."""
    if patterns:
        named = matching(patterns, [one.figures.layer for one in sights], kind="layer")
        return [one for one in sights if one.figures.layer in named]
    maps = [
        one for one in sights
        if one.maps.ndim == 3 and min(one.maps.shape[:2]) > 1 and one.figures.op not in NO_PICTURE
    ]  # fmt: skip
    if len(maps) <= MOST_PICTURED:
        return maps
    return [maps[index] for index in np.unique(np.linspace(0, len(maps) - 1, MOST_PICTURED).astype(int))]


def _names(opened: Sequence[_Model]) -> list[str]:
    """Return a name for each model: of two of one name, with their folders."""
    names = [one.name for one in opened]
    return names if len(set(names)) == len(names) else [str(one.file.path) for one in opened]


def _sentence(one: _Model) -> str:
    manifest = one.predictor.manifest
    scheme = f"{manifest.scheme}, by {manifest.method}" if manifest is not None and manifest.method != "none" else (
        manifest.scheme if manifest is not None else "without a manifest"
    )  # fmt: skip
    spec = one.predictor.spec
    return (
        f"{spec.name}, {one.file.format} {scheme}, input {'x'.join(map(str, spec.input_shape))}, {one.predictor.engine}"
    )


def _answer(prediction: Any) -> dict[str, Any]:
    return {name: dict(each.to_dict()) for name, each in prediction.heads.items()}


def _cautions(opened: Sequence[_Model], samples: int, gone: removal.Removal | None) -> tuple[str, ...]:
    found = []
    if samples == 1:
        found.append(
            "All figures are over one image, which says little: a channel that is silent here may speak for others. "
            "--data D looks at more."
        )
    if gone is not None and gone.lacks_data:
        found.append("The command at the end needs the data that the model is judged on in place of DATA.")
    if len({one.loaded is None for one in opened}) == 2:
        keras = next(one.name for one in opened if one.loaded is not None)
        found.append(
            f"{keras} is shown by its float file: layers as the converter joins them, normalisation and activation "
            "folded into the convolution before."
        )
    return tuple(found)
