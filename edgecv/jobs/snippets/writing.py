"""From facts to code: a language is a module with templates, in which this puts numbers and labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template
from types import ModuleType

from edgecv.core.errors import unknown_name
from edgecv.jobs.snippets import javascript, kotlin, python, swift
from edgecv.jobs.snippets.facts import MOST_LABELS, Facts, facts_of

LANGUAGES: Mapping[str, ModuleType] = {"kotlin": kotlin, "swift": swift, "javascript": javascript, "python": python}
_KINDS = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}


def snippet(file: Path, language: str, *, spec: Path | None = None) -> str:
    """Return code that feeds a file and reads its answers, as its contract says.

    A file with TFLite Metadata gets code for MediaPipe Tasks first; then, as for every file, code for LiteRT.

    Args:
        file: A .tflite of one image input.
        language: "kotlin", "swift", "javascript" or "python".
        spec: The contract of a file without a manifest.

    Raises:
        ConfigError: There is no such language, or no code can be written for the file.
    """
    if language not in LANGUAGES:
        raise unknown_name("language", language, LANGUAGES)
    facts, module = facts_of(file, spec), LANGUAGES[language]
    words = _words(facts, module)
    parts = [Template(module.HEADER).substitute(words)]
    if facts.task:
        parts.append(_comment(module, "File 1: with MediaPipe Tasks", facts.limits))
        parts.append(Template(module.MEDIAPIPE[facts.task]).substitute(words))
    parts.append(_comment(module, "File 2: with LiteRT, by edgecv's contract" if facts.task else "With LiteRT", ()))
    decode = Template(module.DECODE[_decoder(facts)].strip("\n")).substitute(words)
    parts.append(Template(module.LITERT).substitute(words, decode=decode))
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _comment(module: ModuleType, title: str, limits: tuple[str, ...]) -> str:
    mark = module.COMMENT
    lines = [f"{mark} --- {title} ---", *(f"{mark} It differs from the contract: {limit}." for limit in limits)]
    return "\n".join(lines)


def _words(facts: Facts, module: ModuleType) -> dict[str, str]:
    """Return what stands for each name of a template."""
    pre, given = facts.preprocessing, facts.input
    channels = 1 if pre.color == "gray" else 3
    literal, activation = module.LIST, module.ACTIVATION[_function(facts)].strip("\n")
    return {
        "file": facts.name, "stem": facts.name.removesuffix(".tflite"), "height": str(facts.height),
        "width": str(facts.width), "channels": str(channels), "resize": pre.resize,
        "nearest": module.BOOLEAN[pre.interpolation == "nearest"], "pad": str(pre.pad_value),
        "gray": module.BOOLEAN[pre.color == "gray"],
        "order": literal([str(one) for one in _KINDS.get(pre.color, (0, 1, 2))]),
        "mean": literal([module.number(value) for value in pre.mean]),
        "std": literal([module.number(value) for value in pre.std]),
        "input_type": given.dtype, "input_scale": module.number(given.scale or 1.0),
        "input_zero": str(given.zero_point or 0), "labels": _labels(facts, module),
        "outputs": module.outputs(facts), "activation": Template(activation).substitute(),
        "score": module.number(facts.score), "most": str(facts.most), "offset": str(facts.offset),
        "normalise": module.BOOLEAN[facts.normalise],
    }  # fmt: skip


def _labels(facts: Facts, module: ModuleType) -> str:
    if len(facts.labels) > MOST_LABELS:
        return str(module.LABELS_FILE)
    return str(module.LIST([module.text(label) for label in facts.labels]))


def _decoder(facts: Facts) -> str:
    """Return how outputs are decoded: boxes only where the file has suppressed them, as shares of the input."""
    if facts.form == "boxes" and facts.decoder != "postprocessed":
        return "raw boxes"
    return facts.form


def _function(facts: Facts) -> str:
    if facts.activation == "distances" and facts.form == "scores":
        return "softmax of the negative"
    if facts.activation != "logits":
        return "none"
    one = facts.form in ("scores", "mask") and facts.outputs[0].shape[-1] == 1
    return "sigmoid" if facts.form == "independent scores" or one else "softmax"
