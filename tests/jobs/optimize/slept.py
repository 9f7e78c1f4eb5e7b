"""What workers do in tests and in benchmarks/search_cluster.py: they sleep in place of training."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from edgecv.jobs.optimize.candidates import Candidate
from edgecv.jobs.optimize.cluster import Parcel, Work
from edgecv.jobs.trials.records import Blob
from edgecv.values.search import Cost, Finding, Level
from tests.jobs.optimize import made_up


def shape(given: Parcel, one: Candidate) -> Blob | str:
    return Blob(name="shape.tflite", sha256=f"{one.shape:0<64}", data=one.shape.encode())


def accuracy(given: Parcel, one: Candidate, level: Level) -> tuple[Finding, Blob | None]:
    """Tell the folder in the environment that it began and ended, and by which process."""
    log = Path(os.environ["EDGECV_TEST_LOG"])
    with log.open("a") as out:
        out.write(f"begin {one.id} {os.getpid()}\n")
    time.sleep(float(os.environ.get("EDGECV_TEST_SLEEP", "0.05")))
    with log.open("a") as out:
        out.write(f"end {one.id} {os.getpid()}\n")
    found = replace(made_up.finding(one), sha256=f"{one.id:0<64}")
    return found, Blob(name="file.tflite", sha256=f"{one.id:0<64}", data=one.id.encode())


def timed(given: Parcel, one: Candidate, file: Blob | str, trained: bool, device: str) -> Cost:
    assert isinstance(file, Blob)
    # What is timed is what was made of this candidate, or of one of its shape.
    assert file.data.decode() == (one.id if trained else one.shape)
    return made_up.cost(one)


WORK = Work(shape=shape, accuracy=accuracy, timed=timed)
