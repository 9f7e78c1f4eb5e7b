"""How an export looks in a terminal: what was made, and what to ship."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.cli.console import emit
from edgecv.cli.render_assess import artifacts

if TYPE_CHECKING:
    from edgecv.jobs.export import Exported


def exported(done: Exported) -> None:
    artifacts(done.artifacts)
    for one in done.shipped:
        emit(one.sentence)
        for why in one.decided.instead:
            emit(f"  {why}")
    folder = Path(done.report).parent
    emit(f"report: {folder / 'report.html'}")
    if done.winner is not None:
        emit(f"next: edgecv predict {shlex.quote(done.winner)} IMAGE")
