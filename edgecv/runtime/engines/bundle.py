"""A bundle of two networks as one session: regions are found and cut out between them, in numpy.

The time of a run is that of both networks and of what lies between; `stages` runs the parts one by one.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.files import PathLike
from edgecv.runtime.container import read_manifest, unpack_bundle
from edgecv.runtime.engines.base import Session
from edgecv.runtime.tensors import completed, to_real, to_stored
from edgecv.tasks.detection import regions as between
from edgecv.tasks.detection.settings import settings_of
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs, bind_outputs
from edgecv.values.bundle import FEATURES, REGIONS
from edgecv.values.manifest import Manifest, TensorInfo
from edgecv.values.specs import Head, ModelSpec

Array = NDArray[Any]
FACTS = ("adapter", "compile_ms", "n_accelerated", "n_operators")


class Part:
    """One network of a bundle: raw tensors in, outputs in real units by name.

    Attributes:
        session: Its interpreter.
        manifest: What its file says; `spec` is its part of the contract.
        info: Of its only input.
    """

    def __init__(self, path: str, open_part: Callable[[str], Session]) -> None:
        manifest = read_manifest(path)
        if manifest is None:
            raise UnsupportedModelError(
                f"the part {os.path.basename(path)} has no manifest", hint="make the bundle again with edgecv convert"
            )
        self.manifest: Manifest = manifest
        self.spec: ModelSpec = manifest.spec
        self.session = open_part(path)
        bind_inputs(self.spec, [one.name for one in self.session.inputs], path)
        (self.info,) = completed(self.session.inputs, manifest.inputs)
        self._outputs = completed(self.session.outputs, manifest.outputs)
        names = [one.name for one in self._outputs]
        places = bind_outputs(self.spec, names, path)
        self._places = {
            name: place for head, own in zip(self.spec.heads, places) for name, place in zip(head.outputs, own)
        }
        for head, own in zip(self.spec.heads, places):
            task_of(head).check(head, [self._outputs[place].shape for place in own])

    def shape(self, name: str) -> Tuple[int, ...]:
        """Return the shape of an output, with the batch."""
        return self._outputs[self._places[name]].shape

    def answer(self, stored: Array) -> Dict[str, Array]:
        """Return every output, float32 without the batch, for an input as the file stores it."""
        raw = self.session.run([stored])
        return {name: to_real(raw[place], self._outputs[place])[0] for name, place in self._places.items()}

    def ask(self, values: Array) -> Dict[str, Array]:
        """Return every output for an input in real units, without the batch."""
        return self.answer(to_stored(values[None], self.info))


class BundleSession(Session):
    """Two interpreters, and what lies between them.

    Attributes:
        parts: Role to network.
    """

    def __init__(self, path: PathLike, open_part: Callable[[str], Session]) -> None:
        self._folder = tempfile.mkdtemp(prefix="edgecv-")
        self.parts: Dict[str, Part] = {}
        try:
            for role, file in unpack_bundle(path, self._folder).items():
                self.parts[role] = Part(file, open_part)
            self._head, self._finder = _heads(self.parts, os.fspath(path))
            first, last = self.parts.get(FEATURES), self.parts[REGIONS]
            canvas = TensorInfo("image", (1, *between.CANVAS, last.info.shape[-1]), "float32")
            session = (first or last).session
            taken = first.info if first else canvas
            super().__init__(session.engine, session.threads, (taken,), self._answered(last))
        except BaseException:
            self.close()
            raise
        self.accelerator = session.accelerator  # type: ignore[misc]  # of this session, where it is of a class elsewhere
        for fact in FACTS:
            setattr(self, fact, getattr(session, fact))
        self.is_software_adapter = any(part.session.is_software_adapter for part in self.parts.values())
        self.fully_accelerated = all(part.session.fully_accelerated for part in self.parts.values())
        self._given: Optional[Array] = None
        self._answers: List[Array] = []

    @property
    def precision(self) -> Optional[str]:
        return self.parts[REGIONS].session.precision

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        (self._given,) = arrays

    def invoke(self) -> None:
        assert self._given is not None
        first = self.parts.get(FEATURES)
        seen = {} if first is None else first.answer(self._given)
        image = to_real(self._given, self.inputs[0])[0]
        found = self.regions(image, seen)
        self._answers = [answer[None] for answer in self.told(self.second(image, seen, found), found)]

    def regions(self, image: Array, seen: Dict[str, Array]) -> Array:
        """Return where something may be: float32 (n, 4), input pixels, at most as many as the second network takes.

        Args:
            image: The input in real units, float32 (H, W, C).
            seen: What the first network gives for it.
        """
        if self._finder is None:
            settings = (self.parts.get(FEATURES) or self.parts[REGIONS]).spec.preprocessing
            return between.searched(image, settings, settings_of(self._head))
        outputs = [seen[name] for name in self._finder.outputs]
        return between.proposals(outputs, self._finder, (image.shape[0], image.shape[1]))

    def second(self, image: Array, seen: Dict[str, Array], found: Array) -> Dict[str, Array]:
        """Return the second network's outputs for regions of the image, or of the first one's features."""
        last, settings = self.parts[REGIONS], settings_of(self._head)
        shape = last.info.shape[1:]
        if FEATURES in self.parts:
            features = seen[_features(self.parts[FEATURES])]
            return last.ask(between.cut_out(features, found, settings, shape))
        answers = [last.ask(crop) for crop in between.cut_out(image, found, settings, shape)]
        names = self._head.outputs
        return {name: _rows([one[name] for one in answers], settings.regions, last.shape(name)[-1]) for name in names}

    def told(self, outputs: Dict[str, Array], found: Array) -> List[Array]:
        """Return what the bundle answers, without the batch; see `edgecv.tasks.detection.regions.answers`."""
        boxes, scores = (outputs[name] for name in self._head.outputs)
        return between.answers(boxes, scores, found, self._head)

    def get_outputs(self) -> List[Array]:
        return list(self._answers)

    def close(self) -> None:
        for part in self.parts.values():
            part.session.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answered(self, last: Part) -> Tuple[TensorInfo, ...]:
        """The outputs of the whole, by the shapes of the second network's."""
        shape = last.shape(self._head.outputs[1])
        cropped = FEATURES not in self.parts
        count = settings_of(self._head).regions if cropped else int(np.prod(shape[1:-1], dtype=np.int64))
        rows = count * (shape[-1] - 1)
        shapes = ((1, rows, 4), (1, rows), (1, rows))
        return tuple(TensorInfo(name, shape, "float32") for name, shape in zip(between.OUTPUTS, shapes))


def _heads(parts: Dict[str, Part], path: str) -> Tuple[Head, Optional[Head]]:
    """Return the head that looks at regions, and the one that proposes them."""
    head = between.second_stage(parts[REGIONS].spec)
    if head is None or len(head.outputs) != 2:
        raise UnsupportedModelError(f"{path}: its part '{REGIONS}' has no head that looks at regions")
    first = parts[FEATURES].spec.heads if FEATURES in parts else ()
    return head, next((one for one in first if one.settings.get("decoder") == "rpn"), None)


def _features(part: Part) -> str:
    head = between.second_stage(part.spec)
    assert head is not None
    return head.outputs[0]


def _rows(answers: List[Array], count: int, width: int) -> Array:
    """Return the answers to single regions below each other, (count, 1, width), zeros where there are none."""
    found = np.zeros((count, 1, width), np.float32)
    if answers:
        found[: len(answers), 0] = np.stack([answer.reshape(-1) for answer in answers])
    return found
