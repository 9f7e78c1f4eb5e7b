"""What a conversion is asked for, checked before any work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from edgecv.convert.check.structure import STATIC
from edgecv.convert.mediapipe import CHOICES
from edgecv.convert.onnx import converter as onnx
from edgecv.convert.tflite import converter as tflite
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.core.progress import Reporter
from edgecv.values import profiles
from edgecv.values.profiles import CalibrationRecipe
from edgecv.values.specs import SCHEMES, Format, Method, Scheme

FORMATS = {"tflite": tflite.SCHEMES, "onnx": onnx.SCHEMES}
IO_DTYPES = {"tflite": ("int8", "uint8", "float32"), "onnx": ("int8", "float32")}
ARITHMETIC = ("float32", "float16")
# QDQ files of ONNX Runtime's own tools keep a float boundary; TFLite's integer accelerators want int8.
DEFAULT_IO = {"tflite": "int8", "onnx": "float32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A conversion that exists.

    Attributes:
        io_dtype: Of the file's inputs and outputs.
        method: "none" for float32 and float16, "ptq" or "qat" for int8, "ptq" for the others.
        targets: What the file must run on; the manifest names the first.
        keep_float: Patterns of source layers that a "mixed" file computes in float32.
        int16: Likewise of layers that it computes with int16 activations.
        sparse: Store kernels without their zeros.
        strict_int8: Refuse a file of integers that computes an operator in float.
        exact_scale: Refuse a file of integers that rounds a weight.
        arithmetic: In what CPUs that have it may compute: "float16", or "float32".
        spared: Those of `keep_float` that nobody asked for: 8 bits would spoil them.
    """

    format: Format
    scheme: Scheme
    method: Method
    io_dtype: str
    targets: tuple[str, ...]
    keep_float: tuple[str, ...] = ()
    int16: tuple[str, ...] = ()
    sparse: bool = False
    strict_int8: bool = False
    exact_scale: bool = False
    arithmetic: str = "float32"
    spared: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """The deployment target that the file is made for."""
        return self.targets[0]


def check_request(
    *,
    format: str,
    scheme: str,
    method: str,
    io_dtype: str | None,
    target: str | Sequence[str],
    reporter: Reporter,
    keep_float: tuple[str, ...] = (),
    int16: tuple[str, ...] = (),
    sparse: bool = False,
    strict_int8: bool = False,
    exact_scale: bool = False,
    arithmetic: str = "float32",
) -> Request:
    """Return the request with its defaults filled in; int8 with layers in float, or with int16, is "mixed".

    Raises:
        ConfigError: A name is unknown, or the combination does not exist; the hint lists those that do.
    """
    if format not in FORMATS:
        raise unknown_name("output format", format, FORMATS)
    if scheme not in SCHEMES:
        raise unknown_name("scheme", scheme, SCHEMES)
    scheme = _mixed(scheme, method, keep_float, int16)
    if scheme not in FORMATS[format]:
        known = "; ".join(f"{name}: {', '.join(schemes)}" for name, schemes in FORMATS.items())
        raise ConfigError(f"there is no {scheme} for {format}", hint=f"available: {known}")
    targets = tuple(dict.fromkeys([target] if isinstance(target, str) else target))
    if not targets:
        raise ConfigError("a file needs a target", hint="name one: see `edgecv targets`")
    if strict_int8:
        _check_strict(scheme, keep_float)
    if exact_scale and (scheme not in STATIC or scheme == "int4" or method == "qat"):
        raise ConfigError(f"there are no exact steps for {scheme} by {method}", hint="use --scheme int8 --method ptq")
    check_arithmetic(arithmetic, format, scheme)
    for name in targets:
        if sparse:
            _check_sparse(format, scheme, name)
        _check_target(name, format, "int16x8" if int16 and not keep_float else scheme, reporter)
    return Request(
        format=cast(Format, format),
        scheme=cast(Scheme, scheme),
        method=_method(scheme, method),
        io_dtype=_io_dtype(format, scheme, io_dtype),
        targets=targets,
        keep_float=keep_float,
        int16=int16,
        sparse=sparse,
        strict_int8=strict_int8,
        exact_scale=exact_scale,
        arithmetic=arithmetic,
    )


def check_arithmetic(arithmetic: str, format: str, scheme: str) -> None:
    """Raise ConfigError for an arithmetic that does not exist, or that files of the format and scheme lack."""
    if arithmetic not in ARITHMETIC:
        raise unknown_name("arithmetic", arithmetic, ARITHMETIC)
    if arithmetic == "float16" and (format, scheme) != ("tflite", "float16"):
        raise ConfigError(
            f"--arithmetic float16 is for .tflite files of scheme float16, not for {scheme} {format}",
            hint="use --scheme float16 and --out FILE.tflite",
        )


