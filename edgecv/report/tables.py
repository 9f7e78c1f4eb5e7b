"""The tables of a report as columns of cells, rendered alike by HTML and Markdown.

Each latency setting and each kind of mapping has columns of its own, so measured, simulated and predicted figures
never share one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgecv.report import figures as show
from edgecv.report import slow_files as slow
from edgecv.values.inspection import PredictedLatency, Unmapped
from edgecv.values.kind import Kind
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, HeadResult, Report


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its text, what to sort by (None sorts last), and a note, which is a figure's interval."""

    text: str
    sort: float | str | None = None
    note: str = ""

    @property
    def line(self) -> str:
        """Text and note in one line."""
        return f"{self.text} ({self.note})" if self.note else self.text


@dataclass(frozen=True, slots=True)
class Column:
    """A column: title, whether it holds numbers, and the cell of a row; `help` says more where there is room."""

    title: str
    numeric: bool
    help: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption; every row has one cell per column, the first naming the row."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]


_SLOWEST = 6
"""Layers of a file that is slower than float that are shown."""
_CellOf = Callable[[ArtifactResult], Cell]


def overview(report: Report, *, mapped: bool = True) -> Table:
    """Return the main table: one row per artifact; `mapped` says how much of it its own target runs."""
    pairs = [*_identity(report), *_metric_columns(report), *_latency_columns(report)]
    pairs += _mapped_columns(report) if mapped else []
    rows = tuple(tuple(cell(artifact) for _, cell in pairs) for artifact in report.artifacts)
    caption = f"Artifacts. Drop and latency ratio are against {show.baseline_short(report)}."
    return Table(caption, tuple(column for column, _ in pairs), rows)


def _identity(report: Report) -> list[tuple[Column, _CellOf]]:
    return [
        (Column("Artifact", False), lambda a: Cell(a.name, a.name)),
        (Column("Made as", False, "format, scheme, and how it was quantised"), _made_as),
        (Column("Sparsity", True, "share of zeros in the pruned weights"), _sparsity),
        (Column("Size", True, "of the file, measured"), lambda a: Cell(show.size(a.size_bytes), a.size_bytes)),
        (
            Column("Size ratio", True, "to the unpruned float32 file of the same format"),
            lambda a: Cell(show.ratio(show.size_ratio(report, a)), show.size_ratio(report, a)),
        ),
    ]


def _made_as(artifact: ArtifactResult) -> Cell:
    text = " ".join(part for part in (artifact.format, artifact.scheme, artifact.method) if part != "none")
    return Cell(text, text)


def _sparsity(artifact: ArtifactResult) -> Cell:
    return Cell("none" if artifact.sparsity is None else show.percent(artifact.sparsity), artifact.sparsity or 0.0)


def _metric_columns(report: Report) -> list[tuple[Column, _CellOf]]:
    pairs: list[tuple[Column, _CellOf]] = []
    for metric in show.metrics(report):
        pairs += [
            (Column(metric.title, True, _value_help(metric)), _value_cell(metric)),
            (Column(f"{metric.name} drop ({metric.how})", True, metric.drop_help), _drop_cell(metric)),
        ]
    return pairs


def _value_help(metric: show.Judged) -> str:
    unit = "" if metric.metric.is_share else f"; unit: {metric.metric.unit}"
    return f"the file ran on every sample{unit}"


def _value_cell(metric: show.Judged) -> _CellOf:
    return lambda a: Cell(show.decimal(a.value), a.value) if show.metric_of(a) in (metric, None) else Cell("")


def _drop_cell(metric: show.Judged) -> _CellOf:
    return lambda a: drop(a) if show.metric_of(a) in (metric, None) else Cell("")


def drop(result: ArtifactResult | HeadResult) -> Cell:
    """Return the drop with its interval."""
    if result.drop is None:
        return Cell(show.UNKNOWN)
    return Cell(show.signed(result.drop), result.drop, _bounds(result.drop_ci95, 4))


def _bounds(bounds: tuple[float, float] | None, digits: int) -> str:
    return "interval unknown" if bounds is None else show.interval(bounds, digits)


def _latency_columns(report: Report) -> list[tuple[Column, _CellOf]]:
    pairs: list[tuple[Column, _CellOf]] = []
    for setting in show.settings(report):
        kind, place = setting.kind, setting.place
        pairs += [
            (Column(f"p50 ({kind})", True, f"median latency on {place}"), _p50_cell(setting)),
            (
                Column(f"Ratio ({kind})", True, f"latency over the baseline's, with 95 % interval; {place}"),
                _ratio_cell(setting),
            ),
        ]
    return pairs


