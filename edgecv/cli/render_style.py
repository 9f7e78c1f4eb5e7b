"""How pictures and networks of a style look in a terminal. Each function prints one result to stdout."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from edgecv.cli import render_models
from edgecv.cli.console import emit

if TYPE_CHECKING:
    from edgecv.jobs.style import Stylised


def stylised(done: Stylised) -> None:
    emit(f"{done.path}: {done.size[1]}x{done.size[0]} pixels, {done.steps} steps judged by {done.network}")
    emit(
        f"  loss {done.first_loss:.4g} to {done.last_loss:.4g}, {_change(done.first_loss, done.last_loss)}: "
        f"content {done.content:.4g}, style {done.style:.4g} ({done.form})"
    )
    if done.previews:
        emit(f"  {len(done.previews)} pictures on the way, the last {done.previews[-1]}")


def _change(first: float, last: float) -> str:
    if last > first > 0:
        return f"{last / first:.1f} times more; take a smaller --learning-rate"
    return f"{first / last if last else float('inf'):.1f} times less"


def network(saved: Any) -> None:
    render_models.saved_model(saved)
    emit("  judge its files by it: edgecv evaluate FILE --data " + shlex.quote(f"answers:{saved.path}:folder:PATH"))
