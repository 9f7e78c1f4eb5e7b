"""How a command that cannot do what was asked says so: on stderr for people, with --json as a document on stdout."""

from __future__ import annotations

import json
import sys

from edgecv.cli.screen import for_screen

WRONG, INTERRUPTED = 2, 130


def failed(kind: str, message: str, hint: str, code: int, *, as_json: bool) -> int:
    """Tell of a failure and return its exit code.

    Args:
        kind: The error's class, "UsageError" for a wrong command line, or "Interrupted".
        message: What is wrong.
        hint: What to do next; empty when the message says it all.
        code: The exit code.
        as_json: Whether the command was asked for JSON. A command that has printed its result has its document already.
    """
    print(for_screen(f"error: {message}", sys.stderr), file=sys.stderr)
    if hint:
        print(for_screen(f"  hint: {hint}", sys.stderr), file=sys.stderr)
    document(kind, message, hint, code, as_json=as_json)
    return code


def document(kind: str, message: str, hint: str, code: int, *, as_json: bool) -> None:
    """Print the JSON document of a failure, unless stdout has one."""
    if not as_json or _has_document():
        return
    told = {"error": {"kind": kind, "message": message, "hint": hint, "exit_code": code}}
    sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _has_document() -> bool:
    # Looked up, not imported: a failure before the command line's packages are there is told as well.
    console = sys.modules.get("edgecv.cli.console")
    return console is not None and bool(console.printed)
