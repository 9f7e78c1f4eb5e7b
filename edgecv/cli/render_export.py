"""How an export looks in a terminal: what was made, and what to ship."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.cli.console import emit
from edgecv.cli.figures import size_text
from edgecv.cli.render_assess import artifacts

if TYPE_CHECKING:
    from edgecv.jobs.export import Exported
    from edgecv.jobs.web_page import WebPage


def exported(done: Exported) -> None:
    artifacts(done.artifacts)
    for one in done.shipped:
        emit(one.sentence)
        for why in one.decided.instead:
            emit(f"  {why}")
    folder = Path(done.report).parent
    emit(f"report: {folder / 'report.html'}")
    if done.page is not None:
        page(done.page)
    if done.winner is not None:
        emit(f"next: edgecv predict {shlex.quote(done.winner)} IMAGE")


def page(made: WebPage) -> None:
    folder = Path(made.index).parent
    emit(f"page: {made.index}")
    emit(f"  {size_text(made.size_bytes)} to put on a host; a browser loads {size_text(made.visit_bytes)}, once")
    emit(f"  try it: python -m http.server --directory {shlex.quote(str(folder))}, then http://localhost:8000")
