"""Doing the tasks of a search on several machines, through dask.distributed.

Files are made on workers that have the resource "train", and timed on workers that own a device: "device:pi5", say, of
which a worker declares one, so that a board never has two timings at once. Files travel by their content, from worker
to worker. What a worker that dies was doing is done again on another one; everything else stands.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from edgecv.core import optional
from edgecv.core.errors import ConfigError, DataError, DeviceError, EdgecvError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.optimize import several
from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.optimize.driver import Done
from edgecv.jobs.optimize.records import Blob, Records, Task, blob, put
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.values.search import Cost, Finding, Level

TRAIN = "train"
RETRIES = 2
CONNECT_S = 15.0


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


class Cluster:
    """An executor over a dask scheduler; a context manager.

    Args:
        address: "tcp://scheduler:8786".
        records: Of what is known; keeps the files that come back.
        given: What workers need.
        devices: That time files.
        work: What workers are called with.
        reporter: Told of workers.
    """

    def __init__(
        self, address: str, records: Records, given: Parcel | None, *, devices: Sequence[str], work: Work = WORK,
        reporter: Reporter = QUIET,
    ) -> None:  # fmt: skip
        self._address, self._records, self._given, self._work = address, records, given, work
        self._devices, self._reporter = tuple(devices), reporter
        self._known: deque[Done] = deque()
        self._tasks: dict[str, Task] = {}

    def __enter__(self) -> Cluster:
        distributed = optional.require("distributed", why="for --cluster")
        try:
            self._client = distributed.Client(self._address, timeout=CONNECT_S)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"no dask scheduler answers at {self._address}: {error}", hint="start one: dask scheduler --port 8786"
            ) from error
        self._done = distributed.as_completed()
        self._trainers = self._declared()
        self._parcel = self._client.scatter(self._given, hash=False)
        self._reporter.info(f"{self._address}: {self._trainers} workers train")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.cancel(list(self._done.futures), force=True)
        self._client.close()

    @property
    def slots(self) -> int:
        """One per unit of the resource "train", and one more, so that no worker waits for us."""
        return self._trainers + 1

    def _declared(self) -> int:
        """Return how many tasks of training run at once.

        Raises:
            ConfigError: No worker trains, or none owns the device.
        """
        total: dict[str, float] = {}
        for worker in self._client.scheduler_info(n_workers=-1)["workers"].values():
            for name, amount in worker["resources"].items():
                total[name] = total.get(name, 0.0) + amount
        for name in (TRAIN, *map(_owned, self._devices)):
            if not total.get(name):
                raise ConfigError(
                    f"no worker at {self._address} has the resource '{name}'",
                    hint=f"dask worker {self._address} --nthreads 1 --resources '{name}=1'",
                )
        return int(total[TRAIN])

    def known(self, task: Task) -> Cost | Finding | None:
        """Return what came of a task in an earlier run; None for nothing."""
        return self._records.known(task)

    def start(self, task: Task) -> None:
        """Submit a task, unless its result is known."""
        known = self._records.known(task)
        if known is not None:
            self._known.append(Done(task=task, result=known, made=False))
            return
        one = task.candidate
        if task.kind == "accuracy":
            future = self._submit(self._work.accuracy, TRAIN, one, task.level)
        elif task.kind == "shape":
            future = self._timed(one, self._submit(self._work.shape, TRAIN, one), False)
        else:
            future = self._timed(one, self._trained(one), True)
        self._tasks[future.key] = task
        self._done.add(future)

    def finished(self) -> Done:
        """Wait for the next result; files are kept here under their content's name.

        Raises:
            DeviceError: A task failed on every worker that tried it.
        """
        if self._known:
            return self._known.popleft()
        future = next(self._done)
        task = self._tasks.pop(future.key)
        found = self._result(future, task)
        if isinstance(found, tuple):
            found, file = found
            if file is not None:
                self._records.keep(file)
        self._records.remember(task, found)
        return Done(task=task, result=found)

    def _result(self, future: Any, task: Task) -> Any:
        try:
            return future.result()
        except EdgecvError:
            raise
        except Exception as error:
            raise DeviceError(
                f"{task.kind} of {task.candidate.label} failed on the cluster: {type(error).__name__}: {error}",
                hint="see the workers' logs; the same command goes on",
            ) from error

    def _submit(self, function: Callable[..., Any], resource: str, *arguments: Any) -> Any:
        return self._client.submit(
            function, self._parcel, *arguments, resources={resource: 1}, retries=RETRIES, pure=False
        )

    def _timed(self, one: Candidate, file: Any, trained: bool) -> Any:
        """Submit the timings of a file, one for each device, and what they come to together."""
        costs = [
            self._submit(self._work.timed, _owned(name), one, file, trained, name) for name in self._devices
        ]  # fmt: skip
        if len(costs) == 1:
            return costs[0]
        return self._client.submit(several.together, self._devices, costs, pure=False)

    def _trained(self, one: Candidate) -> Blob | str:
        found = self._records.known(Task(kind="accuracy", candidate=one))
        file = self._records.received(found.sha256) if isinstance(found, Finding) else None
        return "its file is not here" if file is None else blob(file)
