"""Giving a model another input size: `edgecv reshape`, from a path to a saved `.keras` that was held against it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecv import data
from edgecv.compress.fully_convolutional import FullyConvolutional, fully_convolutional
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.files import check_output, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.data.synthetic import synthetic
from edgecv.jobs import contract, models
from edgecv.modelio import LoadedModel, boundary, manifest_for, save_keras
from edgecv.modelio.opaque import require_layers
from edgecv.modelio.opening import input_size
from edgecv.runtime.image import preprocess
from edgecv.values.manifest import Manifest
from edgecv.zoo.profiling import profile

Array = np.ndarray[Any, Any]
MOST_CHECKED = 64
"""Windows that a network is held against one by one."""

TOLERANCE = 1e-4
"""Of the largest answer: sums in another order differ by less."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReshapePlan:
    """What is asked for.

    Attributes:
        fully_convolutional: Whether dense layers become convolutions: the only way to another size so far.
        input_size: "448" or "448x640".
        data: Images of the check; None: the bundled data of training, else made-up images.
        seed: Of the choice of images.
    """

    input_size: str
    fully_convolutional: bool = False
    data: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reshaped(Shown):
    """A fully convolutional network that was written.

    Attributes:
        input_size: (height, width) that it takes, `window` that it took before.
        stride: (down, across) from one window to the next, in pixels.
        cells: (rows, columns) of the answer: one for each window.
        macs: Multiply-accumulates of one run; `window_macs` of the classifier on every window.
        checked: Windows whose answers were compared with the classifier's; `checked_on` says of what images.
        max_abs_diff: The largest difference, `agreement` the share of windows with the same class, 0..1.
        differs: Layer to the reason why answers are not exactly those for the windows; empty when they are.
    """

    path: str
    name: str
    input_size: tuple[int, int]
    window: tuple[int, int]
    stride: tuple[int, int]
    cells: tuple[int, int]
    parameters: int
    macs: int
    window_macs: int
    checked: int
    checked_on: str
    max_abs_diff: float
    agreement: float
    size_bytes: int
    sha256: str
    differs: Mapping[str, str] = field(default_factory=dict)


