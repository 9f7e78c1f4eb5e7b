"""Gates as data: each `*.toml` in this folder names a report, and each of its checks is one test.

Add a file with `edgecv check tests/conformance/NAME.toml --record REPORT.json`, then set its tolerances.
"""

from pathlib import Path

import pytest

from edgecv import gates

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.toml"))


def checks():
    for file in FILES:
        named = gates.load(file).report
        report = FOLDER / named if named else None
        if report is None or not report.is_file():
            reason = f"{file.name}: its report {named} is not there; make it first (make demo NETWORK=lenet5)"
            yield pytest.param(None, id=file.stem, marks=pytest.mark.skip(reason=reason))
            continue
        for result in gates.check(file).results:
            yield pytest.param(result, id=f"{file.stem}-{result.artifact}-{result.figure}")


@pytest.mark.skipif(not FILES, reason="no gates file in tests/conformance")
@pytest.mark.parametrize("result", list(checks()))
def test_gate(result):
    assert result.passed, f"{result.where}: {result.artifact}: {result.figure}: {result.message}\n  hint: {result.hint}"


def test_every_gates_file_parses():
    for file in FILES:
        assert gates.load(file).gate
