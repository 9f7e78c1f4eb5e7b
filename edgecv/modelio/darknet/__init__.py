"""Networks of Darknet: a cfg file and a weights file become a tf_keras model and its contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.contract import plain_name, recognised_head
from edgecv.modelio.darknet.build import OUTPUT, build
from edgecv.modelio.darknet.cfg import read_cfg
from edgecv.modelio.darknet.heads import detector
from edgecv.modelio.darknet.plan import Plan, plan
from edgecv.modelio.darknet.weights import Header, Weights, read_weights, write_weights
from edgecv.values.specs import ModelSpec, Preprocessing, one_input

FORK = frozenset({"cutmix", "iou_loss", "iou_normalizer", "iou_thresh", "mosaic", "nms_kind", "resize", "scale_x_y"})
"""Keys that AlexeyAB's fork alone has. It stretches images unless letter_box=1 says otherwise; Darknet never does."""
GRAY_FILL = 127
"""Half of white, which Darknet pads images with: letterbox_image of src/image.c."""

__all__ = [
    "Header",
    "Imported",
    "Plan",
    "Weights",
    "import_darknet",
    "plan",
    "read_cfg",
    "read_weights",
    "write_weights",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A network of Darknet.

    Attributes:
        model: tf_keras functional.
        spec: Its contract.
        plan: Its layers.
        header: Of the weights file; None without one.
        remarks: What was passed over or assumed, a sentence each.
    """

    model: Any
    spec: ModelSpec
    plan: Plan
    header: Header | None
    remarks: tuple[str, ...]


def import_darknet(cfg: Path, weights: Path | None = None, *, labels: Sequence[str] = (), seed: int = 0) -> Imported:
    """Return the network of a cfg file.

    Args:
        cfg: The cfg file.
        weights: The weights file; None gives random weights.
        labels: One per class, in order; empty numbers them.
        seed: Of random weights.

    Raises:
        ConfigError: A file cannot be read, a value is no number, or the labels are not as many as the classes.
        UnsupportedModelError: A section cannot be imported, shapes do not fit, or the weights are of another network.
    """
    found = plan(read_cfg(cfg))
    answer = detector(found, labels)
    held = read_weights(weights, found.blobs) if weights is not None else None
    name = plain_name(cfg)
    env.keras().utils.set_random_seed(seed)
    with env.first_names():
        model = build(
            found, name=name, arrays=None if held is None else held.arrays, parts=answer.parts if answer else {}
        )
    remarks = list(found.remarks)
    if held is None:
        remarks.append("there is no weights file: the weights are random")
    if answer is not None:
        head = answer.head
        remarks += _of_fork(found)
    else:
        head, sentence, _ = recognised_head(model.outputs[0], OUTPUT)
        remarks.append(sentence)
    spec = one_input(name, found.image, (head,), _preprocessing(found, boxes=answer is not None))
    if answer is None:
        spec = _labelled(spec, labels, int(model.outputs[0].shape[-1]))
    return Imported(model=model, spec=spec, plan=found, header=held.header if held else None, remarks=tuple(remarks))


def _of_fork(found: Plan) -> list[str]:
    keys = {key for section in (found.cfg.net, *found.cfg.layers) for key in section.options}
    if "letter_box" in keys or not keys & FORK:
        return []
    return [
        f"images are padded, as Darknet does; {found.cfg.path.name} is of AlexeyAB's fork, which stretches them: "
        "letter_box=0 in [net] does so here too"
    ]


def _labelled(spec: ModelSpec, labels: Sequence[str], units: int) -> ModelSpec:
    if labels and len(labels) != units:
        raise ConfigError(
            f"{spec.name}: {len(labels)} labels for {units} outputs", hint="give one label per line, in order"
        )
    return spec.with_labels(tuple(labels) or tuple(f"class_{index}" for index in range(units)))


def _preprocessing(found: Plan, *, boxes: bool) -> Preprocessing:
    """How Darknet prepares images: whole, on half of white, for boxes; the middle, for a class."""
    net, channels = found.cfg.net, found.image[2]
    if channels not in (1, 3):
        raise UnsupportedModelError(
            f"{net.where} [net]: images of {channels} channels cannot be fed", hint="channels is 1 or 3"
        )
    middle, deviation = (127.5, 127.5) if found.symmetric else (0.0, 255.0)
    whole = boxes and bool(net.integer("letter_box", 1))
    return Preprocessing(
        color="gray" if channels == 1 else "rgb",
        resize="letterbox" if whole else "stretch" if boxes else "center_crop",
        mean=(middle,) * channels,
        std=(deviation,) * channels,
        pad_value=GRAY_FILL if whole else 0,
    )
