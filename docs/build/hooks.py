"""What `make docs` does to the pages: help becomes a page, and links out of docs/ become names of files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import click
import typer
from mkdocs.structure.files import File, Files

from edgecv.cli.app import app

DOCS = Path(__file__).parents[1]
ROOT = DOCS.parent
SHIM = "https://unpkg.com/iframe-worker/shim"
COMMANDS = "reference/commands.md"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the page of commands, and the pictures that lie outside docs/."""
    files.append(File.generated(config, COMMANDS, content=commands_page()))
    for picture in sorted((ROOT / "benchmarks" / "reference").glob("*.svg")):
        files.append(File.generated(config, f"pictures/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point pictures to where they are in the site, and name files of the repository that the site does not have."""
    here = (DOCS / page.file.src_uri).parent

    def inside(link: re.Match[str]) -> str:
        mark, text, path, _ = link.groups()
        target = (here / path).resolve()
        if DOCS in target.parents or page.file.src_uri == COMMANDS:
            return link.group(0)
        if mark:
            depth = page.file.src_uri.count("/")
            return f"![{text}]({'../' * depth}pictures/{target.name})"
        name = target.relative_to(ROOT)
        return text if str(name) in text or f"`{name}`" in text else f"{text} (`{name}`)"

    return _LINK.sub(inside, markdown)


def on_post_build(config: Any) -> None:
    """Let the search work in files: browsers start no workers there, so the theme asks a server for a stand-in."""
    site = Path(config.site_dir)
    shutil.copyfile(DOCS / "build" / "worker.js", site / "assets" / "worker.js")
    for page in site.rglob("*.html"):
        depth = len(page.relative_to(site).parts) - 1
        text = page.read_text(encoding="utf-8")
        page.write_text(text.replace(SHIM, "../" * depth + "assets/worker.js"), encoding="utf-8")


def commands_page() -> str:
    """Return every command with its arguments and options, as Markdown."""
    parts = ["# Commands\n", "Made of `--help`.\n"]
    for path, command in _walk(typer.main.get_command(app), "edgecv"):
        parts.append(_command(path, command))
    return "\n".join(parts)


def _walk(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    """Return the commands with their names, without the groups that only hold others."""
    inside = getattr(command, "commands", None)
    if not inside:
        return [(path, command)]
    shown = [(name, one) for name, one in inside.items() if not one.hidden]
    return [each for name, one in shown for each in _walk(one, path if name.startswith("(") else f"{path} {name}")]


def _command(path: str, command: click.Command) -> str:
    lines = [f"## {path}\n", command.help or "", ""]
    context = click.Context(command)
    shown = [one for one in command.get_params(context) if not getattr(one, "hidden", False)]
    arguments = [one for one in shown if one.param_type_name == "argument"]
    options = [one for one in shown if one.param_type_name == "option" and one.name != "help"]
    if arguments:
        lines += ["| argument | |", "|---|---|"]
        lines += [f"| `{(one.name or '').upper()}` | {_cell(getattr(one, 'help', ''))} |" for one in arguments] + [""]
    if options:
        lines += ["| option | | default |", "|---|---|---|"]
        lines += [
            f"| `{', '.join(one.opts)}` | {_cell(getattr(one, 'help', ''))} | {_default(one)} |" for one in options
        ]
    return "\n".join(lines) + "\n"


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _default(option: click.Parameter) -> str:
    value = option.default
    return "" if value is None or value is False or callable(value) or "UNSET" in repr(value) else f"`{value}`"
