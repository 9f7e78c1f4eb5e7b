"""Keras models on disk: `.keras`, HDF5 and SavedModel in, `.keras` with an embedded manifest out."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.modelio import channels, custom, env, forms, keras_import, served, weight_files, wrapped
from edgecv.modelio.boundary import input_names, named_outputs, output_names, plainly_named
from edgecv.modelio.contents import kind_of, under_its_suffix
from edgecv.modelio.inference import check_inference
from edgecv.modelio.messages import first_line, way_out
from edgecv.modelio.opening import Opening
from edgecv.modelio.provenance import manifest_for
from edgecv.modelio.safety import refuse_code
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs, bind_outputs
from edgecv.values.manifest import KEY, Manifest, from_json, to_json
from edgecv.values.specs import ModelSpec

MEMBER = f"{KEY}.json"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip can hold
WEIGHTS = f"{KEY}.weights/"
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedModel:
    """A keras model and what its file says of it.

    Attributes:
        model: tf_keras functional or Sequential model, not compiled.
        manifest: None for a foreign file for which no spec was given.
        sha256: Of the file, or of the folder's contents.
        custom_objects: The user's Python file that was run to read it.
        recipe: The step that a contract which is found out later is of: an import, of which file.
    """

    model: Any
    manifest: Manifest | None
    path: Path
    sha256: str
    custom_objects: Path | None = None
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def require_spec(self) -> ModelSpec:
        """Return the model's contract. Raises ConfigError when neither the file nor the caller gave one."""
        if self.manifest is None:
            raise ConfigError(
                f"{self.path} carries no edgecv manifest, so its input range and labels are unknown",
                hint="give a model spec with it: input size, colour order, normalisation, labels",
            )
        return self.manifest.spec


def save_keras(model: Any, path: files.PathLike, manifest: Manifest | None, *, force: bool = False) -> Path:
    """Write a model with its manifest as a `.keras` archive, atomically.

    The optimiser's state is left out. The same model and manifest give the same bytes.

    Args:
        model: A tf_keras functional or Sequential model.
        path: Ends in ".keras".
        manifest: Written as the member `edgecv.json`; None: the model comes without a contract, as others write them.
        force: Whether to replace an existing file.

    Raises:
        ConfigError: The suffix is another, the file exists, it cannot be written, or the model has another number of
            outputs than its spec has heads.
        UnsupportedModelError: The model is not a graph of layers, or holds one that cannot be saved.
    """
    if Path(path).suffix != ".keras":
        raise ConfigError(
            f"cannot write {path}: the suffix must be .keras", hint=f"use {Path(path).with_suffix('.keras')}"
        )
    out = files.check_output(path, force=force)
    _check_graph(model, str(out))
    if manifest is not None:
        check_heads(model, manifest.spec, where=f"{out}: ")
    bare = env.keras().Model(model.inputs, model.outputs, name=model.name)
    with files.atomic_path(out) as partial:
        try:
            bare.save(partial, save_format="keras")
        except (TypeError, ValueError, NotImplementedError) as error:
            raise UnsupportedModelError(f"model '{model.name}' cannot be saved: {first_line(error)}") from error
        partial.write_bytes(_repack(partial.read_bytes(), manifest, bare.get_weights()))
    return out


def load_keras(
    path: files.PathLike, *, unsafe: bool = False, spec: ModelSpec | None = None, opening: Opening | None = None
) -> LoadedModel:
    """Read a `.keras` archive, an HDF5 file or a SavedModel folder as a tf_keras model; content decides, not the name.

    Files of Keras 3 are rebuilt in tf_keras, see `edgecv.modelio.keras_import`. Every model comes back with fixed
    sizes, channels last, in float32: see `edgecv.modelio.forms` and `edgecv.modelio.channels`.

    Args:
        path: The file or folder.
        unsafe: Whether to load a file that can run code (Lambda layers, foreign modules).
        spec: The contract of a foreign model; replaces the one in the file's manifest.
        opening: What else the user says of the file; its `unsafe` and `spec` are replaced by those given here.

    Raises:
        ConfigError: The path does not exist, or `spec` does not fit the model.
        UnsupportedModelError: The file is unreadable or foreign, can run code, or has a dynamic input shape.
    """
    source = Path(path)
    if not source.exists():
        raise ConfigError(f"model {source} does not exist", hint="check the path")
    opening = dataclasses.replace(opening or Opening(), unsafe=unsafe, spec=spec)
    if opening.signature is not None and not source.is_dir():
        raise ConfigError(f"{source} has no signatures", hint="leave --signature out: SavedModel folders have some")
    read, embedded = _reader(source)(source, opening)
    return in_one_form(read, embedded, source, opening, digest=files.sha256(source))


