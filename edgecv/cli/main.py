"""The entry point: runs the Typer app and turns errors into one clear message and an exit code.

Exit codes: 0 ok, 1 a gate failed, 2 the request or environment is wrong, 3 a device failed, 130 interrupted.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Sequence
from typing import Any

from edgecv.cli.failures import INTERRUPTED, WRONG, document, failed
from edgecv.core.errors import EdgecvError

RENAMED = {"--devices": "--device-file"}
"""Options under their names of before, which scripts go on using."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run `edgecv` and exit. `argv` defaults to the process's arguments."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [a for a in arguments if a != "--debug"]
    arguments = [_renamed(a) for a in arguments]
    as_json = "--json" in arguments
    if sys.version_info < (3, 11):
        text = "the command line needs Python 3.11 or newer; `edgecv.runtime` runs on 3.9"
        raise SystemExit(failed("MissingDependencyError", text, "", WRONG, as_json=as_json))
    try:
        from edgecv.cli.app import app
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in {"typer", "rich", "click"}:
            raise
        text, hint = f"the command line needs '{error.name}'", "pip install 'edgecv[cli]'"
        raise SystemExit(failed("MissingDependencyError", text, hint, WRONG, as_json=as_json)) from None
    atexit.register(_mute)
    code = _run(app, arguments, debug=debug, as_json=as_json)
    if code == INTERRUPTED and "tensorflow" in sys.modules:
        _leave(code)
    sys.exit(code)


def _renamed(argument: str) -> str:
    """Return an option under its name of today."""
    name, *value = argument.split("=", 1)
    return "=".join([RENAMED.get(name, name), *value])


def _mute() -> None:
    # The GPU accelerator's library logs while the process is torn down, after the last word of the command.
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _leave(code: int) -> None:
    # A thread of TensorFlow may ask Python for the next batch while Python is torn down, and that aborts the process
    # (SIGABRT in place of the exit code). What was registered for the end is done, and nothing is torn down.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _run(app: Any, arguments: list[str], *, debug: bool, as_json: bool) -> int:
    import typer

    from edgecv.cli.console import printed

    printed.clear()
    # Tool banners and XNNPACK notices would bury the messages that matter.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0" if debug else "3")
    try:
        command = typer.main.get_command(app)
        code = int(command.main(args=arguments, prog_name="edgecv", standalone_mode=False) or 0)
        # Some versions of typer turn Ctrl-C into this code, others into an exception.
        return _interrupted(as_json) if code == INTERRUPTED else code
    except EdgecvError as error:
        if debug:
            raise
        return failed(type(error).__name__, error.message, error.hint, error.exit_code, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(as_json)
    except BrokenPipeError:
        # The reader of stdout went away (`edgecv … | head`): not an error, but Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        return _unexpected(error, as_json)


def _interrupted(as_json: bool) -> int:
    text = "interrupted: every finished file is whole; run the same command again to go on"
    print(text, file=sys.stderr)
    document("Interrupted", text, "", INTERRUPTED, as_json=as_json)
    return INTERRUPTED


def _unexpected(error: Exception, as_json: bool) -> int:
    # Usage errors are click's classes, which some versions of typer carry under a name of their own.
    if hasattr(error, "show"):
        error.show()
        context = getattr(error, "ctx", None)
        message = error.format_message() if hasattr(error, "format_message") else ""
        if message:
            hint = f"see {context.command_path if context is not None else 'edgecv'} --help"
            document("UsageError", message, hint, WRONG, as_json=as_json)
        return WRONG
    return failed(
        type(error).__name__,
        f"unexpected {type(error).__name__}: {error}",
        "this is a defect of edgecv; run the command again with --debug and report what it prints",
        WRONG,
        as_json=as_json,
    )


if __name__ == "__main__":
    main()
