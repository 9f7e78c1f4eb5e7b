"""Darknet's cfg files: sections of keys and values. Pure Python.

Source: read_cfg and the parse_ functions of src/parser.c in github.com/pjreddie/darknet and
github.com/AlexeyAB/darknet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.errors import ConfigError, UnsupportedModelError, nearest

LARGEST = 2**31 - 1
"""Numbers are C ints in Darknet."""
# What sections are called, and the keys of each that mean something there; "*" are those of every section.
_KNOWN = """
[net] adam adversarial_lr angle aspect B1 B2 attention augment_speed badlabels_rejection_percentage batch
[net] batches_per_cycle blur burn_in center channels clip contrastive contrastive_color contrastive_jit_flip cutmix
[net] decay dynamic_minibatch ema_alpha eps equidistant_point exposure flip gamma gaussian_noise height hue inputs
[net] label_smooth_eps learning_rate learning_rate_min letter_box loss_scale max_batches max_chart_loss max_crop
[net] max_ratio min_crop min_ratio mixup momentum mosaic mosaic_bound notruth num_sigmas_reject_badlabels
[net] optimized_memory policy power random resize_step saturation scale scales seq_scales sequential_subdivisions
[net] sgdr_cycle sgdr_mult step steps subdivisions time_steps track try_fix_nan unsupervised use_cuda_graph
[net] weights_reject_freq width workspace_size_limit_MB
[convolutional] activation angle antialiasing assisted_excitation batch_normalize bin_output binary cbn coordconv
[convolutional] dilation dot filters flipped grad_centr groups pad padding reverse rotate share_index size stream
[convolutional] stretch stretch_sway stride stride_x stride_y sway wait_stream xnor
[maxpool] antialiasing maxpool_depth maxpool_zero_nonmax out_channels padding size stride stride_x stride_y
[avgpool]
[route] group_id groups layers stream wait_stream
[shortcut] activation alpha beta from weights_normalization weights_type
[upsample] scale stride
[reorg] extra flatten reverse stride
[connected] activation batch_normalize output
[local] activation filters pad size stride
[dropout] dropblock dropblock_size_abs dropblock_size_rel probability
[softmax] groups noloss spatial temperature tree
[crop] angle crop_height crop_width exposure flip noadjust saturation shift
[cost] noobj ratio scale thresh type
[region] absolute anchors background bias_match class_scale classes classfix coord_scale coords focal_loss jitter log
[region] map mask_scale max noobject_scale num object_scale random rescore softmax sqrt thresh tree
[yolo] anchors beta_nms beta1 beta2 classes cls_normalizer counters_per_class delta_normalizer dets_for_show
[yolo] dets_for_track embedding_layer focal_loss ignore_thresh iou_loss iou_normalizer iou_thresh iou_thresh_kind
[yolo] jitter label_smooth_eps map mask max max_delta new_coords nms_kind num obj_normalizer objectness_smooth random
[yolo] resize scale_x_y show_details sim_thresh track_history_size truth_thresh
[detection] class_scale classes coord_scale coords forced jitter max noobject_scale num object_scale random reorg
[detection] rescore side softmax sqrt
[*] dontload dontloadscales dontsave learning_rate numload onlyforward smooth stopbackward truth
"""
_SHORT = {"network": "net", "conv": "convolutional", "max": "maxpool", "avg": "avgpool", "conn": "connected"}
_SHORT["soft"] = "softmax"


def _keys() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for line in _KNOWN.strip().splitlines():
        kind, *keys = line.split()
        found.setdefault(kind.strip("[]"), set()).update(keys)
    common = found.pop("*")
    return {kind: frozenset(keys | common) for kind, keys in found.items()}


KEYS: Mapping[str, frozenset[str]] = _keys()
"""Of each kind of section, the keys that are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a cfg file.

    Attributes:
        kind: Its name without brackets, the long one where there are two.
        where: File and line, for messages.
        options: Keys and values; of a key that comes twice Darknet reads the first.
    """

    kind: str
    where: str
    options: Mapping[str, str]

    def text(self, key: str, default: str) -> str:
        """Return a value as it stands there."""
        return self.options.get(key, default)

    def integer(self, key: str, default: int) -> int:
        """Return a value as an int. Raises ConfigError when it is none, or larger than a C int."""
        raw = self.options.get(key, str(default))
        try:
            value = int(raw)
        except ValueError:
            value = LARGEST + 1
        if abs(value) > LARGEST:
            raise self.wrong(key, "an integer")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a value as a float. Raises ConfigError when it is no finite number."""
        try:
            value = float(self.options.get(key, str(default)))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.wrong(key, "a finite number")
        return value

    def size(self, key: str, default: int) -> int:
        """Return a value as an int of at least 1. Raises ConfigError when it is none."""
        value = self.integer(key, default)
        if value < 1:
            raise self.wrong(key, "an integer of at least 1")
        return value

    def numbers(self, key: str) -> tuple[float, ...]:
        """Return a list of numbers, empty where there is no such key. Raises ConfigError when one is no number."""
        parts = [part.strip() for part in self.options.get(key, "").split(",")]
        try:
            values = tuple(float(part) for part in parts if part)
        except ValueError:
            values = (math.nan,)
        if not all(math.isfinite(value) for value in values):
            raise self.wrong(key, "numbers with commas between them")
        return values

    def integers(self, key: str) -> tuple[int, ...]:
        """Return a list of ints, likewise."""
        values = self.numbers(key)
        if any(value != int(value) for value in values):
            raise self.wrong(key, "integers with commas between them")
        return tuple(int(value) for value in values)

    def wrong(self, key: str, expected: str) -> ConfigError:
        """Return the error for a value that is not what was expected."""
        return ConfigError(f"{self.where} [{self.kind}]: {key} is {expected}, got '{self.options.get(key, '')}'")

    def require(self, key: str, value: float) -> None:
        """Raise UnsupportedModelError unless a key is absent or has the one value that is understood."""
        if self.number(key, value) != value:
            raise self.refused(f"{key} = {self.options[key]}", f"only {key} = {value:g} is understood")

    def refused(self, what: str, hint: str) -> UnsupportedModelError:
        """Return the error for what Darknet can do and the import cannot."""
        return UnsupportedModelError(f"{self.where} [{self.kind}]: {what} cannot be imported", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cfg:
    """A cfg file.

    Attributes:
        path: Its file.
        net: The first section: the input, and how the network was trained.
        layers: The others, in order; a layer's number is its place here.
        remarks: What was passed over, a sentence each.
    """

    path: Path
    net: Section
    layers: tuple[Section, ...]
    remarks: tuple[str, ...]


def read_cfg(path: Path) -> Cfg:
    """Read a cfg file.

    Raises:
        ConfigError: It does not exist, or a line is neither a section nor key=value.
        UnsupportedModelError: It is no text, has no [net], or a section is of an unknown kind.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="give a Darknet cfg file") from error
    except UnicodeDecodeError as error:
        raise UnsupportedModelError(f"{path} is no text, so it is no Darknet cfg file") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Cfg:
    """Return the sections of a cfg file's text; raises as `read_cfg` does."""
    sections: list[tuple[str, str, dict[str, str]]] = []
    remarks: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        # Darknet drops every blank of a line, and what comes after a number anyway.
        bare = "".join(line.split("#")[0].split())
        where = f"{path.name}:{number}"
        if not bare or bare.startswith(";"):
            continue
        if bare.startswith("["):
            sections.append((_kind(bare, where), where, {}))
            continue
        key, equals, value = bare.partition("=")
        if not equals or not key or not sections:
            raise ConfigError(f"{where}: expected [section] or key=value, got '{line.strip()[:60]}'")
        kind, _, options = sections[-1]
        remarks += _remarks(kind, where, key, options)
        options.setdefault(key, value)
    if not sections or sections[0][0] != "net" or len(sections) < 2:
        raise UnsupportedModelError(
            f"{path} does not begin with [net] and a layer, so it is no Darknet cfg file",
            hint="give the .cfg file first, and its .weights file second",
        )
    net, *layers = (Section(kind=kind, where=where, options=options) for kind, where, options in sections)
    return Cfg(path=path, net=net, layers=tuple(layers), remarks=tuple(remarks))


def _kind(line: str, where: str) -> str:
    name = line[1:].partition("]")[0]
    kind = _SHORT.get(name, name)
    if kind not in KEYS:
        match = nearest(kind, KEYS)
        guess = f"did you mean [{match}]? " if match else ""
        raise UnsupportedModelError(
            f"{where}: a section [{name[:40]}] cannot be imported",
            hint=f"{guess}known sections: {', '.join(sorted(KEYS))}",
        )
    return kind


def _remarks(kind: str, where: str, key: str, options: Mapping[str, str]) -> list[str]:
    if key in options:
        return [f"{where} [{kind}]: {key} comes twice, and Darknet reads the first"]
    if key not in KEYS[kind]:
        match = nearest(key, KEYS[kind])
        return [f"{where} [{kind}]: unknown key {key} is passed over" + (f"; is it {match}?" if match else "")]
    return []