def in_one_form(
    read: Any,
    embedded: Manifest | None,
    source: Path,
    opening: Opening,
    *,
    digest: str,
    recipe: Mapping[str, Any] | None = None,
) -> LoadedModel:
    """Return a model that was read, whatever from, as everything here takes it: see `load_keras`.

    Args:
        read: tf_keras model.
        embedded: What its file says of it.
        source: The file or folder, for messages and what is made of it.
        opening: What the user says of it; its contract replaces the one in the manifest.
        digest: sha256 of the source.
        recipe: Of the step that a contract without a manifest is of; None: an import of the file.

    Raises:
        ConfigError, UnsupportedModelError: As `load_keras`.
    """
    _check_graph(read, str(source))
    check_inference(read, where=str(source))
    pixels = forms.pixel_inputs(read)
    model = forms.fixed(plainly_named(read), opening, where=str(source))
    model = named_outputs(channels.last(model, where=str(source)))
    manifest = _manifest(embedded, opening.spec, source, digest, recipe)
    if manifest is not None:
        _check_spec(model, manifest.spec, source)
        forms.check_pixels(pixels, model, manifest.spec, where=str(source))
    return LoadedModel(
        model=model, manifest=manifest, path=source, sha256=digest, custom_objects=opening.custom_objects,
        recipe=recipe or import_of(source),
    )  # fmt: skip


def import_of(source: Path) -> Mapping[str, Any]:
    """Return the step that a model from elsewhere is of, for its manifest."""
    return {"step": "import", "file": source.name}


def check_heads(model: Any, spec: ModelSpec, *, where: str) -> None:
    """Check that a model has every output that the heads read, and no other; `where` starts the message.

    Raises:
        UnsupportedModelError: An output is missing.
        ConfigError: There are more.
    """
    names = output_names(model)
    read = {place for places in bind_outputs(spec, names, where or spec.name) for place in places}
    left = [name for place, name in enumerate(names) if place not in read]
    if left:
        raise ConfigError(
            f"{where}: no head of the spec reads the model's output{'s' * (len(left) != 1)} {', '.join(left)}",
            hint="declare a head that reads it, or cut auxiliary classifiers off: edgecv.zoo.inference(model, spec)",
        )


def _reader(source: Path) -> Callable[[Path, Opening], tuple[Any, Manifest | None]]:
    readers = {"folder": _read_saved_model, "archive": _read_archive, "hdf5": _read_hdf5}
    kind = kind_of(source)
    if kind:
        return readers[kind]
    raise UnsupportedModelError(
        f"{source} is not a keras model: its content is neither a zip archive nor HDF5",
        hint=_OTHERS.get(source.suffix, _KERAS),
    )


_KERAS = "expected a .keras or .h5 file, or a SavedModel folder; the file may be cut off"
_OTHERS = {
    ".cfg": "edgecv import FILE.cfg FILE.weights --out m.keras makes a keras model of a network of Darknet",
    ".tflite": "a .tflite begins with TFL3 at byte 4; this file may be cut off",
}
"""What to do with files of other suffixes."""


def _read_archive(source: Path, opening: Opening) -> tuple[Any, Manifest | None]:
    with _unreadable(source):
        with zipfile.ZipFile(source) as archive:
            damaged = archive.testzip()
            if damaged:
                raise UnsupportedModelError(f"{source} is damaged: its member {damaged} has a wrong checksum")
            config = json.loads(archive.read("config.json"))
            version = str(json.loads(archive.read("metadata.json"))["keras_version"])
            text = archive.read(MEMBER).decode() if MEMBER in archive.namelist() else None
            names = sorted(name for name in archive.namelist() if name.startswith(WEIGHTS))
            weights = [np.load(io.BytesIO(archive.read(name)), allow_pickle=False) for name in names]
        model = _deserialise(source, config, version, opening, weights)
        return model, from_json(text, where=str(source), outputs=output_names(model)) if text else None


def _read_hdf5(source: Path, opening: Opening) -> tuple[Any, Manifest | None]:
    h5py = require("h5py", why="to read HDF5 models")
    with _unreadable(source):
        with h5py.File(source, "r") as archive:
            raw, version = archive.attrs.get("model_config"), archive.attrs.get("keras_version", "2")
        if raw is None:
            return _with_weights(source, opening)
        return _deserialise(source, json.loads(raw), str(version), opening), None


def _with_weights(source: Path, opening: Opening) -> tuple[Any, Manifest | None]:
    model, spec = weight_files.build(source, opening)
    if weight_files.is_keras3(model):
        model = keras_import.imported(model, source, opening)
    return model, None if spec is None else _manifest(None, spec, source, files.sha256(source))


