"""Runs a composite action's steps on this machine, as GitHub's runner would: its shell steps for real, in order.

Steps that use other actions are simulated: `actions/cache` keeps and gives back a folder by its key, and
`actions/upload-artifact` says what it was given. Expressions are those that action.yml has.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True, slots=True)
class Ran:
    """One step that ran: its name or what it uses, its exit code, and what it printed."""

    name: str
    code: int
    log: str


@dataclass(slots=True)
class Replayed:
    """A finished action.

    Attributes:
        code: Of the first step that failed; 0 when none did.
        steps: Those that ran, in order.
        outputs: Of the action.
        summary: Markdown of the job's page.
        uploaded: Name of each artifact, to the files of it.
        cached: Keys that were looked for, to whether they were there.
    """

    code: int = 0
    steps: list[Ran] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)
    summary: str = ""
    uploaded: dict[str, list[str]] = field(default_factory=dict)
    cached: dict[str, bool] = field(default_factory=dict)

    @property
    def log(self) -> str:
        return "".join(step.log for step in self.steps)

    @property
    def annotations(self) -> list[str]:
        return [line for line in self.log.splitlines() if line.startswith(("::error", "::warning"))]


class Runner:
    """GitHub's runner, as far as an action of shell steps needs one.

    Args:
        action: action.yml.
        workspace: The repository that is checked out.
        temporary: Folder for the runner's own files, and for its caches, which outlive a run.
        path: Folders that programs are looked for in first.
    """

    def __init__(self, action: Path, *, workspace: Path, temporary: Path, path: Path) -> None:
        self._action, self._workspace, self._temporary, self._path = action, workspace, temporary, path
        self._document = yaml.safe_load(action.read_text(encoding="utf-8"))

    def run(self, **given: str) -> Replayed:
        """Run the action with inputs; `_` in a name stands for `-`."""
        known = {name: entry.get("default", "") for name, entry in self._document["inputs"].items()}
        asked = {name.replace("_", "-"): value for name, value in given.items()}
        assert set(asked) <= set(known), f"the action has no input {set(asked) - set(known)}"
        values = {f"inputs.{name}": value for name, value in {**known, **asked}.items()}
        values |= {"runner.os": "Linux", "runner.arch": "X64"}
        done, after = Replayed(), list[tuple[Path, Path]]()
        summary = self._temporary / "summary.md"
        summary.write_text("", encoding="utf-8")
        for step in self._document["runs"]["steps"]:
            condition = str(step.get("if", ""))
            if (done.code and "always()" not in condition) or (condition and not self._value(condition, values)):
                continue
            if "uses" in step:
                self._use(step, values, done, after)
            else:
                self._shell(step, values, done, summary)
        for folder, kept in after:
            if folder.exists() and not done.code:
                shutil.copytree(folder, kept, dirs_exist_ok=True)
        done.summary = summary.read_text(encoding="utf-8")
        done.outputs = {n: self._text(entry["value"], values) for n, entry in self._document["outputs"].items()}
        return done

    def _use(self, step: dict[str, Any], values: dict[str, str], done: Replayed, after: list[Any]) -> None:
        used = step["uses"].split("@")[0]
        settings = {name: self._text(str(value), values) for name, value in step["with"].items()}
        done.steps.append(Ran(used, 0, ""))
        if used == "actions/cache" and not settings["path"].startswith("~"):
            folder, kept = self._workspace / settings["path"], self._temporary / "caches" / settings["key"]
            done.cached[settings["key"]] = kept.exists()
            if kept.exists():
                shutil.copytree(kept, folder, dirs_exist_ok=True)
            after.append((folder, kept))
        if used == "actions/upload-artifact":
            found = (self._workspace / settings["path"]).rglob("*")
            done.uploaded[settings["name"]] = sorted(file.name for file in found if file.is_file())

    def _shell(self, step: dict[str, Any], values: dict[str, str], done: Replayed, summary: Path) -> None:
        assert step["shell"] == "bash", "a composite action's shell steps name their shell"
        assert "${{" not in step["run"], "an input inside a script is code that a pull request writes"
        output = self._temporary / "output"
        output.write_text("", encoding="utf-8")
        environment = {
            **os.environ,
            "PATH": f"{self._path}{os.pathsep}{os.environ['PATH']}",
            **{name: self._text(str(value), values) for name, value in step.get("env", {}).items()},
            "GITHUB_ACTIONS": "true", "GITHUB_ACTION_PATH": str(self._action.parent), "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary), "GITHUB_WORKSPACE": str(self._workspace), "GITHUB_RUN_ID": "42",
            "GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "someone/net",
        }  # fmt: skip
        # What the runner calls bash with. Source: its documentation, "jobs.<job_id>.steps[*].shell".
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        ended = subprocess.run(
            command, cwd=self._workspace, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        done.steps.append(Ran(step.get("name", step.get("id", "")), ended.returncode, ended.stdout))
        done.code = done.code or ended.returncode
        for line in output.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            values[f"steps.{step['id']}.outputs.{name}"] = value

    def _text(self, text: str, values: dict[str, str]) -> str:
        """Return a text with the values of its expressions."""
        return re.sub(r"\$\{\{(.+?)\}\}", lambda found: str(self._value(found[1], values)), text)

    def _value(self, expression: str, values: dict[str, str]) -> Any:
        """Return what an expression comes to; a name that nothing has set is empty, as GitHub has it."""

        def name(found: re.Match[str]) -> str:
            return found[0] if found[0].startswith("'") else f"value({found[0]!r})"

        code = re.sub(r"'[^']*'|\b(?:inputs|steps|runner)\.[\w.-]+", name, expression)
        code = code.replace("&&", " and ").replace("||", " or ").strip()
        functions = {
            "value": lambda key: values.get(key, ""),
            "always": lambda: True,
            "format": lambda text, *parts: text.format(*parts),
            "hashFiles": self._hash,
        }
        return eval(code, {"__builtins__": {}}, functions)

    def _hash(self, *patterns: str) -> str:
        files = {file for one in patterns if one for file in self._workspace.glob(one) if file.is_file()}
        digest = hashlib.sha256()
        for file in sorted(files):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
        return digest.hexdigest() if files else ""
