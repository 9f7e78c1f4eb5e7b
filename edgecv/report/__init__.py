"""The report of a run: report.json (the contract), and report.html and report.md for people.

report.schema.json beside this file is the JSON Schema of report.json.
"""

from edgecv.report.build import artifact_result
from edgecv.report.completeness import completed
from edgecv.report.schema import report_schema, schema_path
from edgecv.report.slow_files import Pair, slower
from edgecv.report.store import ReportPaths, read, write
from edgecv.report.verdict import decided
from edgecv.runtime.host import host_facts

__all__ = [
    "Pair",
    "ReportPaths",
    "artifact_result",
    "completed",
    "decided",
    "host_facts",
    "read",
    "report_schema",
    "schema_path",
    "slower",
    "write",
]
