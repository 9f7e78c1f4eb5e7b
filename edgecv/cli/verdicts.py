"""What makes a command that has shown its result end with exit code 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgecv.core.errors import GateFailure

if TYPE_CHECKING:
    from edgecv.values.inspection import Inspection


def require_mapped(found: Inspection, least: Any) -> None:
    """Raise GateFailure when less maps than `least`, a Minimum or None."""
    failure = least.failure(found) if least is not None else ""
    if failure:
        hint = found.advice[0].text if found.advice else ""
        raise GateFailure(failure, hint=hint)


def require_passed(result: Any) -> None:
    """Raise GateFailure unless `result.passed`."""
    if not result.passed:
        raise GateFailure(result.failure)
