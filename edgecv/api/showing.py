"""How results look: as the command of their function prints them."""

from __future__ import annotations

from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import show_by


def reporter(quiet: bool) -> Reporter:
    """Return what tells of progress: on stderr as the commands do, or nothing."""
    if quiet:
        return QUIET
    from edgecv.cli.console import ConsoleReporter

    return ConsoleReporter()


def register() -> None:
    """Let every result print as its command does."""
    from edgecv.cli import (
        render_assess,
        render_bench,
        render_compress,
        render_export,
        render_files,
        render_models,
        render_optimize,
        render_style,
        render_view,
    )
    from edgecv.jobs.build import BuiltModel
    from edgecv.jobs.check import Outcome
    from edgecv.jobs.compress import CompressionReport
    from edgecv.jobs.convert import MadeArtifact
    from edgecv.jobs.debug import Debugged
    from edgecv.jobs.export import Exported
    from edgecv.jobs.importing import ImportedModel
    from edgecv.jobs.ladder.values import Climb
    from edgecv.jobs.mediapipe_metadata import Rewritten
    from edgecv.jobs.mediapipe_verify import MediapipeVerification
    from edgecv.jobs.models import SavedModel
    from edgecv.jobs.report import MadeReport
    from edgecv.jobs.reshape import Reshaped
    from edgecv.jobs.slim import SlimResult
    from edgecv.jobs.style import Stylised
    from edgecv.jobs.verify import Verification
    from edgecv.jobs.view import View
    from edgecv.values.evaluation import Evaluation
    from edgecv.values.inspection import Inspection
    from edgecv.values.report import Report
    from edgecv.values.search import Outcome as Search

    show_by(BuiltModel, render_models.built_model)
    show_by(View, render_view.viewed)
    show_by(SavedModel, render_models.saved_model)
    show_by(ImportedModel, render_models.imported)
    show_by(SlimResult, render_compress.slimmed)
    show_by(Reshaped, render_models.reshaped)
    show_by(MadeArtifact, render_compress.artifact)
    show_by(Exported, render_export.exported)
    show_by(Climb, render_compress.climb)
    show_by(CompressionReport, render_compress.compressed)
    show_by(Search, render_optimize.outcome)
    show_by(Evaluation, render_assess.evaluation)
    show_by(MadeReport, lambda made: render_assess.report(made.report, made.paths))
    show_by(Outcome, render_assess.gates)
    show_by(Debugged, render_assess.debugged)
    show_by(Inspection, render_files.inspection)
    show_by(Verification, render_files.golden)
    show_by(MediapipeVerification, render_files.mediapipe)
    show_by(Rewritten, render_compress.rewritten)
    show_by(Stylised, render_style.stylised)
    show_by(Report, render_bench.report)
