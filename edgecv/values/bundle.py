"""A bundle: several networks that answer as one model, in a zip archive with a file for each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Tuple

from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values.manifest import GoldenArray, GoldenOutput

MEMBER = "bundle.json"
SCHEMA = "edgecv.bundle/1"
FEATURES, REGIONS = "features", "regions"
"""Roles of parts: the network that takes the image, and the one that takes regions of it or of its features."""


@dataclass(frozen=True)
class RegionGolden:
    """What the second network answered for given regions of the first one's golden image.

    The regions are kept, so that a box which another engine moves by a hair cannot change which regions are compared.

    Attributes:
        image: Index of the golden vector of the first network.
        regions: float32 (n, 4), xyxy in input pixels.
        outputs: One per output of the second network, in its order.
    """

    image: int
    regions: GoldenArray
    outputs: Tuple[GoldenOutput, ...]


@dataclass(frozen=True)
class Bundle:
    """What the member `bundle.json` says.

    Attributes:
        parts: Role to the name of a member, a `.tflite` or `.onnx` with a manifest of its own.
        golden: Of the second network, where its inputs are too large to be kept.
        golden_tolerances: Largest allowed difference of each of its outputs, in real units.
    """

    parts: Mapping[str, str]
    golden: Tuple[RegionGolden, ...] = ()
    golden_tolerances: Tuple[float, ...] = ()


def to_json(bundle: Bundle) -> str:
    """Return the bundle as compact JSON with sorted keys: the same bundle gives the same bytes."""
    document: Dict[str, Any] = {"schema": SCHEMA}
    document.update(codec.encode(bundle))
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def from_json(text: str, *, where: str) -> Bundle:
    """Parse a bundle. Raises UnsupportedModelError for anything else, and for a newer schema."""
    try:
        document = dict(json.loads(text))
        schema = document.pop("schema", None)
        if schema != SCHEMA:
            raise UnsupportedModelError(
                f"{where}: bundle schema is {schema!r}, expected '{SCHEMA}'", hint="upgrade edgecv"
            )
        found = codec.decode(Bundle, document, where=f"{MEMBER} of {where}")
    except (ValueError, TypeError, ConfigError) as error:
        raise UnsupportedModelError(f"{where}: its {MEMBER} cannot be read: {error}") from error
    unknown = sorted(set(found.parts) - {FEATURES, REGIONS})
    if unknown or REGIONS not in found.parts:
        raise UnsupportedModelError(
            f"{where}: its parts are {', '.join(found.parts) or 'none'}, expected {REGIONS}, and {FEATURES} before it",
            hint="upgrade edgecv, or make the bundle again with edgecv convert",
        )
    return found
