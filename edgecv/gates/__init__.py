"""Regression gates as data: references and tolerances in a TOML file, checked against a report.

Both directions count: a figure that got worse fails, and so does a gain that nobody explained, since it is as often a
broken test as a real improvement.
"""

from edgecv.gates.checking import GateReport, GateResult, Status, check, named_report, report_path
from edgecv.gates.format import Bound, FigureBound, Gate, Gates, RatioBound, load
from edgecv.gates.github import workflow_commands
from edgecv.gates.record import Tolerances, record
from edgecv.gates.render import marker, to_comment, to_junit, to_markdown

__all__ = [
    "Bound",
    "FigureBound",
    "Gate",
    "GateReport",
    "GateResult",
    "Gates",
    "RatioBound",
    "Status",
    "Tolerances",
    "check",
    "load",
    "marker",
    "named_report",
    "record",
    "report_path",
    "to_comment",
    "to_junit",
    "to_markdown",
    "workflow_commands",
]
