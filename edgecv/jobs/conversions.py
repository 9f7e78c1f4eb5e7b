"""Conversions of the zoo's networks as tasks: on this machine, one after the other, or on the workers of a cluster."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgecv import zoo
from edgecv.core import apart
from edgecv.core.errors import EdgecvError
from edgecv.core.memory import machine_bytes, peak_bytes
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.trials.asking import asked
from edgecv.jobs.trials.cluster import TRAIN, Cluster, Submit, Way
from edgecv.jobs.trials.executor import Done, Executor, Local
from edgecv.jobs.zoo_check import FORMATS, WAYS, Cell, Network, cells_of, network


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """One network in some ways, on one machine.

    Attributes:
        name: Of the architecture; `variant` of it.
        input_shape: Of the network.
        ways: Of `zoo_check.WAYS`; `formats` of `zoo_check.FORMATS`.
    """

    name: str
    variant: str
    input_shape: tuple[int, ...]
    ways: tuple[str, ...] = WAYS
    formats: tuple[str, ...] = FORMATS

    @property
    def label(self) -> str:
        """For people: "lenet5/canonical int8-qat"."""
        return f"{self.name}/{self.variant} {' '.join(self.ways) if self.ways != WAYS else ''}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What came of a conversion.

    Attributes:
        cells: One for each way and format; empty where there is none.
        failure: Why there is none: the process ended, say; "" where there are cells.
        seconds: That it took.
        peak_bytes: Most memory that the process held that did it; None where its system does not tell.
    """

    cells: tuple[Cell, ...]
    failure: str = ""
    seconds: float = 0.0
    peak_bytes: int | None = None


Perform = Callable[[Conversion], Converted]


def convert(one: Conversion) -> Converted:
    """Make, check and inspect the files of a conversion in this process.

    Raises:
        ConfigError: Unknown names, or a shape that the architecture does not take.
    """
    began = time.perf_counter()
    settled = _settled(one.name, one.variant, one.input_shape)
    cells = tuple(cell for way in one.ways for cell in cells_of(settled, way, formats=one.formats))
    return Converted(cells=cells, seconds=time.perf_counter() - began, peak_bytes=peak_bytes())


@functools.lru_cache(maxsize=1)
def _settled(name: str, variant: str, input_shape: tuple[int, ...]) -> Network:
    """The ways of one network come one after the other: it is built once for all that a process does."""
    return network(name, variant=variant, input_shape=input_shape)


def convert_apart(one: Conversion, seconds: float) -> Converted:
    """As `convert`, in a process of its own: what ends that, or takes longer, is a failure and no exception."""
    allowed = apart.Limits(seconds=seconds, memory_bytes=int(machine_bytes()))
    try:
        found: Converted = apart.call_apart(f"{__name__}:convert", one, about=one.label, allowed=allowed)
        return found
    except EdgecvError as error:
        return Converted(cells=(), failure=error.message)


def check(
    names: Sequence[str],
    *,
    variant: str = "canonical",
    input_size: int | None = None,
    cluster: str | None = None,
    reporter: Reporter = QUIET,
) -> tuple[Cell, ...]:
    """Return every cell of some networks, each at its smallest input size unless another one is given.

    Args:
        names: Of architectures.
        variant: Of all of them.
        input_size: Height and width.
        cluster: Address of a dask scheduler whose workers convert; None: this process does.
        reporter: Gets progress.

    Raises:
        ConfigError: Unknown name or variant, a size that the architecture does not take, or a cluster without workers.
        DeviceError: A conversion ended every worker that tried it.
    """
    tasks = [
        Conversion(name=name, variant=variant, input_shape=_shape(name, variant, input_size), ways=(way,))
        for name in dict.fromkeys(names)
        for way in WAYS
    ]
    left, found = iter(tasks), dict[Conversion, Converted]()
    with executor(convert, cluster=cluster, reporter=reporter) as machines, reporter.bar("convert", len(tasks)) as bar:

        def tell(done: Done[Conversion, Converted]) -> Sequence[Conversion]:
            found[done.task] = done.result
            bar(1, note=done.task.label)
            return ()

        asked(machines, lambda: next(left, "done"), tell)
    return tuple(cell for task in tasks for cell in found[task].cells)


def _shape(name: str, variant: str, input_size: int | None) -> tuple[int, ...]:
    entry = zoo.get(name)
    entry.variant(variant)  # an unknown one is refused before any work
    return (input_size, input_size, *entry.input_shape[2:]) if input_size else entry.small_shape


@contextlib.contextmanager
def executor(
    perform: Perform, *, cluster: str | None = None, reporter: Reporter = QUIET
) -> Iterator[Executor[Conversion, Converted]]:
    """Yield what does conversions: this machine, or the workers of a cluster that have the resource "train".

    Raises:
        ConfigError: No scheduler answers, or no worker has the resource.
    """
    if cluster is None:
        yield Local(perform)
        return

    def begin(task: Conversion, given: Any, submit: Submit) -> Any:
        return submit(perform, task, resource=TRAIN)

    way: Way[Conversion, Converted] = Way(
        resources=(TRAIN,), given=None, begin=begin, came=lambda task, found: found, label=lambda task: task.label
    )  # fmt: skip
    with Cluster(cluster, way, reporter=reporter) as held:
        yield held
