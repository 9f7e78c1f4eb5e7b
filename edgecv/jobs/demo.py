"""`edgecv demo`: a network on embedded data through the whole flow, each stage the same call that the commands make."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgecv import zoo
from edgecv.core import codec
from edgecv.core.errors import ConfigError, GateFailure, unknown_name
from edgecv.core.files import write_bytes
from edgecv.core.optional import require
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import fitted, open_divided
from edgecv.jobs import check, models, qat
from edgecv.jobs import convert as artifacts
from edgecv.jobs import debug as diagnosis
from edgecv.jobs import prune as pruning
from edgecv.jobs import report as measure
from edgecv.jobs import train as training_job
from edgecv.jobs.evaluate import open_artifact
from edgecv.jobs.journal import Journal
from edgecv.values.profiles import read_toml

FOLDER = Path(__file__).resolve().parent / "demos"
SPARSITY = 0.5
TARGETS = ("cpu", "gpu", "edgetpu", "ethos-u55-256")

DENSE, PRUNED, DENSE_QAT, PRUNED_QAT = "", "-pruned", "-qat", "-pruned-qat"
"""The keras models of a demo, by what follows the network's name in their files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One artifact of a demo: the end of its file's name, the keras model it is made from, and how."""

    file: str
    source: str
    scheme: str
    method: str = "ptq"
    target: str = "cpu"


ITEMS = (
    Item(file="float32.tflite", source=DENSE, scheme="float32"),
    Item(file="float16.tflite", source=DENSE, scheme="float16"),
    Item(file="dynamic.tflite", source=DENSE, scheme="dynamic"),
    Item(file="int8-ptq.tflite", source=DENSE, scheme="int8"),
    Item(file="int8-qat.tflite", source=DENSE_QAT, scheme="int8", method="qat"),
    Item(file="pruned-float32.tflite", source=PRUNED, scheme="float32"),
    Item(file="pruned-int8-ptq.tflite", source=PRUNED, scheme="int8"),
    Item(file="pruned-int8-qat.tflite", source=PRUNED_QAT, scheme="int8", method="qat"),
    Item(file="gpu-float16.tflite", source=DENSE, scheme="float16", target="gpu"),
    Item(file="edgetpu-int8.tflite", source=DENSE_QAT, scheme="int8", method="qat", target="edgetpu"),
    Item(file="float32.onnx", source=DENSE, scheme="float32"),
    Item(file="float16.onnx", source=DENSE, scheme="float16"),
    Item(file="int8-ptq.onnx", source=DENSE, scheme="int8"),
    Item(file="int8-qat.onnx", source=DENSE_QAT, scheme="int8", method="qat"),
    Item(file="pruned-int8-qat.onnx", source=PRUNED_QAT, scheme="int8", method="qat"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """One network of a demo, as a TOML file of `edgecv/jobs/demos` says.

    Attributes:
        network: Its name in the zoo, and what its files are called.
        data: Address of an embedded data set.
        training: Options of its training: fields of `TrainPlan`.
        epochs: Of pruning and of quantisation-aware training; None takes the defaults.
        items: What is made of it, of `ITEMS`; empty: everything.
        looks: Whether it ends with a page on its layers, a check of its gates and a drawn prediction.
        beside: Folder to the name of a further demo that runs in it.
        leaves: Files of `edgecv/jobs/demos/left` that it writes to its folder, beside `sample.png`, for the examples
            that commands show in their help.
        default: Whether it is the one that runs when none is named.
        listed: Whether a user may name it by its task; all are found by their network.
        max_drop: What the report's verdicts allow: see `Report.max_drop`. 364 digits cannot show a drop of one point.
    """

    network: str
    data: str
    training: Mapping[str, Any] = field(default_factory=dict)
    epochs: int | None = None
    items: tuple[str, ...] = ()
    looks: bool = True
    beside: Mapping[str, str] = field(default_factory=dict)
    leaves: tuple[str, ...] = ()
    default: bool = False
    listed: bool = True
    max_drop: float | None = None

    @property
    def task(self) -> str:
        """Of its network."""
        return zoo.get(self.network).task

    @property
    def chosen(self) -> tuple[Item, ...]:
        """Its items, in the order of `ITEMS`."""
        return tuple(item for item in ITEMS if not self.items or item.file in self.items)


def demo_names() -> tuple[str, ...]:
    """Return the demos that a user may name; the default one first. They are called like their network's task."""
    listed = [path.stem for path in sorted(FOLDER.glob("*.toml")) if _read(path).listed]
    return tuple(sorted(listed, key=lambda name: not demo_of(name).default))


def demo_networks() -> tuple[str, ...]:
    """Return the networks that demos are about, those that are of a task's own demo first."""
    found = [_read(path) for path in sorted(FOLDER.glob("*.toml"))]
    return tuple(
        dict.fromkeys(demo.network for demo in sorted(found, key=lambda demo: (not demo.listed, demo.network)))
    )


def demo_of(name: str | None = None, *, network: str | None = None) -> Demo:
    """Return a demo.

    Args:
        name: Of a task; None takes the default one, or any of the network.
        network: One of `demo_networks()`; None takes the task's own.

    Raises:
        ConfigError: There is no such demo; with the nearest match.
    """
    if network is not None:
        return _of_network(network, name)
    if name is None:
        name = demo_names()[0]
    path = FOLDER / f"{name}.toml"
    if not path.exists():
        raise unknown_name("demo", name, demo_names())
    return _read(path)


