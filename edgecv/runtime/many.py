"""Asking a model about many samples: in their order, with an interpreter for each thread."""

from __future__ import annotations

import queue
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Deque, Iterable, Iterator, Mapping

from edgecv.core.errors import ConfigError

if TYPE_CHECKING:
    from edgecv.runtime.predictor import Predictor

AHEAD = 2
"""Samples per thread that are read before their turn."""


def answered(
    predictor: Predictor, samples: Iterable[Any], *, threads: int, color: str, settings: Mapping[str, Any]
) -> Iterator[Any]:
    """Return the predictions of samples: see `Predictor.predict_many`."""
    if threads < 1:
        raise ConfigError(f"threads must be 1 or more, got {threads}")
    if threads > 1 and predictor.another is None:
        raise ConfigError(f"{predictor.path} is open once, so one thread asks it", hint="leave threads out")
    if threads == 1:
        return (predictor.predict(sample, color=color, **settings) for sample in samples)
    return _by_threads(predictor, samples, threads, {"color": color, **settings})


def _by_threads(
    predictor: Predictor, samples: Iterable[Any], threads: int, options: Mapping[str, Any]
) -> Iterator[Any]:
    assert predictor.another is not None
    idle: queue.SimpleQueue[Predictor] = queue.SimpleQueue()
    idle.put(predictor)
    opened = []
    try:
        for _ in range(threads - 1):
            opened.append(predictor.another())
            idle.put(opened[-1])
        with ThreadPoolExecutor(threads) as pool:
            yield from _in_order(pool, idle, samples, threads * AHEAD, options)
    finally:
        for one in opened:
            one.close()


def _in_order(
    pool: ThreadPoolExecutor,
    idle: queue.SimpleQueue[Predictor],
    samples: Iterable[Any],
    ahead: int,
    options: Mapping[str, Any],
) -> Iterator[Any]:
    def ask(sample: Any) -> Any:
        predictor = idle.get()
        try:
            return predictor.predict(sample, **options)
        finally:
            idle.put(predictor)

    waiting: Deque[Future[Any]] = deque()
    try:
        for sample in samples:
            waiting.append(pool.submit(ask, sample))
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for left in waiting:
            left.cancel()
