"""The verdict of report.html: a card per target, what to ship and why."""

from __future__ import annotations

from collections.abc import Mapping

from edgecv.report import pictures
from edgecv.report.markup import Markup, el, join
from edgecv.report.sentences import CERTAINTY
from edgecv.values.report import ArtifactResult, Report, ShipVerdict

_TONE = {"shown": "good", "partly shown": "part", "not shown": "open"}


def cards(report: Report, links: Mapping[str, str]) -> Markup:
    """Return a card per target."""
    if not report.verdicts:
        return el("p", "No verdict: the report holds no artifact.", class_="note")
    return el("div", *(_card(verdict, links) for verdict in report.verdicts), class_="verdicts")


def _card(verdict: ShipVerdict, links: Mapping[str, str]) -> Markup:
    if verdict.artifact is None:
        ship: Markup = el("p", "Ship nothing", class_="ship")
    else:
        name = el("a", verdict.artifact, href=links.get(verdict.artifact, "#artifacts"))
        ship = el("p", "Ship ", name, class_="ship")
    sure = el("p", el("span", CERTAINTY[verdict.certainty], class_="sure"))
    why = el("ul", *(el("li", sentence) for sentence in (*verdict.why, *verdict.instead)))
    head = el("h3", "On ", el("a", verdict.target, href=f"#{anchor(verdict.target)}"))
    return el("article", head, ship, sure, why, class_=f"verdict {_TONE[verdict.certainty]}")


def anchor(target: str) -> str:
    """Return the id of a target's section."""
    return "target-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in target)


def drawn(report: Report) -> ArtifactResult | None:
    """Return the artifact whose pictures lead: the first of the verdicts' that has any, else the first that has."""
    named = [verdict.artifact for verdict in report.verdicts]
    shown = [a for name in named for a in report.artifacts if a.name == name and a.exhibits]
    return next(iter([*shown, *(a for a in report.artifacts if a.exhibits)]), None)


def differing(report: Report, uris: Mapping[str, str]) -> Markup:
    """Return the pictures of the artifact that is `drawn`."""
    artifact = drawn(report)
    if artifact is None:
        return el("p", "No file answers any sample unlike the float model, or none was asked.", class_="note")
    return _pictures(artifact, uris)


def _pictures(artifact: ArtifactResult, uris: Mapping[str, str]) -> Markup:
    said = el("p", el("strong", artifact.name), ": the samples that it answers most unlike the float model.")
    return join([said, pictures.shown(artifact, uris)])
