"""Tasks on several machines, through dask.distributed.

What a worker that dies was doing is done again on another one; everything else stands.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, TypeVar

from edgecv.core import optional
from edgecv.core.errors import ConfigError, DeviceError, EdgecvError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.trials.executor import Done
from edgecv.jobs.trials.records import Records

T = TypeVar("T")
R = TypeVar("R")

TRAIN = "train"
"""Resource of workers that make files."""
RETRIES = 2
CONNECT_S = 15.0
Submit = Callable[..., Any]
"""submit(function, *arguments, resource=""): has a worker with the resource call a function; returns its future, which
another call may have as an argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way(Generic[T, R]):
    """How tasks of a kind are done by workers.

    Attributes:
        resources: That workers must have declared; as many tasks run at once as there are units of the first one.
        given: Sent to the workers once: what all tasks need.
        begin: From a task, what was sent, and a `Submit` to the future of what comes of it.
        came: From a task and what came of it to its result.
        label: From a task to what people call it.
    """

    resources: tuple[str, ...]
    given: Any
    begin: Callable[[T, Any, Submit], Any]
    came: Callable[[T, Any], R]
    label: Callable[[T], str]


class Cluster(Generic[T, R]):
    """An executor over a dask scheduler; a context manager.

    Args:
        address: "tcp://scheduler:8786".
        way: How its tasks are done.
        records: Of what is known; None: nothing is, or is kept.
        reporter: Told of workers.
    """

    def __init__(
        self, address: str, way: Way[T, R], records: Records[T, R] | None = None, reporter: Reporter = QUIET
    ) -> None:
        self._address, self._way, self._records, self._reporter = address, way, records, reporter
        self._known: deque[Done[T, R]] = deque()
        self._tasks: dict[str, T] = {}

    def __enter__(self) -> Cluster[T, R]:
        distributed = optional.require("distributed", why="for --cluster")
        try:
            self._client = distributed.Client(self._address, timeout=CONNECT_S)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"no dask scheduler answers at {self._address}: {error}", hint="start one: dask scheduler --port 8786"
            ) from error
        self._done = distributed.as_completed()
        self._workers = self._declared()
        # To all workers: what only one of them holds is lost with it, and cannot be made again.
        self._given = self._client.scatter(self._way.given, hash=False, broadcast=True)
        self._reporter.info(f"{self._address}: {self._workers} workers {self._way.resources[0]}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.cancel(list(self._done.futures), force=True)
        self._client.close()

    @property
    def slots(self) -> int:
        """One per unit of the first resource, and one per resource, so that no worker waits for us or for another."""
        return self._workers + len(self._way.resources)

    def _declared(self) -> int:
        """Return how many tasks run at once.

        Raises:
            ConfigError: No worker has a resource.
        """
        total: dict[str, float] = {}
        for worker in self._client.scheduler_info(n_workers=-1)["workers"].values():
            for name, amount in worker["resources"].items():
                total[name] = total.get(name, 0.0) + amount
        for name in self._way.resources:
            if not total.get(name):
                raise ConfigError(
                    f"no worker at {self._address} has the resource '{name}'",
                    hint=f"dask worker {self._address} --nthreads 1 --resources '{name}=1'",
                )
        return int(total[self._way.resources[0]])

    def known(self, task: T) -> R | None:
        """Return what came of a task in an earlier run; None for nothing."""
        return self._records.known(task) if self._records else None

    def start(self, task: T) -> None:
        """Submit a task, unless its result is known."""
        known = self.known(task)
        if known is not None:
            self._known.append(Done(task=task, result=known, made=False))
            return
        future = self._way.begin(task, self._given, self._submit)
        self._tasks[future.key] = task
        self._done.add(future)

    def finished(self) -> Done[T, R]:
        """Wait for the next result.

        Raises:
            DeviceError: A task failed on every worker that tried it.
        """
        if self._known:
            return self._known.popleft()
        future = next(self._done)
        task = self._tasks.pop(future.key)
        result = self._way.came(task, self._result(future, task))
        if self._records:
            self._records.remember(task, result)
        return Done(task=task, result=result)

    def _result(self, future: Any, task: T) -> Any:
        try:
            return future.result()
        except EdgecvError:
            raise
        except Exception as error:
            raise DeviceError(
                f"{self._way.label(task)} failed on the cluster: {type(error).__name__}: {error}",
                hint="see the workers' logs; the same command goes on",
            ) from error

    def _submit(self, function: Callable[..., Any], *arguments: Any, resource: str = "") -> Any:
        more: dict[str, Any] = {"resources": {resource: 1}, "retries": RETRIES} if resource else {}
        return self._client.submit(function, *arguments, pure=False, **more)
