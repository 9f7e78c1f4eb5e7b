"""The frozen values of how well a file answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edgecv.core.shown import Shown
from edgecv.values.kind import Kind
from edgecv.values.scores import Metric, Table
from edgecv.values.specs import Head


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadEvaluation:
    """How well one head of a file answers on one split.

    Attributes:
        head: The head.
        metric: What its task is judged by.
        value: Of the metric, in its unit.
        figures: Further figures of the whole head by name; None where undefined.
        per_label: Label or value to its own figures by name; None where undefined.
        tables: What a report shows beside the figures.
        evidence: Per sample in order, what the task keeps of it; what paired statistics need.
    """

    head: Head
    metric: Metric
    value: float
    figures: Mapping[str, float | None] = field(default_factory=dict)
    per_label: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    tables: tuple[Table, ...] = ()
    evidence: tuple[Any, ...] = ()

    @property
    def document(self) -> dict[str, Any]:
        """Everything but the evidence, as JSON data."""
        return {
            "head": self.head.name,
            "task": self.head.task,
            "metric": self.metric.name,
            "unit": self.metric.unit,
            "better": self.metric.better,
            "value": self.value,
            "labels": self.head.labels,
            "figures": self.figures,
            "per_label": self.per_label,
            "tables": self.tables,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation(Shown):
    """How well one file answers on one split.

    Attributes:
        heads: One per head of the model, in its order; the first one is what the file is judged by.
        n: Number of samples.
        dataset: Name of the data set; `split` of it; `dataset_sha256` of the samples.
        engine: Interpreter and version.
        accelerator: "cpu", "gpu", …
        adapter: What the accelerator calls its device; None on the CPU.
        precision: The float type that it computes in, found out on it: "float16", "float32"; None where unknown.
        fully_accelerated: Whether every operator ran on it.
        kind: "simulated" when the adapter is a software renderer or the device an emulator.
        device: What ran it.
        settings: Of heads, in place of what the file says; empty for the file as it is.
    """

    heads: tuple[HeadEvaluation, ...]
    n: int
    dataset: str
    split: str
    dataset_sha256: str
    engine: str
    accelerator: str
    adapter: str | None = None
    precision: str | None = None
    fully_accelerated: bool = True
    kind: Kind = "measured"
    device: str = "local"
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def first(self) -> HeadEvaluation:
        """What the file is judged by."""
        return self.heads[0]

    @property
    def metric(self) -> Metric:
        """Metric of the first head."""
        return self.first.metric

    @property
    def value(self) -> float:
        """Value of the first head's metric."""
        return self.first.value

    @property
    def document(self) -> dict[str, Any]:
        """Everything but the evidence, as JSON data: the first head's figures, and `heads` with those of all."""
        facts = {name: getattr(self, name) for name in self.__slots__ if name != "heads"}
        return {**self.first.document, **facts, "heads": [head.document for head in self.heads]}