def _p50_cell(setting: show.Setting) -> _CellOf:
    return _joined(setting, lambda x: Cell(show.milliseconds(x.p50), x.p50))


def _ratio_cell(setting: show.Setting) -> _CellOf:
    return _joined(setting, ratio)


def _joined(setting: show.Setting, of: Callable[[Latency], Cell]) -> _CellOf:
    def cell(artifact: ArtifactResult) -> Cell:
        found = [of(latency) for latency in show.latencies_in(artifact, setting)]
        if not found:
            return Cell("" if artifact.latency else show.UNKNOWN)
        return found[0] if len(found) == 1 else Cell(", ".join(c.line for c in found), found[0].sort)

    return cell


def ratio(latency: Latency) -> Cell:
    """Return the ratio to the baseline with its interval."""
    value = latency.ratio_to_baseline
    return Cell(show.UNKNOWN) if value is None else Cell(show.ratio(value), value, _bounds(latency.ratio_ci95, 3))


def _mapped_columns(report: Report) -> list[tuple[Column, _CellOf]]:
    kinds: tuple[Kind, ...] = ("measured", "simulated", "predicted")
    present = {a.mapping.kind for a in report.artifacts if a.mapping is not None}
    shown = [kind for kind in kinds if kind in present]
    return [
        (Column(f"Mapped ops ({kind})", True, "on the artifact's own target"), _mapped_cell(kind)) for kind in shown
    ]


def _mapped_cell(kind: Kind) -> _CellOf:
    def cell(artifact: ArtifactResult) -> Cell:
        mapping = artifact.mapping
        if mapping is None:
            return Cell(show.UNKNOWN)
        if mapping.kind != kind:
            return Cell("")
        share = mapping.n_mapped / mapping.n_ops if mapping.n_ops else None
        return Cell(f"{mapping.n_mapped}/{mapping.n_ops} {mapping.target}", share)

    return cell


_LATENCY_COLUMNS = (
    Column("Artifact", False),
    Column("Engine", False),
    Column("Load", True, "from opening the file to a ready interpreter"),
    Column("First", True, "the first inference"),
    Column("p50", True),
    Column("p90", True),
    Column("p99", True),
    Column("Ratio to baseline", True, "with 95 % interval"),
    Column("Peak RSS", True, "of the process that ran it"),
    Column("Arena", True, "of the interpreter; where it does not tell, predicted from the file and marked so"),
)


def latency_tables(report: Report, target: str | None = None) -> tuple[Table, ...]:
    """Return one table per setting: load, first and steady state apart; of the files for one target, or of all."""
    found = (_latency_table(report, setting, target) for setting in show.settings(report))
    return tuple(table for table in found if table.rows)


def _latency_table(report: Report, setting: show.Setting, target: str | None) -> Table:
    rows = tuple(
        _latency_row(artifact, latency)
        for artifact in report.artifacts
        for latency in show.latencies_in(artifact, setting)
        if target in (None, artifact.target)
    )
    caption = f"Latency on {setting.place}: {setting.kind}. The baseline is {show.baseline_short(report)}."
    return Table(caption, _LATENCY_COLUMNS, rows)


def _latency_row(artifact: ArtifactResult, latency: Latency) -> tuple[Cell, ...]:
    times: Sequence[float | None] = (latency.load_ms, latency.first_ms, latency.p50, latency.p90, latency.p99)
    return (
        Cell(artifact.name, artifact.name),
        Cell(latency.engine, latency.engine),
        *(Cell(show.milliseconds(t), t) for t in times),
        ratio(latency),
        Cell(show.size(latency.peak_rss_bytes), latency.peak_rss_bytes),
        arena(artifact, latency),
    )


def arena(artifact: ArtifactResult, latency: Latency) -> Cell:
    """Return the memory of the activations: as the interpreter tells it, else as the file's plan predicts it."""
    if latency.arena_bytes is not None or artifact.arena_bytes is None:
        return Cell(show.size(latency.arena_bytes), latency.arena_bytes)
    return Cell(show.size(artifact.arena_bytes), artifact.arena_bytes, "predicted")


def predicted_table(report: Report, target: str) -> Table | None:
    """Return what a cost model says of the artifacts on a target; None where it says nothing."""
    found = [(a, m.latency) for a in report.artifacts if (m := show.mapping_on(a, target)) is not None and m.latency]
    if not found:
        return None
    columns = (
        Column("Artifact", False),
        Column("Predicted", True, "time of the operators that map; the CPU's part is not in it"),
        Column("Band", True, "from the model's largest error, where it states one"),
        Column("Largest part", False),
    )
    rows = tuple((Cell(a.name, a.name), *_predicted_cells(x)) for a, x in found)
    error = next((x.median_error for _, x in found if x.median_error is not None), None)
    known = f" Median error on networks that the model was not fitted to: {error:.0%}." if error is not None else ""
    return Table(f"Time on {target}: predicted by a cost model, nothing was timed there.{known}", columns, rows)