def _read_saved_model(source: Path, opening: Opening) -> tuple[Any, Manifest | None]:
    metadata = source / "keras_metadata.pb"
    with _unreadable(source):
        if not metadata.is_file() or opening.signature is not None:
            return served.read(source, opening), None
        saved = require("tf_keras.protobuf.saved_metadata_pb2").SavedMetadata()
        saved.ParseFromString(metadata.read_bytes())
        config = [json.loads(node.metadata) for node in saved.nodes]
        return _deserialise(source, config, "2", opening), None


def _deserialise(source: Path, config: Any, version: str, opening: Opening, weights: Sequence[Array] = ()) -> Any:
    keras3 = version.split(".")[0] == "3"
    graphs = custom.graph_classes(config)
    objects = custom.read_objects(opening.custom_objects, keras3=keras3)
    if not opening.unsafe:
        refuse_code(config, where=str(source), known={*graphs, *objects})
    if keras3:
        return keras_import.import_keras3(source, opening)
    from edgecv.modelio import layers  # noqa: F401 - registers our layer classes with Keras

    keras = env.keras()
    known = {name: _graph_class(kind) for name, kind in graphs.items()} | objects
    options: dict[str, Any] = {} if source.is_dir() else {"safe_mode": not opening.unsafe}
    if not wrapped.is_wrapped(config):
        return _loaded(source, known, options)
    with wrapped.scopes():
        if not weights:
            return _loaded(source, known, options)
        model = keras.saving.deserialize_keras_object(wrapped.without_build(config), known, **options)
        model.set_weights(weights)
        return model


def _loaded(source: Path, known: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    with under_its_suffix(source) as path:
        return env.keras().models.load_model(path, custom_objects=dict(known), compile=False, **options)


def _graph_class(kind: str) -> Any:
    return env.keras().Sequential if kind == "Sequential" else env.keras().Model


@contextmanager
def _unreadable(source: Path) -> Iterator[None]:
    try:
        yield
    except EdgecvError:
        raise
    except zipfile.BadZipFile as error:
        raise UnsupportedModelError(
            f"{source} is not a readable .keras archive: {error}", hint="the file may be cut off, or of another format"
        ) from error
    # Keras raises whatever its parts raise; all of it means that this file cannot be read.
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise ConfigError(
                f"{source} cannot be unpacked in {tempfile.gettempdir()}: {error.strerror}",
                hint="free some space there, or set TMPDIR to a folder that has some",
            ) from error
        raise UnsupportedModelError(
            f"{source} cannot be read as a keras model: {first_line(error)}", hint=way_out(error)
        ) from error


def _check_graph(model: Any, where: str) -> None:
    if not getattr(model, "_is_graph_network", False):
        raise UnsupportedModelError(
            f"{where}: the model is not a graph of layers",
            hint="build it with the functional API or Sequential; "
            "or model.export(FOLDER), and convert the folder: it is quantised by calibration",
        )


def _manifest(
    embedded: Manifest | None,
    spec: ModelSpec | None,
    source: Path,
    digest: str,
    recipe: Mapping[str, Any] | None = None,
) -> Manifest | None:
    if spec is None:
        return embedded
    if embedded is None:
        return manifest_for(spec, recipe=recipe or import_of(source), source_sha256=digest)
    return dataclasses.replace(embedded, spec=spec)


def _check_spec(model: Any, spec: ModelSpec, source: Path) -> None:
    shapes = [tuple(tensor.shape)[1:] for tensor in model.inputs]
    for only, place in zip(spec.inputs, bind_inputs(spec, input_names(model), str(source)), strict=True):
        if shapes[place] != tuple(only.shape):
            raise ConfigError(
                f"{source}: the spec's shape of input '{only.name}' is {only.shape}, the model takes {shapes[place]}"
            )
    check_heads(model, spec, where=str(source))
    bound = bind_outputs(spec, output_names(model), str(source))
    for head, places in zip(spec.heads, bound, strict=True):
        try:
            task_of(head).check(head, [(1, *model.outputs[place].shape[1:]) for place in places])
        except UnsupportedModelError as error:
            raise ConfigError(f"{source}: {error.message}", hint=error.hint) from error


def _repack(archive: bytes, manifest: Manifest | None, weights: Sequence[Array]) -> bytes:
    """Return the archive with the manifest, if there is one, and without the clock: fixed dates, sorted by name."""
    with zipfile.ZipFile(io.BytesIO(archive)) as old:
        members = {name: old.read(name) for name in old.namelist()}
    metadata = json.loads(members["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
    members |= {"metadata.json": json.dumps(metadata).encode()}
    if manifest is not None:
        members |= {MEMBER: to_json(manifest).encode()}
    if wrapped.is_wrapped(json.loads(members["config.json"])):
        members |= {f"{WEIGHTS}{i:05d}.npy": _npy(value) for i, value in enumerate(weights)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name in sorted(members):
            new.writestr(zipfile.ZipInfo(name, EPOCH), members[name])
    return out.getvalue()


def _npy(array: Array) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()
