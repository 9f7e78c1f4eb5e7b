from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.runtime.container import check_tflite, read_manifest, sniff
from edgecv.values.manifest import to_json

from .conftest import manifest


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "m.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("config.json", "{}")
        out.writestr("edgecv.json", to_json(manifest("keras", "float32")))
    return path


class TestReading:
    def test_tflite(self, files):
        assert sniff(files.float32) == "tflite"
        assert read_manifest(files.float32) == manifest("tflite", "float32")

    def test_onnx(self, files):
        assert sniff(files.onnx) == "onnx"
        assert read_manifest(files.onnx) == manifest("onnx", "float32")

    def test_keras(self, archive):
        assert sniff(archive) == "keras"
        assert read_manifest(archive) == manifest("keras", "float32")

    def test_format_is_told_by_content_and_not_by_name(self, files, tmp_path):
        shutil.copy(files.float32, tmp_path / "m.onnx")
        assert sniff(tmp_path / "m.onnx") == "tflite"

    def test_files_without_a_manifest(self, files, tmp_path):
        from .conftest import onnx_model

        (tmp_path / "m.onnx").write_bytes(onnx_model(None))
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as out:
            out.writestr("config.json", "{}")
        for path in (files.bare, tmp_path / "m.onnx", tmp_path / "m.keras"):
            assert read_manifest(path) is None

    def test_matches_the_packages_that_own_the_formats(self, files):
        """Parity: what flatbuffers' and onnx's own readers find."""
        import onnx
        from ai_edge_litert import schema_py_generated as schema

        model = schema.ModelT.InitFromPackedBuf(files.int8.read_bytes(), 0)
        entry = next(item for item in model.metadata if item.name == b"edgecv")
        assert bytes(model.buffers[entry.buffer].data).decode() == to_json(read_manifest(files.int8))
        properties = {item.key: item.value for item in onnx.load(files.onnx).metadata_props}
        assert properties["edgecv"] == to_json(read_manifest(files.onnx))

    def test_a_buffer_after_the_flatbuffer(self, files, tmp_path):
        """Files above 2 GB keep their buffers behind the flatbuffer, by offset and size."""
        from ai_edge_litert import schema_py_generated as schema

        from edgecv.convert.tflite import flatbuffer

        model = schema.ModelT.InitFromPackedBuf(files.float32.read_bytes(), 0)
        buffer = model.buffers[next(item for item in model.metadata if item.name == b"edgecv").buffer]
        content, buffer.data = bytes(buffer.data), None
        buffer.offset, buffer.size = 1 << 20, len(content)
        packed = flatbuffer.pack(model)
        (tmp_path / "big.tflite").write_bytes(packed.ljust(1 << 20, b"\0") + content)
        assert read_manifest(tmp_path / "big.tflite") == manifest("tflite", "float32")
        (tmp_path / "cut.tflite").write_bytes(packed)
        with pytest.raises(UnsupportedModelError):
            check_tflite(tmp_path / "cut.tflite")


class TestRefused:
    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"this is a text file, not a model\n" * 10,
            b"\x00" * 64,
            b"PK\x03\x04" + bytes(60),
            b"\x89HDF\r\n\x1a\n" + bytes(60),
            b"\x08\x08",
            b"\x08\x08\x3a\x00" * 3 + b"\x3a\x7f",
            bytes(range(256)),
        ],
    )
    def test_what_is_no_model(self, tmp_path, content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(UnsupportedModelError, match=r"model\.onnx"):
            sniff(path)

    def test_missing_and_folder(self, tmp_path):
        with pytest.raises(ConfigError, match="does not exist"):
            sniff(tmp_path / "none.tflite")
        with pytest.raises(ConfigError, match="folder"):
            read_manifest(tmp_path)

    def test_a_zip_without_a_model(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "a.keras", "w") as out:
            out.writestr("readme.txt", "")
        with pytest.raises(UnsupportedModelError, match="without a Keras model"):
            sniff(tmp_path / "a.keras")

    @pytest.mark.parametrize(
        "content",
        [
            b"{",
            b"[]",
            b"null",
            b'{"schema": "edgecv.manifest/99"}',
            b'{"schema": "edgecv.manifest/1"}',
            b"\xff",
        ],
    )
    def test_a_bad_manifest(self, archive, tmp_path, content):
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as out:
            out.writestr("config.json", "{}")
            out.writestr("edgecv.json", content)
        with pytest.raises(UnsupportedModelError, match="manifest"):
            read_manifest(tmp_path / "m.keras")

    @pytest.mark.parametrize("key", ["spec", "provenance", "golden"])
    @pytest.mark.parametrize("value", [3, None, [], {}, [[1]], {"a": []}])
    def test_a_manifest_of_wrong_types(self, tmp_path, key, value):
        document = json.loads(to_json(manifest("keras", "float32")))
        document[key] = value
        with zipfile.ZipFile(tmp_path / "m.keras", "w") as out:
            out.writestr("config.json", "{}")
            out.writestr("edgecv.json", json.dumps(document))
        assert "m.keras" in attempt(read_manifest, tmp_path / "m.keras")

    @pytest.mark.parametrize("share", [0.01, 0.3, 0.6, 0.9, 0.99])
    def test_truncated_tflite(self, files, tmp_path, share):
        data = files.int8.read_bytes()
        path = _put(tmp_path, data[: int(len(data) * share)])
        with pytest.raises(UnsupportedModelError):
            check_tflite(path)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
    def test_truncated_onnx(self, files, tmp_path, share):
        data = files.onnx.read_bytes()
        with pytest.raises(UnsupportedModelError):
            sniff(_put(tmp_path, data[: int(len(data) * share)]))


def attempt(read: Callable[[Path], object], path: Path) -> str:
    """Return our error's message, the file's name when there is none; anything else passes through."""
    try:
        read(path)
    except EdgecvError as error:
        return str(error)
    return path.name


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_raises_anything_but_our_errors(files, archive, tmp_path, data):
    source = data.draw(st.sampled_from([files.float32, files.int8, files.onnx, archive]))
    content = bytearray(source.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=6)):
        content[place] = data.draw(st.integers(0, 255))
    path = _put(tmp_path, bytes(content[: data.draw(st.integers(0, len(content)))]))
    for read in (sniff, read_manifest, check_tflite):
        assert path.name in attempt(read, path)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200), st.sampled_from([b"", b"\0\0\0\0TFL3", b"\x10\0\0\0TFL3", b"PK\x03\x04", b"\x08\x08"]))
def test_no_bytes_raise_anything_but_our_errors(tmp_path, content, start):
    path = _put(tmp_path, start + content)
    for read in (sniff, read_manifest, check_tflite):
        assert path.name in attempt(read, path)


def _put(folder: Path, data: bytes) -> Path:
    path = folder / "damaged.bin"
    path.write_bytes(data)
    return path
