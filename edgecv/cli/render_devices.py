"""How devices look in a terminal."""

from __future__ import annotations

from typing import Any

from edgecv.cli.console import emit, emit_table


def listed(rows: Any) -> None:
    lines = [(d.name, d.how, d.kind, d.title, d.source) for d in rows]
    emit_table(
        "", ("device", "by", "times are", "what it is", "declared in"), lines, spare=("declared in", "times are")
    )


def ready(found: Any) -> None:
    packages = ", ".join(f"{name} {version}" for name, version in sorted(found.packages.items()))
    done = "set up" if found.changed else "is set up already"
    python = "" if found.python == "none" else f"Python {found.python}, "
    emit(f"{found.device} {done}: {python}{packages} ({found.place})")


def doctor(seen: Any) -> None:
    rows = [(d.device, c.name, c.status if c.status != "failed" else "FAILED", c.detail, c.fix)
            for d in seen for c in d.checks]  # fmt: skip
    emit_table("", ("device", "check", "", "what was seen", "what helps"), rows)


def served(found: Any) -> None:
    emit(f"open in a browser: {found.link}")
    if found.fingerprint:
        emit(f"certificate SHA-256: {found.fingerprint}")