def reshape(
    source: models.Source,
    plan: ReshapePlan,
    *,
    out: Path | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Reshaped:
    """Make a classifier fully convolutional, hold it against the classifier, and save it.

    Args:
        source: The classifier.
        plan: The size.
        out: Where the `.keras` goes; None: beside the classifier, "lenet5-96.keras".
        force: Replace what exists.
        reporter: Is told which layers differ from windows, and by how much.

    Raises:
        ConfigError: Another way is asked for, a head is no classification, the size holds no whole number of windows,
            or `out` cannot be written.
        UnsupportedModelError: A layer ties the network to its input's size.
        ConversionError: The answers are not those of the classifier, and nothing says why.
    """
    if not plan.fully_convolutional:
        raise ConfigError("reshape has no way to another size", hint="pass --fully-convolutional")
    size = input_size(plan.input_size)
    where = out or source.path.with_name(f"{source.path.stem}-{_size_name(size)}.keras")
    models.check_keras(where)
    check_output(where, force=force)
    loaded = contract.opened(source, plan.data, reporter=reporter)
    require_layers(loaded.model)
    parent = models.require_manifest(loaded)
    made = fully_convolutional(loaded.model, parent.spec, size)
    _require_same(loaded.model, parent, made, plan.seed)
    checked = _compared(loaded.model, parent, made, plan)
    if made.differs:
        reporter.warn(_told(made, checked))
    return _saved(loaded, parent, made, checked, where, force=force)


def _size_name(size: tuple[int, int]) -> str:
    return str(size[0]) if size[0] == size[1] else f"{size[0]}x{size[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Check:
    on: str
    n: int
    largest: float
    same: int


def _require_same(model: Any, parent: Manifest, made: FullyConvolutional, seed: int) -> None:
    """Check that at the classifier's own size nothing has changed."""
    twin = fully_convolutional(model, parent.spec, made.window).model
    images = _tensors(synthetic(parent.spec, samples=8, seed=seed), parent, 2)
    _require_near(_answers(twin, images)[:, 0, 0], _answers(model, images), parent.spec.name)


def _compared(model: Any, parent: Manifest, made: FullyConvolutional, plan: ReshapePlan) -> _Check:
    """Hold cells of one large image against the classifier on their windows."""
    dataset = _dataset(parent, plan)
    canvas = _mosaic(parent, made, dataset, plan.seed)
    places = _places(made.cells)
    answers = _answers(made.model, canvas)[0][places[:, 0], places[:, 1]]
    (height, width), (down, across) = made.window, made.stride
    crops = [canvas[0, down * i : down * i + height, across * j : across * j + width] for i, j in places.tolist()]
    expected = np.concatenate([_answers(model, crop[None]) for crop in crops])
    if not made.differs:
        _require_near(answers, expected, parent.spec.name)
    same = int((answers.argmax(axis=-1) == expected.argmax(axis=-1)).sum())
    return _Check(on=dataset.name, n=len(places), largest=float(np.abs(answers - expected).max()), same=same)


def _dataset(parent: Manifest, plan: ReshapePlan) -> data.Dataset:
    if plan.data is not None or parent.provenance.dataset in models.BUNDLED:
        return models.open_data(plan.data, parent)
    return synthetic(parent.spec, samples=MOST_CHECKED, seed=plan.seed)


def _mosaic(parent: Manifest, made: FullyConvolutional, dataset: data.Dataset, seed: int) -> Array:
    """Return one input, (1, H, W, C), of images side by side."""
    height, width, _ = made.spec.input_shape
    rows, columns = math.ceil(height / made.window[0]), math.ceil(width / made.window[1])
    tiles = _tensors(dataset, parent, rows * columns, seed)
    lines = [np.concatenate(list(tiles[row * columns : (row + 1) * columns]), axis=1) for row in range(rows)]
    return np.concatenate(lines)[None, :height, :width]


def _tensors(dataset: data.Dataset, parent: Manifest, count: int, seed: int = 0) -> Array:
    split = dataset.split("train")
    chosen = np.random.default_rng(seed).integers(0, len(split), count)
    return np.concatenate([preprocess(split.image(int(index)), parent.spec) for index in chosen])


def _places(cells: tuple[int, int]) -> Array:
    """Return at most `MOST_CHECKED` cells, int64 (n, 2), the four corners among them."""
    side = math.isqrt(MOST_CHECKED)
    rows, columns = (np.unique(np.linspace(0, count - 1, min(count, side)).round().astype(int)) for count in cells)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _answers(model: Any, images: Array) -> Array:
    """Return the first output as float32."""
    return np.asarray(boundary.call(model, [images.astype(np.float32)])[0], np.float32)


def _require_near(found: Array, expected: Array, name: str) -> None:
    worst, scale = float(np.abs(found - expected).max()), max(1.0, float(np.abs(expected).max()))
    if not worst <= TOLERANCE * scale:
        raise ConversionError(
            f"'{name}' as a fully convolutional network answers its windows differently, by {worst:.3g}",
            hint="a layer of it does not work window by window: slide the classifier with edgecv.runtime.slide",
        )


def _told(made: FullyConvolutional, check: _Check) -> str:
    reasons = [f"{layer} {why}" for layer, why in list(made.differs.items())[:1]]
    more = f", and {len(made.differs) - 1} more layers" if len(made.differs) > 1 else ""
    return (
        f"answers are not those for single windows: {reasons[0]}{more}. On {check.n} windows of {check.on} they differ "
        f"by {check.largest:.3g} at most, and {check.same} have the same class"
    )


def _saved(
    loaded: LoadedModel, parent: Manifest, made: FullyConvolutional, check: _Check, out: Path, *, force: bool
) -> Reshaped:
    step = {"step": "reshape", "fully_convolutional": True, "input_size": list(made.spec.input_shape[:2])}
    # Not the data that it was trained on: that is about classes of whole images, and this answers with masks.
    manifest = manifest_for(
        made.spec, recipe=step, source_sha256=loaded.sha256, parents=models.ancestry(loaded)
    )  # fmt: skip
    save_keras(made.model, out, manifest, force=force)
    cost, height, width = profile(made.model), made.spec.input_shape[0], made.spec.input_shape[1]
    return Reshaped(
        path=str(out), name=made.spec.name, input_size=(height, width), window=made.window, stride=made.stride,
        cells=made.cells, parameters=cost.parameters, macs=cost.macs,
        window_macs=profile(loaded.model).macs * math.prod(made.cells), checked=check.n, checked_on=check.on,
        max_abs_diff=check.largest, agreement=check.same / check.n, size_bytes=out.stat().st_size, sha256=sha256(out),
        differs=made.differs,
    )  # fmt: skip
