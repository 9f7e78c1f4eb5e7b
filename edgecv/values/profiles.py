"""Deployment targets, devices and calibration recipes: frozen values read from TOML data.

The data lives in the top-level folders `targets/` and `calibration/`; a wheel carries copies under `edgecv/_data`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomllib

from edgecv.core import codec
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values.specs import Format, Scheme

T = TypeVar("T")
SHORTEST_FAMILY = 3
"""Letters that names must share, at least, to be spoken of as a family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpRule:
    """What a target supports of one builtin operator, from its published table.

    Attributes:
        since: First version of the target's compiler or runtime that takes it, "" when unknown.
        limits: Names of predicates in edgecv.targets that must hold.
        note: For the user, when a limit fails.
        max_version: Highest operator version that the target's software reads; None when it has no bound.
        refused_version: Lowest version that was seen refused; None when only documentation says so.
        certainty: How sure the entry is: "certain" when seen on the target, "likely" when only documented.
    """

    since: str = ""
    limits: tuple[str, ...] = ()
    note: str = ""
    max_version: int | None = None
    refused_version: int | None = None
    certainty: Literal["certain", "likely"] = "likely"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelRule:
    """Which kernels compute with one kind of numbers on a CPU, as its library's source says.

    Attributes:
        kernels: Of convolutions and dense layers.
        pace: Beside what this instruction set can do at best: "fast", "fair" or "slow".
        why: What makes it so.
        depthwise: Kernels of depthwise convolutions, where they differ.
        depthwise_pace: As `pace`, of depthwise convolutions, where it differs; "" where it does not.
        depthwise_why: What makes it so.
    """

    kernels: str
    pace: Literal["fast", "fair", "slow"]
    why: str = ""
    depthwise: str = ""
    depthwise_pace: Literal["", "fast", "fair", "slow"] = ""
    depthwise_why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetProfile:
    """What a deployment target can run. One TOML file in `targets/` each; the file's stem is its name.

    Attributes:
        verdict: Name of the procedure in edgecv.targets that judges operators: "all_builtin" (everything the
            interpreter has), "op_table" (the table below), "litert_gpu" (the accelerator itself when it loads,
            else the table), "edgetpu" (rules and partition), "vela" (Arm's compiler when it is installed, else the
            table).
        formats: Model formats it takes.
        schemes: Schemes it runs well, best first.
        dtypes: Activation types that its accelerator computes; empty: all.
        ops: Builtin name to rule.
        refused: Builtin names without a rule that were seen refused; others without a rule are likely to be.
        latency: Constants of its cost model, where it has one.
        advice: What to do about operators that do not map: text by cause, or by "CAUSE.OPERATOR".
        isa: Of a CPU: "host" is the one that edgecv runs on, another name one that `host.cpu_isa` gives.
        kernels: Of a CPU: "float32", "float16", "dynamic", "int8", "uint8", "int16x8", "int4" to what computes it.
        threads: Of a CPU: how many to give the interpreter.
        options: Settings of its compiler, by the compiler's own names.
        in_reports: Whether a report that names no targets asks it.
        sources: Where the table comes from.
    """

    name: str
    title: str
    accelerator: Literal["cpu", "gpu", "edgetpu", "npu"]
    verdict: str
    formats: tuple[Format, ...]
    schemes: tuple[Scheme, ...]
    dtypes: tuple[str, ...] = ()
    ops: Mapping[str, OpRule] = field(default_factory=dict)
    refused: tuple[str, ...] = ()
    limits: Mapping[str, float] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    advice: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    in_reports: bool = True
    isa: str = ""
    kernels: Mapping[str, KernelRule] = field(default_factory=dict)
    threads: str = ""
    sources: tuple[str, ...] = ()
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationRecipe:
    """How activation ranges are found. One TOML file in `calibration/` each; the file's stem is its name.

    Attributes:
        sampler: "stratified" takes the same number of images of each class, "diverse" those that differ most, "first"
            the first ones, "random" any.
        count: Images to run.
        estimator: "minmax", "moving_average", "percentile", "mse" or "entropy".
        percentile: For "percentile", in 50..100: 99.99 clips one value in 10,000 at each end.
        momentum: For "moving_average", in 0..1.
        granularity: Of the weights: "per_channel" or "per_tensor".
    """

    name: str
    title: str
    sampler: Literal["stratified", "diverse", "first", "random"] = "stratified"
    count: int = 100
    estimator: Literal["minmax", "moving_average", "percentile", "mse", "entropy"] = "minmax"
    percentile: float = 99.99
    momentum: float = 0.9
    granularity: Literal["per_channel", "per_tensor"] = "per_channel"


def data_folder(kind: Literal["targets", "calibration"]) -> Path:
    """Return the folder of a kind of data: the checkout's when edgecv runs from one, else the packaged copy."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent
    if (checkout / "pyproject.toml").is_file() and (checkout / kind).is_dir():
        return checkout / kind
    return package / "_data" / kind


def read_toml(path: Path, *, what: str = "file") -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        ConfigError: It is missing, not UTF-8, or not TOML; the message has the parser's line and column.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{what} {path} does not exist", hint="check the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


def _names(kind: Literal["targets", "calibration"]) -> tuple[str, ...]:
    return tuple(sorted(p.stem for p in data_folder(kind).glob("*.toml")))


def _load(kind: Literal["targets", "calibration"], what: str, cls: type[T], name: str) -> T:
    path = Path(name)
    if path.suffix == ".toml":
        source = path
    elif name in _names(kind):
        source = data_folder(kind) / f"{name}.toml"
    else:
        raise _family(what, name, _names(kind)) or unknown_name(what, name, _names(kind))
    return codec.decode(cls, {"name": source.stem, **_extended(kind, source, what)}, where=str(source))


def _family(what: str, name: str, known: Sequence[str]) -> ConfigError | None:
    """Return the error for the beginning that several names share; None when `name` is none."""
    members = [one for one in known if one.startswith(name)] if len(name) >= SHORTEST_FAMILY else []
    if len(members) < 2:
        return None
    return ConfigError(f"'{name}' is a family of {what}s, not one", hint=f"choose a member: {', '.join(members)}")


def _extended(kind: Literal["targets", "calibration"], source: Path, what: str) -> dict[str, Any]:
    """Read a profile; one that `extends` a shipped profile takes that one's keys, table by table, where it has none."""
    own = read_toml(source, what=what)
    parent = own.pop("extends", None)
    if parent is None:
        return own
    if parent not in _names(kind):
        raise unknown_name(what, str(parent), _names(kind))
    base = _extended(kind, data_folder(kind) / f"{parent}.toml", what)
    return {**base, **{key: _merged(base.get(key), value) for key, value in own.items()}}


def _merged(base: Any, own: Any) -> Any:
    return {**base, **own} if isinstance(base, dict) and isinstance(own, dict) else own


def target_names() -> tuple[str, ...]:
    """Return the names of all known targets."""
    return _names("targets")


def report_target_names() -> tuple[str, ...]:
    """Return the names of the targets that a report asks when none is named."""
    return tuple(name for name in target_names() if target(name).in_reports)


def target(name: str) -> TargetProfile:
    """Return a target by name, or from a path that ends in .toml. Raises ConfigError when it is unknown or wrong."""
    return _load("targets", "target", TargetProfile, name)


def calibration_names() -> tuple[str, ...]:
    """Return the names of all calibration recipes."""
    return _names("calibration")


def calibration(name: str) -> CalibrationRecipe:
    """Return a calibration recipe by name, or from a path that ends in .toml. Raises ConfigError as `target` does."""
    return _load("calibration", "calibration recipe", CalibrationRecipe, name)
