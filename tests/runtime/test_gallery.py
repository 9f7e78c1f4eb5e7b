"""Galleries: enrolling, finding, rejecting, thresholds, and files that are refused with the reason."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, DataError
from edgecv.runtime import Gallery, Match
from edgecv.runtime.gallery_origin import Origin, file_origin
from edgecv.tasks.embedding import Embedding
from edgecv.tasks.embedding.thresholds import calibrated
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.specs import Head, one_input

ORIGIN = Origin("encoder", "canonical", "a" * 64, "b" * 64)


def gallery(**changes: Any) -> Gallery:
    options: dict[str, Any] = {"length": 2, "measure": "euclidean", "threshold": 0.5, **changes}
    return Gallery(ORIGIN, **options)


def spec(**settings: Any) -> Any:
    head = Head(name="embedding", task="embedding", activation="linear", settings=settings)
    return one_input(name="encoder", input_shape=(4,), heads=(head,))


@pytest.fixture
def two() -> Gallery:
    made = gallery()
    made.enrol("ada", [np.array([0.0, 1.0]), np.array([0.0, 2.0])])
    made.enrol("bob", Embedding(np.array([3.0, 0.0], np.float32)))
    return made


def test_the_nearest_is_found_and_a_stranger_rejected(two: Gallery) -> None:
    assert two.identify(np.array([0.0, 1.8])) == Match("ada", pytest.approx(0.2, abs=1e-6), True, 0.5)
    found = two.identify(np.array([3.0, 4.0]))
    assert (found.label, found.distance, found.known) == ("ada", pytest.approx(np.sqrt(13)), False)
    # Not closer than the threshold is not known: the limit itself is outside.
    assert not two.identify(np.array([3.0, 0.5])).known


def test_the_search_is_that_of_a_loop() -> None:
    rng = np.random.default_rng(0)
    for measure in ("euclidean", "cosine"):
        made = gallery(length=7, measure=measure)
        held, asked = rng.normal(5, 1, (40, 7)), rng.normal(5, 1, (25, 7))
        for place, vector in enumerate(held):
            made.enrol(f"p{place}", vector)
        for match, vector in zip(made.identify_many(asked), asked, strict=True):
            if measure == "euclidean":
                apart = [np.linalg.norm(vector - other) for other in held]
            else:
                apart = [1 - vector @ o / np.linalg.norm(vector) / np.linalg.norm(o) for o in held]
            assert match.label == f"p{int(np.argmin(apart))}"
            assert match.distance == pytest.approx(min(apart), abs=1e-6)


def test_removing_forgets_all_vectors_of_a_label(two: Gallery) -> None:
    assert two.remove("ada") == 2
    assert two.counts() == {"bob": 1}
    assert two.identify(np.array([0.0, 1.0])).label == "bob"
    with pytest.raises(ConfigError, match="unknown label 'bpb'") as error:
        two.remove("bpb")
    assert "did you mean 'bob'" in error.value.hint


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros(3), r"vectors of 2 values, got \(3,\)"),
        (np.array([np.nan, 0.0]), "NaN or infinity"),
        (Embedding(np.zeros(2, np.float32), measure="cosine"), "compared by cosine"),
        (Embedding(np.zeros(2, np.float32), normalised=True), "made of length 1"),
        ("ada.png", "a vector is 2 numbers, got str"),
    ],
)
def test_vectors_that_do_not_fit_are_refused(two: Gallery, given: Any, said: str) -> None:
    for act in (two.identify, lambda vector: two.enrol("eve", vector)):
        with pytest.raises(DataError, match=said):
            act(given)
    assert len(two) == 3


def test_nothing_and_nobody() -> None:
    empty = gallery()
    with pytest.raises(DataError, match="gallery is empty"):
        empty.identify(np.zeros(2))
    with pytest.raises(DataError, match="no vectors to enrol"):
        empty.enrol("ada", [])
    with pytest.raises(ConfigError, match="label is empty"):
        empty.enrol(" ", np.zeros(2))
    with pytest.raises(DataError, match="two identities"):
        empty.calibrate(0.1)
    with pytest.raises(ConfigError, match="finite distance"):
        empty.threshold = float("nan")


def test_a_threshold_by_hand() -> None:
    impostor = np.arange(1.0, 101.0)
    distances = np.concatenate([impostor, [0.5, 2.5, 3.5, 200.0]])
    same = np.arange(104) >= 100
    found = calibrated(distances, same, 0.03)
    # Three of 100 may pass: 1, 2, 3; the fourth is the limit. Of the genuine ones 0.5, 2.5 and 3.5 are closer.
    assert (found.threshold, found.far, found.tar) == (4.0, 0.03, 0.75)
    assert (found.genuine, found.impostor, found.resolved) == (4, 100, False)
    assert calibrated(distances, same, 0.1).resolved
    none = calibrated(distances, same, 0.001)
    assert (none.threshold, none.far) == (1.0, 0.0)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        calibrated(distances, same, 1.0)
    with pytest.raises(DataError, match="two samples of one identity"):
        calibrated(impostor, np.zeros(100, bool), 0.1)


def test_calibrating_sets_the_threshold_by_enrolled_or_other_vectors(two: Gallery) -> None:
    assert two.calibrate(0.1).threshold == two.threshold == pytest.approx(np.sqrt(10))
    other = two.calibrate(0.1, vectors=np.array([[0, 0], [0, 1], [9, 0]]), labels=("x", "x", "y"))
    assert (other.threshold, other.tar, two.threshold) == (9.0, 1.0, 9.0)
    with pytest.raises(ConfigError, match="1 vectors and 0 labels"):
        two.calibrate(0.1, vectors=np.zeros((1, 2)))


def test_a_file_gives_the_same_gallery(two: Gallery, tmp_path: Path) -> None:
    two.enrol("Åse\n", np.array([1.0, 1.0]))
    two.threshold = 0.75
    two.save(tmp_path / "g.npz")
    again = Gallery.load(tmp_path / "g.npz")
    assert (again.labels, again.threshold, again.origin) == (two.labels, 0.75, ORIGIN)
    assert np.array_equal(again.vectors, two.vectors)
    assert again.vectors.dtype == np.float32
    assert [path.name for path in tmp_path.iterdir()] == ["g.npz"]


def test_damaged_and_foreign_files_are_refused(two: Gallery, tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    two.save(path)
    whole = path.read_bytes()
    with np.load(io.BytesIO(whole)) as arrays:
        parts = dict(arrays)
    header = json.loads(parts["header"].tobytes())

    def refused(**changes: Any) -> str:
        np.savez(path, **{**parts, **changes})
        with pytest.raises(DataError) as error:
            Gallery.load(path)
        return str(error.value)

    def headed(**changes: Any) -> Any:
        return np.frombuffer(json.dumps({**header, **changes}).encode(), np.uint8)

    assert "edgecv.gallery/9" in refused(header=headed(schema="edgecv.gallery/9"))
    assert "float64" in refused(vectors=parts["vectors"].astype(np.float64))
    assert "exceed its 2 labels" in refused(codes=parts["codes"] + 1)
    assert "NaN" in refused(vectors=parts["vectors"] * np.float32(np.nan))
    assert "expected one int64" in refused(codes=parts["codes"][:1])
    assert "no gallery" in refused(vectors=np.array([{"a": 1}], dtype=object))
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            Gallery.load(path)
    with pytest.raises(ConfigError, match="does not exist"):
        Gallery.load(tmp_path / "none.npz")


def test_vectors_of_another_network_are_refused(two: Gallery) -> None:
    two.check(spec(), ORIGIN, 2)
    two.check(spec(), dataclasses.replace(ORIGIN, file_sha256="c" * 64), 2)
    with pytest.raises(ConfigError, match="cannot be compared"):
        two.check(spec(), dataclasses.replace(ORIGIN, sha256="c" * 64), 2)
    with pytest.raises(ConfigError, match="by cosine distance"):
        two.check(spec(distance="cosine"), ORIGIN, 2)
    with pytest.raises(ConfigError, match="vectors of 3 values"):
        two.check(spec(), ORIGIN, 3)
    head = Head(name="class", task="classification", activation="probabilities", labels=("a", "b"))
    with pytest.raises(ConfigError, match="is for classification"):
        two.check(one_input(name="c", input_shape=(4,), heads=(head,)), ORIGIN, 2)


@pytest.mark.parametrize(
    ("step", "parents", "source", "expected"),
    [
        ("train", (), None, "own"),
        ("convert", (("train", "t"),), "t", "t"),
        ("convert", (("train", "t"), ("qat", "q")), "q", "t"),
        ("convert", (("train", "t"), ("train", "u")), "u", "u"),
        ("train", (("train", "t"),), "teacher", "own"),
        ("convert", (), "foreign", "foreign"),
    ],
)
def test_a_file_stems_from_the_last_training(
    tmp_path: Path, step: str, parents: tuple[tuple[str, str], ...], source: str | None, expected: str
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(b"weights")
    made = Provenance(
        recipe={"step": step}, tools={}, source_sha256=source,
        parents=tuple({"step": name, "sha256": digest} for name, digest in parents),
    )  # fmt: skip
    manifest = Manifest(spec=spec(), format="tflite", scheme="int8", provenance=made)
    found = file_origin(path, spec(), manifest)
    assert found.sha256 == (found.file_sha256 if expected == "own" else expected)
    assert file_origin(path, spec(), None).sha256 == found.file_sha256
