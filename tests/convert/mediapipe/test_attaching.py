"""Metadata beside the manifest, and files behind the model: both survive, and interpreters do not notice."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgecv.convert.converted import converted_tflite
from edgecv.convert.embed import embed_tflite
from edgecv.convert.mediapipe import attach, describe, has_metadata, without_metadata
from edgecv.convert.tflite.associated_files import files_of, with_files
from edgecv.graphs import read_tflite
from edgecv.runtime import load, read_manifest
from edgecv.runtime.container import check_tflite, sniff
from tests.mediapipe_files import SIDE, file_of, spec_of

ROOT = Path(__file__).parents[3]
ROOM = 1 << 10
"""Bytes that metadata of a handful of labels may take."""


def attached(kind: str = "classifier") -> tuple[bytes, bytes]:
    data = file_of(kind)
    ends = converted_tflite(data)
    return data, attach(data, describe(spec_of(kind), ends.inputs, ends.outputs))


def test_the_manifest_and_the_network_stay(tmp_path):
    plain, data = attached()
    before, after = tmp_path / "plain.tflite", tmp_path / "with.tflite"
    before.write_bytes(plain)
    after.write_bytes(data)
    check_tflite(after)
    assert sniff(after) == "tflite"
    assert read_manifest(after) == read_manifest(before)
    assert read_tflite(plain).ops == read_tflite(data).ops
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    with load(before) as one, load(after) as other:
        np.testing.assert_array_equal(one.predict(image).scores, other.predict(image).scores)


def test_labels_are_stored_behind_the_file_and_cost_little():
    plain, data = attached()
    assert files_of(data) == {"labels.txt": b"ape\nbee\ncat\ndog\n"}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:  # MediaPipe reads them in place
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    assert 0 < len(data) - len(plain) < ROOM


def test_the_same_file_gives_the_same_bytes_and_a_second_time_replaces():
    _plain, data = attached()
    assert data == attached()[1]
    ends = converted_tflite(data)
    assert attach(data, describe(spec_of("classifier"), ends.inputs, ends.outputs)) == data


def test_it_can_be_taken_away():
    plain, data = attached()
    assert has_metadata(data)
    assert not has_metadata(without_metadata(data))
    assert files_of(without_metadata(data)) == {}
    assert read_tflite(without_metadata(data)).ops == read_tflite(plain).ops


def test_a_new_manifest_keeps_metadata_and_files(tmp_path):
    _, data = attached()
    path = tmp_path / "a.tflite"
    path.write_bytes(data)
    again = embed_tflite(data, read_manifest(path))
    assert has_metadata(again)
    assert files_of(again) == files_of(data)


@pytest.mark.parametrize("tail", [b"", b"PK\x05\x06", b"PK\x03\x04 no archive"])
def test_what_is_no_archive_has_no_files(tail):
    assert files_of(file_of("classifier") + tail) == {}


def test_a_file_without_files_stays_as_it_is():
    assert with_files(b"abc", {}) == b"abc"


def test_old_interpreters_read_it(tmp_path):
    python = os.environ.get("EDGECV_TFLITE_RUNTIME_PYTHON")
    if not python:
        pytest.skip("EDGECV_TFLITE_RUNTIME_PYTHON names no Python with tflite-runtime (make tflite-runtime)")
    path = tmp_path / "with.tflite"
    path.write_bytes(attached()[1])
    image = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    np.save(tmp_path / "image.npy", image)
    program = (
        "import sys; from edgecv.runtime import load\n"
        "with load(sys.argv[1]) as held: print(*held.predict(sys.argv[2]).scores, sep=',')"
    )
    done = subprocess.run(
        [python, "-c", program, str(path), str(tmp_path / "image.npy")],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    with load(path) as held:
        wanted = held.predict(image).scores
    np.testing.assert_allclose([float(one) for one in done.stdout.split(",")], wanted, atol=1e-6)