def _predicted_cells(found: PredictedLatency) -> tuple[Cell, ...]:
    known = found.low_ms is not None and found.high_ms is not None
    band = f"{show.milliseconds(found.low_ms)} to {show.milliseconds(found.high_ms)}" if known else show.UNKNOWN
    largest = max(found.parts_ms.items(), key=lambda part: part[1], default=None)
    part = show.UNKNOWN if largest is None else f"{largest[0]}, {show.milliseconds(largest[1])}"
    return (Cell(show.milliseconds(found.ms), found.ms), Cell(band, found.low_ms), Cell(part))


def slower_tables(report: Report) -> tuple[tuple[str, Table | None], ...]:
    """Return a sentence on each quantised file that is slower than the float one, and where its time goes."""
    return tuple((_slower_sentence(pair), _slower_table(pair)) for pair in slow.slower(report))


def _slower_sentence(pair: slow.Pair) -> str:
    place = show.setting_of(pair.own).place
    said = (
        f"{pair.file.name} takes {pair.ratio:.2f} [{pair.ci95[0]:.2f}, {pair.ci95[1]:.2f}] of the time of "
        f"{pair.reference.name} on {place}."
    )
    layers = slow.layers(pair)
    if not layers or layers[0].excess <= 0:
        return f"{said} `edgecv bench --profile` says which kernels take it."
    lost = sum(one.excess for one in layers if one.excess > 0)
    worst = layers[0]
    return (
        f"{said} {worst.excess / lost:.0%} of what is lost is in {worst.layer}: "
        f"{' + '.join(worst.kernels) or 'no kernel'} takes {show.milliseconds(worst.ms)}, in float "
        f"{' + '.join(worst.float_kernels) or 'nothing'} takes {show.milliseconds(worst.float_ms)} (profiled)."
        f"{_undelegated(pair, layers)}"
    )


def _undelegated(pair: slow.Pair, layers: Sequence[slow.LayerTime]) -> str:
    """Name what XNNPACK leaves to TensorFlow Lite: its own kernels are called like the file's operators."""
    left = [f"{one.layer} ({kernel})" for one in layers for kernel in one.kernels if kernel.isupper()]
    if pair.file.format != "tflite" or not left:
        return ""
    return f" XNNPACK has no such kernel and leaves to TensorFlow Lite's own: {', '.join(left)}."


def _slower_table(pair: slow.Pair) -> Table | None:
    layers = slow.layers(pair)[:_SLOWEST]
    if not layers:
        return None
    columns = (
        Column("Layer", False),
        Column(pair.file.scheme, True),
        Column("float32", True),
        Column("Lost", True),
        Column("Kernels", False),
        Column("Kernels in float32", False),
    )
    rows = tuple(
        (
            Cell(one.layer, one.layer),
            Cell(show.milliseconds(one.ms), one.ms),
            Cell(show.milliseconds(one.float_ms), one.float_ms),
            Cell(f"{one.excess:+.4f} ms", one.excess),
            Cell(", ".join(one.kernels)),
            Cell(", ".join(one.float_kernels)),
        )
        for one in layers
    )
    return Table(f"Time per layer of {pair.file.name} and {pair.reference.name}, profiled.", columns, rows)


def mapping_tables(report: Report) -> tuple[Table, ...]:
    """Return one table per target and kind: how many operators of each artifact it runs."""
    columns = (
        Column("Artifact", False),
        Column("Mapped", True),
        Column("Operators", True),
        Column("Left to the CPU", False),
    )
    return tuple(
        Table(f"Mapping on {target}: {kind}.", columns, _mapping_rows(report, target, kind))
        for target, kind in show.mapping_groups(report)
    )


def _mapping_rows(report: Report, target: str, kind: Kind) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (Cell(a.name), Cell(str(m.n_mapped), m.n_mapped), Cell(str(m.n_ops), m.n_ops), Cell(_left_out(m.unmapped)))
        for a in report.artifacts
        for m in show.mappings_of(a)
        if (m.target, m.kind) == (target, kind)
    )


def _left_out(unmapped: Sequence[Unmapped]) -> str:
    counts = Counter(verdict.op for verdict in unmapped)
    return ", ".join(f"{op} ×{n}" if n > 1 else op for op, n in counts.items()) or "none"
