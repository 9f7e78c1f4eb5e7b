"""The code in docs/android.md is what `edgecv inspect FILE --snippet` writes; MediaPipe's limits are all told."""

from __future__ import annotations

import re
import tempfile
from functools import cache
from pathlib import Path

import pytest

from edgecv.jobs import mediapipe_metadata
from edgecv.jobs.snippets import LANGUAGES, snippet
from tests.mediapipe_files import CONTRACTS, file_of

PAGE = Path(__file__).parents[2] / "docs" / "android.md"


@cache
def code(kind: str, language: str) -> str:
    """Code for a small file of a kind, with metadata."""
    with tempfile.TemporaryDirectory() as folder:
        plain, out = Path(folder) / "plain.tflite", Path(folder) / f"{kind.replace(' ', '-')}.tflite"
        plain.write_bytes(file_of(kind))
        mediapipe_metadata.rewritten(plain, "mediapipe", out=out)
        return snippet(out, language)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.+?)\n```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("language", LANGUAGES)
def test_code_is_what_the_command_writes(language):
    found = blocks(language)
    assert found, f"the page shows no {language}"
    for text in found:
        assert any(text in code(kind, language) for kind in CONTRACTS), f"written anew, it differs:\n{text}"


def test_every_limit_is_on_the_page():
    from edgecv.convert.converted import converted_tflite
    from edgecv.convert.mediapipe import describe
    from tests.mediapipe_files import network, spec_of

    page = " ".join(PAGE.read_text(encoding="utf-8").lower().split())
    for kind in CONTRACTS:
        ends = converted_tflite(network(kind))
        for limit in describe(spec_of(kind), ends.inputs, ends.outputs).limits:
            words = re.split(r"\d|:", limit)[0].strip()  # up to a figure of one file
            assert len(words) > 10
            assert words in page, limit
