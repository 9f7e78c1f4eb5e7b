"""Reads damaged files of every kind, by the thousand; nothing but edgecv's own errors may come of it (`make fuzz`).

    python -m tests.fuzz.fuzz --files 10000 --seed 0

File `i` of a seed is always the same. A run that was stopped goes on where it was; `--only 1234` repeats one file. What
is found lies in `--out`: the file, and beside it what was raised.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from edgecv.core.apart import Apart, Limits
from edgecv.core.errors import CrashError
from tests.fuzz.corpus import Kind, corpus, tflite_files
from tests.fuzz.examiner import FINDING, signature

READ_S, INTERPRET_S, COMMAND_S = 60.0, 20.0, 120.0
MEMORY_BYTES = 6 << 30
COMMAND_EVERY = 40
"""One file of so many also goes through the command line, which starts processes of its own."""
INTERPRETED = ("tflite", "onnx")


@dataclass(frozen=True)
class Case:
    """One damaged file."""

    index: int
    kind: str
    suffix: str
    data: bytes


@dataclass(frozen=True)
class Result:
    """What came of a case: outcomes by stage, "" for taken; a finding's text starts with FINDING."""

    case: Case
    outcomes: dict[str, str]

    @property
    def findings(self) -> list[str]:
        return [f"{stage}: {text}" for stage, text in self.outcomes.items() if FINDING in text[:20]]


def case(kinds: dict[str, Kind], seed: int, index: int) -> Case:
    """Return file `index` of a seed: the same one each time."""
    rng = random.Random(f"{seed}:{index}")
    names = sorted(kinds)
    name = rng.choices(names, [kinds[each].weight for each in names])[0]
    kind = kinds[name]
    return Case(index, name, kind.suffix, kind.mutate(rng.choice(kind.seeds), rng))


