"""What a bundle answered when it was made, and whether it still does: its networks one by one, for kept regions.

Regions are kept, and not found again: two boxes of nearly one score may change places on another engine, and then every
later number is about something else.
"""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.files import PathLike
from edgecv.runtime.container import read_bundle
from edgecv.runtime.engines import open_session
from edgecv.runtime.engines.bundle import BundleSession
from edgecv.runtime.golden import GoldenDifference, GoldenResult, difference_to, result_of, sample_of, size_of
from edgecv.runtime.golden import compare as compared
from edgecv.runtime.image import preprocess_sample
from edgecv.values.bundle import FEATURES, RegionGolden
from edgecv.values.manifest import Golden, Manifest, pack_array, pack_output, unpack_array

Array = NDArray[Any]


def golden_of(path: PathLike, **options: Any) -> Tuple[RegionGolden, ...]:
    """Return what the second network answers for the regions that are found in each of the first one's golden images.

    `options` are those of `open_session`. Raises as it does.
    """
    session = _opened(path, options)
    try:
        found = []
        for index, golden in enumerate(_manifest(session, FEATURES).golden):
            image, seen = _seen(session, golden)
            regions = session.regions(image, seen)
            outputs = session.second(image, seen, regions)
            packed = tuple(pack_output(name, values) for name, values in outputs.items())
            found.append(RegionGolden(index, pack_array(regions), packed))
        return tuple(found)
    finally:
        session.close()


def replay(path: PathLike, *, relative: float = 0.0, **options: Any) -> Tuple[GoldenResult, str]:
    """Run the golden vectors of every network of a bundle and compare; return the engine too.

    Args:
        path: The bundle.
        relative: As for `edgecv.runtime.golden.replay`.
        options: As `open_session` takes them.

    Raises:
        UnsupportedModelError: It is no bundle, or holds no golden vectors.
        DeviceError: As `open_session`.
    """
    bundle = read_bundle(path)
    session = _opened(path, options)
    try:
        details: List[GoldenDifference] = []
        for part in session.parts.values():
            answers = [list(part.ask(_input(part.manifest, golden)).values()) for golden in part.manifest.golden]
            details += compared(part.manifest, answers, relative=relative).details
        for golden in bundle.golden:
            image, seen = _seen(session, _manifest(session, FEATURES).golden[golden.image])
            outputs = session.second(image, seen, unpack_array(golden.regions).astype(np.float32))
            for place, expected in enumerate(golden.outputs):
                allowed = max(bundle.golden_tolerances[place], relative * size_of(expected))
                details.append(
                    GoldenDifference(golden.image, place, allowed, difference_to(expected, outputs.get(expected.name)))
                )
    finally:
        session.close()
    if not details:
        raise UnsupportedModelError(
            f"{path} holds no golden vectors, so there is nothing to verify", hint="make it again with edgecv convert"
        )
    return result_of(details), session.engine


class Replay:
    """`replay` in a process apart: see `edgecv.core.apart`."""

    def __init__(self, path: str, options: Dict[str, Any]) -> None:
        self._path, self._options = path, options

    def of_all(self, relative: float) -> Tuple[GoldenResult, str]:
        return replay(self._path, relative=relative, **self._options)


def _opened(path: PathLike, options: Dict[str, Any]) -> BundleSession:
    session = open_session(path, **options)
    if not isinstance(session, BundleSession):
        session.close()
        raise UnsupportedModelError(f"{path} is no bundle", hint="make one with edgecv convert")
    return session


def _manifest(session: BundleSession, role: str) -> Manifest:
    return session.parts[role].manifest


def _input(manifest: Manifest, golden: Golden) -> Array:
    return np.asarray(preprocess_sample(sample_of(golden), manifest.spec)[0][0])


def _seen(session: BundleSession, golden: Golden) -> Tuple[Array, Dict[str, Array]]:
    """Return a golden image as the first network takes it, and what that gives."""
    image = _input(_manifest(session, FEATURES), golden)
    return image, session.parts[FEATURES].ask(image)


__all__ = ["Replay", "golden_of", "replay"]
