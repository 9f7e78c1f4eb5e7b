"""`edgecv demo`: LeNet-5 on real digits through the whole flow, each stage the same call that the commands make."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv.core import codec
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import check, models, qat
from edgecv.jobs import convert as artifacts
from edgecv.jobs import prune as pruning
from edgecv.jobs import report as measure
from edgecv.jobs import train as training_job
from edgecv.jobs.journal import Journal

DATA = "digits"
SPARSITY = 0.5
TARGETS = ("cpu", "gpu", "edgetpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One artifact of the demo: its file, the keras model it is made from, and how."""

    file: str
    source: str
    scheme: str
    method: str = "ptq"
    target: str = "cpu"


DENSE, PRUNED = "lenet5.keras", "lenet5-pruned.keras"
DENSE_QAT, PRUNED_QAT = "lenet5-qat.keras", "lenet5-pruned-qat.keras"

ITEMS = (
    Item(file="lenet5-float32.tflite", source=DENSE, scheme="float32"),
    Item(file="lenet5-float16.tflite", source=DENSE, scheme="float16"),
    Item(file="lenet5-dynamic.tflite", source=DENSE, scheme="dynamic"),
    Item(file="lenet5-int8-ptq.tflite", source=DENSE, scheme="int8"),
    Item(file="lenet5-int8-qat.tflite", source=DENSE_QAT, scheme="int8", method="qat"),
    Item(file="lenet5-pruned-float32.tflite", source=PRUNED, scheme="float32"),
    Item(file="lenet5-pruned-int8-ptq.tflite", source=PRUNED, scheme="int8"),
    Item(file="lenet5-pruned-int8-qat.tflite", source=PRUNED_QAT, scheme="int8", method="qat"),
    Item(file="lenet5-gpu-float16.tflite", source=DENSE, scheme="float16", target="gpu"),
    Item(file="lenet5-edgetpu-int8.tflite", source=DENSE_QAT, scheme="int8", method="qat", target="edgetpu"),
    Item(file="lenet5-float32.onnx", source=DENSE, scheme="float32"),
    Item(file="lenet5-float16.onnx", source=DENSE, scheme="float16"),
    Item(file="lenet5-int8-ptq.onnx", source=DENSE, scheme="int8"),
    Item(file="lenet5-int8-qat.onnx", source=DENSE_QAT, scheme="int8", method="qat"),
    Item(file="lenet5-pruned-int8-qat.onnx", source=PRUNED_QAT, scheme="int8", method="qat"),
)


def run_demo(out: Path, *, seed: int = 0, reporter: Reporter = QUIET) -> measure.MadeReport:
    """Run the demo into a folder. What an earlier run finished there, with the same seed and tools, is kept.

    Args:
        out: Folder; made when missing. Holds the keras models, the artifacts, the report and a gates file.
        seed: Of every random choice.
        reporter: Progress and remarks.

    Raises:
        EdgecvError: A stage failed; all finished files are whole, and the next run goes on from them.
    """
    journal = Journal(out / ".journal.json", reporter)
    _train(out, journal, seed, reporter)
    for item in ITEMS:
        _make(item, out, journal, seed, reporter)
    request = measure.ReportRequest(data=DATA, targets=TARGETS, plan="quick", seed=seed)
    files = [out / item.file for item in ITEMS]
    made = measure.report_files(files, request, baseline=out / DENSE, out=out, force=True, reporter=reporter)
    check.record(out / "gates.toml", made.paths.json, force=True)
    return made


def _train(out: Path, journal: Journal, seed: int, reporter: Reporter) -> None:
    training = training_job.TrainPlan(name="lenet5", data=DATA, seed=seed)
    journal.run(
        out / DENSE,
        lambda: training_job.train(training, out=out / DENSE, force=True, reporter=reporter),
        settings=codec.encode(training),
    )
    plan = pruning.PrunePlan(sparsity=SPARSITY, data=DATA, seed=seed)
    dense = models.Source(path=out / DENSE)
    journal.run(
        out / PRUNED,
        lambda: pruning.prune(dense, plan, out=out / PRUNED, force=True, reporter=reporter),
        inputs=(out / DENSE,),
        settings=codec.encode(plan),
    )
    for source, trained in ((DENSE, DENSE_QAT), (PRUNED, PRUNED_QAT)):
        _train_quantized(out / source, out / trained, journal, seed, reporter)


def _train_quantized(source: Path, out: Path, journal: Journal, seed: int, reporter: Reporter) -> None:
    plan = qat.QatPlan(data=DATA, seed=seed)
    journal.run(
        out,
        lambda: qat.train_quantized(models.Source(path=source), plan, out=out, force=True, reporter=reporter),
        inputs=(source,),
        settings=codec.encode(plan),
    )


def _make(item: Item, out: Path, journal: Journal, seed: int, reporter: Reporter) -> None:
    plan = artifacts.Plan(scheme=item.scheme, method=item.method, target=item.target, data=DATA, seed=seed)
    source = models.Source(path=out / item.source)
    journal.run(
        out / item.file,
        lambda: artifacts.make(source, plan, out=out / item.file, force=True, reporter=reporter),
        inputs=(source.path,),
        settings=codec.encode(plan),
    )
