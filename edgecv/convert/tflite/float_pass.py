"""Every activation of a float .tflite, sample after sample, from several interpreters at once.

An interpreter that must keep all tensors for the caller runs without XNNPACK, which merges operators and drops what
lies between them. Here every wanted activation is made an output of the graph instead: XNNPACK keeps outputs, and runs
the operators several times faster. Each worker thread has its own single-threaded interpreter at batch 1, so that
samples, not the insides of one operator, are what runs side by side: this measured faster than one interpreter with
several threads and than larger batches, whose activations leave the caches, and it needs no resizing, which files
with fixed reshapes do not survive. Nothing is kept of a sample but what the caller's function returns.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy as np

from edgecv.convert.tflite import flatbuffer
from edgecv.core.optional import require
from edgecv.runtime.engines.native_log import captured

Array = np.ndarray[Any, Any]
T = TypeVar("T")

MEMORY_BUDGET = 1 << 30
"""Bytes that all interpreters together may take for weights and activations; one always runs."""


def look(
    data: bytes,
    inputs: Iterable[Sequence[Array]],
    tensors: Sequence[int],
    see: Callable[[int, Array], T],
    *,
    workers: int | None = None,
) -> Iterator[tuple[T, ...]]:
    """Run the samples and yield, for each in order, what `see` returns for every tensor.

    Args:
        data: A .tflite.
        inputs: Samples, a tensor for each of the file's inputs, in its order; taken as they are needed, two a
            worker ahead.
        tensors: Indices, of the input or of what operators write, in the order of `see`'s calls.
        see: Called with an index and the values, in worker threads, for several samples at once. The values are
            a view that the next sample overwrites. An exception ends the pass, and is raised for the first sample in
            order that has one.
        workers: Interpreters; default: one a processor, fewer where they would need more than `MEMORY_BUDGET`.
    """
    model = flatbuffer.unpack(data)
    sources = [int(index) for index in model.subgraphs[0].inputs]
    processors = _processors()
    count = workers or max(1, min(processors, MEMORY_BUDGET // _footprint(model, len(data))))
    file = _with_outputs(data, model, tensors)
    idle: SimpleQueue[Any] = SimpleQueue()
    for _ in range(count):
        idle.put(_interpreter(file, threads=max(1, processors // count)))

    def one(sample: Sequence[Array]) -> tuple[T, ...]:
        interpreter, given = idle.get(), dict(zip(sources, sample, strict=True))
        try:
            for index, values in given.items():
                interpreter.set_tensor(index, values)
            interpreter.invoke()
            # A view that outlived its call would forbid the next invocation.
            return tuple(see(i, given[i] if i in given else interpreter.tensor(i)()) for i in tensors)
        finally:
            idle.put(interpreter)

    executor = ThreadPoolExecutor(count, thread_name_prefix="calibrate")
    try:
        yield from _in_order(executor, one, inputs, ahead=2 * count)
    finally:
        executor.shutdown(cancel_futures=True)


def _in_order(
    executor: ThreadPoolExecutor, step: Callable[[Sequence[Array]], T], inputs: Iterable[Sequence[Array]], *, ahead: int
) -> Iterator[T]:
    waiting: deque[Future[T]] = deque()
    for sample in inputs:
        waiting.append(executor.submit(step, sample))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _with_outputs(data: bytes, model: Any, tensors: Sequence[int]) -> bytes:
    graph = model.subgraphs[0]
    known = {int(i) for i in (*graph.inputs, *graph.outputs)}
    added = [i for i in tensors if i not in known]
    if not added:
        return data
    graph.outputs = np.array([*graph.outputs, *added], np.int32)
    model.signatureDefs = []
    return flatbuffer.pack(model)


def _footprint(model: Any, size_bytes: int) -> int:
    """Return about how many bytes one interpreter takes: its weights, and all activations at once."""
    graph = model.subgraphs[0]
    written = [int(i) for op in graph.operators for i in op.outputs]
    return size_bytes + sum(4 * int(np.prod(graph.tensors[i].shape)) for i in written)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _interpreter(data: bytes, *, threads: int) -> Any:
    litert = require("ai_edge_litert.interpreter", why="to calibrate")
    with captured():  # XNNPACK says that it is there
        interpreter = litert.Interpreter(model_content=data, num_threads=threads)
        interpreter.allocate_tensors()
    return interpreter
