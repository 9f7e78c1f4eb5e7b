"""Files that travel behind a .tflite, such as lists of labels: a zip archive at its end.

Interpreters do not read that far, and an archive is found from its end. Source: TFLite Metadata, "associated files",
mediapipe/tasks/cc/metadata/metadata_populator.cc.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_DATE = (1980, 1, 1, 0, 0, 0)
"""Of every member: the least that an archive holds, so that the same files give the same bytes."""
LARGEST = 1 << 26
"""Bytes of a file that is kept: far above any list of labels, far below what a crafted archive can grow to."""


def with_files(data: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return a file with an archive of files behind it, stored without compression, as MediaPipe reads them."""
    if not files:
        return data
    whole = io.BytesIO(data)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return whole.getvalue()


def files_of(data: bytes) -> dict[str, bytes]:
    """Return the files of the archive behind a .tflite; none where there is no archive, or a damaged one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [info for info in archive.infolist() if info.file_size <= LARGEST]
            return {info.filename: archive.read(info) for info in members}
    # zipfile and zlib answer damage with some ten kinds of exceptions.
    except Exception:
        return {}