class Bench:
    """The child processes that look at files for one thread; a context manager that ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._children: dict[str, Apart] = {}

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            child.close(at_once=True)

    def examine(self, case: Case) -> Result:
        """Put a case through every stage that its kind has."""
        path = self._folder / f"case-{threading.get_ident()}{case.suffix}"
        path.write_bytes(case.data)
        outcomes = {"read": self._asked("read", READ_S, case.kind, str(path))}
        if case.kind in INTERPRETED:
            outcomes["interpret"] = self._asked("interpret", INTERPRET_S, str(path))
        if case.index % COMMAND_EVERY == 0:
            line = command(case, path)
            if line:
                outcomes["command"] = self._asked("command", COMMAND_S, line)
        path.unlink()
        return Result(case, outcomes)

    def _asked(self, stage: str, seconds: float, *arguments: object) -> str:
        try:
            return str(self._child(stage).call(stage, *arguments, seconds=seconds))
        except CrashError as error:
            self._children.pop(stage).close(at_once=True)
            # An interpreter may end its process; nothing that edgecv does in its own may.
            return "ended" if stage == "interpret" else f"{FINDING} {error}"

    def _child(self, stage: str) -> Apart:
        if stage not in self._children:
            allowed = Limits(60.0, MEMORY_BYTES)
            inline = stage != "command"
            factory = "tests.fuzz.examiner:Examiner"
            self._children[stage] = Apart(factory, str(self._folder), inline, about=stage, allowed=allowed)
        return self._children[stage]


def command(case: Case, path: Path) -> list[str]:
    """Return a command line for a case, [] when its kind has none."""
    lines: dict[str, list[list[str]]] = {
        "tflite": [
            ["inspect", str(path), "--target", "cpu", "--json"],
            ["inspect", str(path), "--target", "edgetpu"],
            ["inspect", str(path), "--target", "gpu"],
            ["verify", str(path)],
            ["evaluate", str(path), "--data", "digits"],
            ["debug", "float.tflite", str(path), "--data", "digits", "--samples", "2", "--rank"],
        ],
        "onnx": [["inspect", str(path), "--target", "cpu"], ["verify", str(path)], ["inspect", str(path)]],
        "png": [["run", "int8.tflite", str(path)]],
        "jpeg": [["run", "int8.tflite", str(path)]],
        "npz": [["evaluate", "int8.tflite", "--data", f"npz:{path}"], ["data", "show", f"npz:{path}"]],
        "target": [["inspect", "int8.tflite", "--target", str(path)]],
        "gates": [["check", str(path)]],
        "devices": [["device", "list", "--devices", str(path)]],
    }
    known = lines.get(case.kind)
    return known[case.index // COMMAND_EVERY % len(known)] if known else []


def examined(indices: Sequence[int], seed: int, *, keras: bool = True, jobs: int = 1) -> Iterator[Result]:
    """Yield the result of each file of a seed, in any order."""
    kinds = dict(corpus(keras=keras))
    os.environ["EDGECV_TIMEOUT_S"], os.environ["EDGECV_MEMORY_GB"] = "20", "4"
    # The children import this package from the checkout.
    root = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with tempfile.TemporaryDirectory(prefix="edgecv-fuzz-") as name:
        folder = Path(name)
        for sound, data in zip(("int8", "float", "many"), tflite_files(), strict=True):
            (folder / f"{sound}.tflite").write_bytes(data)
        queue = collections.deque(indices)
        results: collections.deque[Result] = collections.deque()

        def work() -> None:
            with Bench(folder) as bench:
                while queue:
                    try:
                        index = queue.popleft()
                    except IndexError:
                        return
                    results.append(bench.examine(case(kinds, seed, index)))

        with ThreadPoolExecutor(jobs) as pool:
            running = [pool.submit(work) for _ in range(jobs)]
            try:
                while not all(task.done() for task in running) or results:
                    if results:
                        yield results.popleft()
                    else:
                        time.sleep(0.02)
                for task in running:
                    task.result()
            finally:
                queue.clear()


def main(argv: Sequence[str] | None = None) -> int:
    """Fuzz; return 1 when something was found."""
    options = _options(argv)
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    state = out / f"state-{options.seed}.json"
    done = set() if options.only is not None or not state.is_file() else set(json.loads(state.read_text()))
    indices = [options.only] if options.only is not None else [i for i in range(options.files) if i not in done]
    print(f"{len(indices)} files of seed {options.seed}, {len(done)} done before; findings go to {out}", flush=True)
    say, causes, counts = _progress(len(indices)), collections.Counter[str](), collections.Counter[str]()
    for result in examined(indices, options.seed, jobs=options.jobs):
        for stage, text in result.outcomes.items():
            counts[f"{stage}: {'finding' if FINDING in text[:20] else text or 'taken'}"] += 1
        for finding in result.findings:
            causes[signature(finding)] += 1
            _keep(out, options.seed, result.case, finding)
        done.add(result.case.index)
        say(sum(causes.values()), state, done)
    state.write_text(json.dumps(sorted(done)))
    print("\n".join(f"{count:6d} {what}" for what, count in sorted(counts.items())))
    print(f"{sum(causes.values())} findings of {len(causes)} causes")
    print("\n".join(f"{count:6d} {cause}" for cause, count in causes.most_common()))
    return 1 if causes else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="one file, by its number")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path("fuzz-findings"))
    return parser.parse_args(argv)


def _keep(out: Path, seed: int, case: Case, finding: str) -> None:
    name = out / f"{seed}-{case.index}-{case.kind}{case.suffix}"
    name.write_bytes(case.data)
    name.with_suffix(name.suffix + ".txt").write_text(finding)
    last = finding.strip().splitlines()[-1][:160]
    print(f"FOUND seed {seed}, file {case.index} ({case.kind}): {last}; kept as {name}", flush=True)


def _progress(total: int) -> Callable[[int, Path, set[int]], None]:
    start, last = time.monotonic(), 0.0
    count = 0

    def say(findings: int, state: Path, done: set[int]) -> None:
        nonlocal last, count
        count += 1
        now = time.monotonic()
        if now - last < 10 and count < total:
            return
        last, rate = now, count / max(now - start, 1e-9)
        state.write_text(json.dumps(sorted(done)))
        left = (total - count) / rate
        print(
            f"{count}/{total} files, {rate:.1f} a second, {left / 60:.0f} minutes left, {findings} findings", flush=True
        )

    return say


if __name__ == "__main__":
    sys.exit(main())
