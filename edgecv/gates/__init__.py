"""Regression gates as data: references and tolerances in a TOML file, checked against a report.

Both directions count: a figure that got worse fails, and so does a gain that nobody explained, since it is as often a
broken test as a real improvement.
"""

from edgecv.gates.checking import GateReport, GateResult, Status, check
from edgecv.gates.format import Bound, FigureBound, Gate, Gates, RatioBound, load
from edgecv.gates.record import Tolerances, record
from edgecv.gates.render import to_junit, to_markdown

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
    "record",
    "to_junit",
    "to_markdown",
]
