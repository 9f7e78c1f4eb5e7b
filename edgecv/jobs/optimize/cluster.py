"""Doing the tasks of a search on several machines: what workers get, do and send back.

Files are made on workers that have the resource "train", and timed on workers that own a device: "device:pi5", say, of
which a worker declares one, so that a board never has two timings at once. Files travel by their content, from worker
to worker.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv.core import optional
from edgecv.core.errors import ConfigError, DataError, EdgecvError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.optimize import several
from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.optimize.driver import Result
from edgecv.jobs.optimize.records import SearchRecords, Task
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.jobs.trials.cluster import TRAIN, Cluster, Submit, Way
from edgecv.jobs.trials.records import Blob, blob, put
from edgecv.values.search import Cost, Finding, Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """All that a worker needs to know of a search.

    Attributes:
        site: Whose paths are names of `files`.
        splits: Hashes of the data's splits, which a worker's copy must have too.
    """

    site: Site
    files: tuple[Blob, ...]
    splits: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What workers are called with; tests and benchmarks put their own in place.

    Attributes:
        shape: From a parcel and a candidate to the file of its shape, or why there is none.
        accuracy: From a parcel, a candidate and a level to what it loses, and its file.
        timed: From a parcel, a candidate, a file or why there is none, whether it was trained, and a device, to its
            cost there.
    """

    shape: Callable[[Parcel, Candidate], Blob | str]
    accuracy: Callable[[Parcel, Candidate, Level], tuple[Finding, Blob | None]]
    timed: Callable[[Parcel, Candidate, Blob | str, bool, str], Cost]


def parcel(bench: Workbench) -> Parcel:
    """Return what workers need: the model, and what says how it is opened, as values.

    Raises:
        ConfigError: The model is a folder.
    """
    source = bench.site.source
    if source.path.is_dir():
        raise ConfigError(f"{source.path} is a folder: a cluster takes models of one file", hint="save it as a .keras")
    files = [blob(source.path)]
    named: dict[str, Any] = {"path": Path(source.path.name)}
    for field in ("spec", "custom_objects"):
        extra = getattr(source, field)
        if extra is not None:
            files.append(blob(extra))
            named[field] = Path(extra.name)
    site = replace(bench.site, source=replace(source, **named), devices=None)
    return Parcel(site=site, files=tuple(files), splits=bench.splits)


def shape(given: Parcel, one: Candidate) -> Blob | str:
    """Make the file of a candidate's shape on a worker."""
    try:
        return blob(opened(given).shape_file(one))
    except EdgecvError as error:
        return error.message.splitlines()[0]


def accuracy(given: Parcel, one: Candidate, level: Level) -> tuple[Finding, Blob | None]:
    """Make and judge a candidate on a worker."""
    bench = opened(given)
    found = bench.accuracy(one, level)
    return found, None if found.failure else blob(bench.file(one, level))


def timed(given: Parcel, one: Candidate, file: Blob | str, trained: bool, device: str) -> Cost:
    """Time a file on the device that a worker owns."""
    if isinstance(file, str):
        return Cost(ratio=None, ratio_ci95=None, size_bytes=None, failure=file)
    bench = opened(given)
    path = put(file, bench.folder / "received")
    plan = given.site.final_plan if trained else given.site.shape_plan
    return replace(bench.timed_on(device, path, one, plan), trained=trained)


WORK = Work(shape=shape, accuracy=accuracy, timed=timed)


def opened(given: Parcel) -> Workbench:
    """Return the workbench of a worker for a search; the same one each time.

    Raises:
        DataError: The worker's copy of the data is another one.
    """
    key = "".join(file.sha256 for file in given.files)
    return _opened(key, given.site, _Held(given))


class _Held:
    """A parcel that counts as equal to any other: what tells searches apart stands beside it."""

    def __init__(self, given: Parcel) -> None:
        self.given = given

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=2)
def _opened(key: str, site: Site, held: _Held) -> Workbench:
    distributed = optional.require("distributed", why="on a worker")
    worker = distributed.get_worker()
    folder = Path(worker.local_directory) / f"edgecv-{key[:16]}"
    paths = {file.name: put(file, folder / "received") for file in held.given.files}
    source = site.source
    source = replace(
        source,
        path=paths[source.path.name],
        spec=paths[source.spec.name] if source.spec else None,
        custom_objects=paths[source.custom_objects.name] if source.custom_objects else None,
    )
    bench = Workbench(replace(site, source=source), folder)
    if bench.splits != dict(held.given.splits):
        raise DataError(
            f"worker {worker.name} has another copy of {site.data}: its splits differ",
            hint="give --data a place where all workers find the same files",
        )
    return bench


def _owned(device: str) -> str:
    """Return the resource of a worker that owns a device."""
    return f"device:{device}"


def executor(
    address: str, records: SearchRecords, given: Parcel | None, *, devices: Sequence[str], work: Work = WORK,
    reporter: Reporter = QUIET,
) -> Cluster[Task, Result]:  # fmt: skip
    """Return what does the tasks of a search on a cluster; a context manager.

    Args:
        address: "tcp://scheduler:8786".
        records: Of what is known; keeps the files that come back.
        given: What workers need.
        devices: That time files.
        work: What workers are called with.
        reporter: Told of workers.
    """
    way: Way[Task, Result] = Way(
        resources=(TRAIN, *map(_owned, devices)),
        given=given,
        begin=functools.partial(_begin, work, tuple(devices), records),
        came=functools.partial(_came, records),
        label=lambda task: f"{task.kind} of {task.candidate.label}",
    )
    return Cluster(address, way, records, reporter)


def _begin(work: Work, devices: tuple[str, ...], records: SearchRecords, task: Task, given: Any, submit: Submit) -> Any:
    """Submit what a task takes, and return the future of what it comes to."""
    one = task.candidate
    if task.kind == "accuracy":
        return submit(work.accuracy, given, one, task.level, resource=TRAIN)
    final = task.kind == "final"
    file = _trained(records, one) if final else submit(work.shape, given, one, resource=TRAIN)
    costs = [submit(work.timed, given, one, file, final, name, resource=_owned(name)) for name in devices]
    return costs[0] if len(costs) == 1 else submit(several.together, devices, costs)


def _trained(records: SearchRecords, one: Candidate) -> Blob | str:
    found = records.known(Task(kind="accuracy", candidate=one))
    file = records.received(found.sha256) if isinstance(found, Finding) else None
    return "its file is not here" if file is None else blob(file)


def _came(records: SearchRecords, task: Task, found: Any) -> Result:
    """Keep the file that came with a result here, under its content's name; return the result."""
    if not isinstance(found, tuple):
        return found  # type: ignore[no-any-return]
    result, file = found
    if file is not None:
        records.keep(file)
    return result  # type: ignore[no-any-return]
