"""The entry point: runs the Typer app and turns errors into one clear message and an exit code.

Exit codes: 0 ok, 1 a gate failed, 2 the request or environment is wrong, 3 a device failed, 130 interrupted.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import Any

from edgecv.core.errors import EdgecvError

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> None:
    """Run `edgecv` and exit. `argv` defaults to the process's arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    if sys.version_info < (3, 11):
        _fail("the command line needs Python 3.11 or newer; `edgecv.runtime` runs on 3.9")
    try:
        from edgecv.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"typer", "rich", "click"}:
            raise
        _fail(f"the command line needs '{error.name}'\n  hint: pip install 'edgecv[toolchain]'")
    atexit.register(_mute)
    sys.exit(_run(app, arguments, debug=debug))


def _mute() -> None:
    # The GPU accelerator's library logs while the process is torn down, after the last word of the command.
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _run(app: Any, arguments: list[str], *, debug: bool) -> int:
    import typer

    # Tool banners and XNNPACK notices would bury the messages that matter.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        command = typer.main.get_command(app)
        code = int(command.main(args=arguments, prog_name="edgecv", standalone_mode=False) or 0)
        # Some versions of typer turn Ctrl-C into this code, others into an exception.
        return _interrupted() if code == INTERRUPTED else code
    except EdgecvError as error:
        if debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        # The reader of stdout went away (`edgecv … | head`): not an error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _unexpected(error)


def _interrupted() -> int:
    print("interrupted: every finished file is whole; run the same command again to go on", file=sys.stderr)
    return INTERRUPTED


def _unexpected(error: Exception) -> int:
    # Usage errors are click's classes, which some versions of typer carry under a name of their own.
    if hasattr(error, "show"):
        error.show()
        return 2
    print(f"error: unexpected {type(error).__name__}: {error}", file=sys.stderr)
    print(
        "  hint: this is a defect of edgecv; run the command again with --debug and report what it prints",
        file=sys.stderr,
    )
    return 2


def _fail(message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