def _of_network(network: str, name: str | None) -> Demo:
    if network not in demo_networks():
        raise unknown_name("network of a demo", network, demo_networks())
    found = [demo for demo in map(_read, sorted(FOLDER.glob("*.toml"))) if demo.network == network]
    demo = min(found, key=lambda demo: not demo.listed)
    if name is not None and demo.task != demo_of(name).task:
        raise ConfigError(f"{network} is no network of the demo '{name}'", hint="leave --task or --network out")
    return demo


def _read(path: Path) -> Demo:
    return codec.decode(Demo, read_toml(path, what="demo"), where=str(path))


def run_demo(out: Path, demo: Demo | None = None, *, seed: int = 0, reporter: Reporter = QUIET) -> measure.MadeReport:
    """Run a demo into a folder. What an earlier run finished there, with the same seed and tools, is kept.

    Args:
        out: Folder; made when missing. Holds the keras models, the artifacts, the report and a gates file.
        demo: Which one; None takes the default.
        seed: Of every random choice.
        reporter: Progress and remarks.

    Raises:
        EdgecvError: A stage failed; all finished files are whole, and the next run goes on from them.
    """
    demo = demo or demo_of()
    journal = Journal(out / ".journal.json", reporter)
    _train(out, demo, journal, seed, reporter)
    for item in demo.chosen:
        _make(item, out, demo, journal, seed, reporter)
    request = measure.ReportRequest(
        data=demo.data, targets=TARGETS, plan="quick", seed=seed, max_drop=demo.max_drop
    )  # fmt: skip
    files = [_file(out, demo, item) for item in demo.chosen]
    baseline = _keras(out, demo, DENSE)
    made = measure.report_files(files, request, baseline=baseline, out=out, force=True, reporter=reporter)
    gates = check.record(out / "gates.toml", made.paths.json, force=True)
    if demo.looks:
        _look(out, demo, gates, reporter)
    if demo.leaves:
        _leave(out, demo)
    for folder, other in demo.beside.items():
        run_demo(out / folder, demo_of(other), seed=seed, reporter=reporter)
    return made


def _leave(out: Path, demo: Demo) -> None:
    """Write what a user needs to go on from here: an image to ask the files about, and the files of `leaves`."""
    picture = io.BytesIO()
    image = open_divided(demo.data).split("test").sample(0)[0]
    require("PIL.Image", why="to write a picture").fromarray(image.squeeze()).save(picture, format="PNG")
    write_bytes(out / "sample.png", picture.getvalue())
    for name in demo.leaves:
        write_bytes(out / name, (FOLDER / "left" / name).read_bytes())


def _keras(out: Path, demo: Demo, model: str) -> Path:
    return out / f"{demo.network}{model}.keras"


def _file(out: Path, demo: Demo, item: Item) -> Path:
    return out / f"{demo.network}-{item.file}"


def _train(out: Path, demo: Demo, journal: Journal, seed: int, reporter: Reporter) -> None:
    training = training_job.TrainPlan(name=demo.network, data=demo.data, seed=seed, **demo.training)
    dense, pruned = _keras(out, demo, DENSE), _keras(out, demo, PRUNED)
    journal.run(
        dense,
        lambda: training_job.train(training, out=dense, force=True, reporter=reporter),
        settings=codec.encode(training),
    )
    plan = pruning.PrunePlan(sparsity=SPARSITY, data=demo.data, epochs=demo.epochs, seed=seed)
    journal.run(
        pruned,
        lambda: pruning.prune(models.Source(path=dense), plan, out=pruned, force=True, reporter=reporter),
        inputs=(dense,),
        settings=codec.encode(plan),
    )
    for source, trained in ((dense, DENSE_QAT), (pruned, PRUNED_QAT)):
        _train_quantized(source, _keras(out, demo, trained), demo, journal, seed, reporter)


def _train_quantized(source: Path, out: Path, demo: Demo, journal: Journal, seed: int, reporter: Reporter) -> None:
    plan = qat.QatPlan(data=demo.data, epochs=demo.epochs, seed=seed)
    journal.run(
        out,
        lambda: qat.train_quantized(models.Source(path=source), plan, out=out, force=True, reporter=reporter),
        inputs=(source,),
        settings=codec.encode(plan),
    )


def _make(item: Item, out: Path, demo: Demo, journal: Journal, seed: int, reporter: Reporter) -> None:
    plan = artifacts.Plan(scheme=item.scheme, method=item.method, target=item.target, data=demo.data, seed=seed)
    source, file = models.Source(path=_keras(out, demo, item.source)), _file(out, demo, item)
    journal.run(
        file,
        lambda: artifacts.make(source, plan, out=file, force=True, reporter=reporter),
        inputs=(source.path,),
        settings=codec.encode(plan),
    )


def _look(out: Path, demo: Demo, gates: Path, reporter: Reporter) -> None:
    """Rank the layers on a page, check the gates that were just recorded, and draw a prediction on an image."""
    float_file, int8_file = (out / f"{demo.network}-{name}.tflite" for name in ("float32", "int8-ptq"))
    diagnosis.debug(
        float_file, int8_file, data=demo.data, rank=True, top=2, html=out / "layers.html", force=True, reporter=reporter
    )
    outcome = check.run(gates)
    if not outcome.passed:
        raise GateFailure(outcome.failure, hint=f"compare {gates} with {out / 'report.json'}")
    with open_artifact(int8_file) as model:
        sample = fitted(open_divided(demo.data), model.spec).split("test").sample(0)
        picture = io.BytesIO()
        model.predict(sample if len(sample) > 1 else sample[0]).draw(sample[0]).save(picture, format="PNG")
    write_bytes(out / "prediction.png", picture.getvalue())