def _check_strict(scheme: str, keep_float: tuple[str, ...]) -> None:
    if scheme not in STATIC:
        raise ConfigError(f"--strict-int8 is for files of integers, not for {scheme}", hint="use --scheme int8")
    if keep_float:
        raise ConfigError("--strict-int8 refuses what --keep-float asks for", hint="give one of the two")


def _check_sparse(format: str, scheme: str, target: str) -> None:
    if (format, scheme) != ("tflite", "float32"):
        raise ConfigError(
            f"there is no sparse {scheme} {format}", hint="XNNPACK's sparse kernels take float32 .tflite files only"
        )
    if profiles.target(target).accelerator != "cpu":
        raise ConfigError(f"target '{target}' refuses DENSIFY, which sparse kernels need", hint="leave --sparse out")


def _mixed(scheme: str, method: str, keep_float: tuple[str, ...], int16: tuple[str, ...]) -> str:
    for named, what in ((keep_float, "be kept in float"), (int16, "have int16 activations of their own")):
        if named and (scheme not in ("int8", "mixed") or method == "qat"):
            raise ConfigError(
                f"layers cannot {what} in a {scheme} file by {method}", hint="use --scheme int8 --method ptq"
            )
    if scheme == "mixed" and not (keep_float or int16):
        raise ConfigError(
            "a mixed file needs layers to keep in float, or with int16 activations",
            hint="name them: --keep-float LAYER, --int16 LAYER",
        )
    return "mixed" if keep_float or int16 else scheme


def _check_target(target: str, format: str, scheme: str, reporter: Reporter) -> None:
    profile = profiles.target(target)
    if format not in profile.formats:
        raise ConfigError(f"target '{target}' does not take {format}", hint=f"it takes: {', '.join(profile.formats)}")
    if scheme not in profile.schemes:
        reporter.warn(f"target '{target}' does not run {scheme} well; it runs {', '.join(profile.schemes)}")


def _method(scheme: str, method: str) -> Method:
    if method not in ("none", "ptq", "qat"):
        raise unknown_name("method", method, ("none", "ptq", "qat"))
    if scheme == "int8":
        if method == "none":
            raise ConfigError(
                "int8 needs a method",
                hint="ptq calibrates a float model; qat converts a model trained with quantisation",
            )
        return cast(Method, method)
    if method == "qat":
        raise ConfigError(f"method qat makes int8 files, not {scheme}", hint="use --scheme int8, or the float model")
    return "none" if scheme in ("float32", "float16") else "ptq"


def _io_dtype(format: str, scheme: str, io_dtype: str | None) -> str:
    if scheme not in STATIC or scheme == "int16x8":
        if io_dtype not in (None, "float32"):
            raise ConfigError(f"inputs and outputs of a {scheme} file are float32, got '{io_dtype}'")
        return "float32"
    chosen = io_dtype or DEFAULT_IO[format]
    if chosen not in IO_DTYPES[format]:
        raise unknown_name(f"io dtype of {scheme} {format}", chosen, IO_DTYPES[format])
    return chosen


def check_metadata(metadata: str, format: str) -> None:
    """Raise ConfigError for a kind of metadata that does not exist, or that the format does not have."""
    if metadata not in CHOICES:
        raise unknown_name("kind of metadata", metadata, CHOICES)
    if metadata == "mediapipe" and format != "tflite":
        raise ConfigError(f"MediaPipe takes .tflite files, not {format}", hint="use --format tflite")


def check_calibration(request: Request, recipe: CalibrationRecipe | None, has_dataset: bool) -> None:
    """Check that what a static int8 file needs is there.

    Raises:
        ConfigError: PTQ without a recipe or a data set, or a recipe's wish that QAT cannot honour.
    """
    if request.scheme not in STATIC:
        return
    if request.method == "ptq" and (recipe is None or not has_dataset):
        missing = "a calibration recipe" if recipe is None else "a data set"
        raise ConfigError(f"{request.scheme} by ptq needs {missing}", hint="give --data and --calibration")
    if request.method == "qat" and recipe is not None and recipe.granularity != "per_channel":
        raise ConfigError(
            f"recipe '{recipe.name}' asks for {recipe.granularity} weights, but a QAT model brings its own scales",
            hint="use a per_channel recipe, or method ptq",
        )
