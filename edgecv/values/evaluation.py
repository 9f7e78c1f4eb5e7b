"""The frozen values of how well a file answers, and of how much worse than another file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgecv.values.kind import Kind

LOWER_IS_BETTER: frozenset[str] = frozenset({"mae", "mse", "rmse"})
"""Metrics that count errors; all others are better when larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEvaluation:
    """How well one head of a file answers on one split.

    Attributes:
        head: Its name.
        task: "classification", "multilabel" or "regression".
        metric: "top1"; "exact_match", the share of samples with every label right; "mae", the mean absolute error.
        value: 0..1 for accuracies; in the labels' own unit for errors, where smaller is better.
        labels: Classes, labels or values, in the order of the outputs.
        top_k: Classification: k as a string to the share of samples whose label is among the k best: {"1": 0.98}.
        confusion: Classification: row = true class, column = predicted class, counts.
        correct: Per sample in order, whether it counted as right; empty for regression.
        errors: Regression: per sample in order, the mean over its values of the absolute error; what paired
            statistics need. Empty for the other tasks.
        figures: Further figures of the whole head by name: "f1_macro", "rmse", …; None where undefined.
        per_label: Multilabel and regression: label or value to its own figures by name; None where undefined.
    """

    head: str
    task: str
    metric: str
    value: float
    labels: tuple[str, ...]
    top_k: Mapping[str, float] = field(default_factory=dict)
    confusion: tuple[tuple[int, ...], ...] = ()
    correct: tuple[bool, ...] = ()
    errors: tuple[float, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """How well one file answers on one split. What is said of a head is said of the first; `others` has the rest.

    Attributes:
        metric: "top1", "exact_match", "mae".
        value: 0..1 for accuracies; in the labels' own unit for errors, where smaller is better.
        n: Number of samples.
        top_k: k as a string to the share of samples whose label is among the k best: {"1": 0.98, "3": 1.0}.
        confusion: Row = true class, column = predicted class, counts. Empty when the metric has none.
        correct: Per sample in order, whether it counted as right; what paired statistics need.
        dataset: Name of the data set; `split` of it; `dataset_sha256` of the samples.
        engine: Interpreter and version.
        accelerator: "cpu", "gpu", …
        adapter: What the accelerator calls its device; None on the CPU.
        precision: The float type that it computes in, found out on it: "float16", "float32"; None where unknown.
        fully_accelerated: Whether every operator ran on it.
        kind: "simulated" when the adapter is a software renderer or the device an emulator.
        head: Name of the first head; `task` of it, `errors`, `figures` and `per_label` as in `HeadEvaluation`.
        others: The further heads, in the model's order.
        device: What ran it.
    """

    metric: str
    value: float
    n: int
    top_k: Mapping[str, float]
    labels: tuple[str, ...]
    confusion: tuple[tuple[int, ...], ...]
    correct: tuple[bool, ...]
    dataset: str
    split: str
    dataset_sha256: str
    engine: str
    accelerator: str
    adapter: str | None = None
    precision: str | None = None
    fully_accelerated: bool = True
    kind: Kind = "measured"
    head: str = ""
    task: str = "classification"
    errors: tuple[float, ...] = ()
    figures: Mapping[str, float | None] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    others: tuple[HeadEvaluation, ...] = ()
    device: str = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop:
    """How much worse the candidate is on the same samples, in the metric's unit, with a paired 95 % interval.

    Baseline minus candidate for accuracies, candidate minus baseline for errors: above 0 is worse in both cases.
    """

    value: float
    ci95: tuple[float, float]
