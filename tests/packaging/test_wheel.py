"""The wheel holds the package, its data folders and nothing else at top level, and works where it is unpacked."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_only_the_package_lands_in_site_packages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"edgecv"}


def test_the_data_folders_and_the_report_template_travel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "_data/targets/edgetpu.toml",
        "_data/targets/devices/arm64.toml",
        "_data/targets/devices/browser.toml",
        "web/npm/package-lock.json",
        "web/pages/agent.html",
        "web/pages/page.js",
        "web/pages/worker.js",
        "_data/calibration/minmax.toml",
        "report/report.schema.json",
        "py.typed",
        "train/shipped/resnet8.toml",
        "train/style/texture_net.npz",
        "jobs/demos/left/half-int8.toml",
        "zoo/profiles.json",
        "zoo/readiness.json",
        "web/demo/index.html",
        "web/demo/tasks/detection.js",
    ):
        assert f"edgecv/{name}" in names


def test_the_unpacked_wheel_reads_its_packaged_data(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "from edgecv.values import profiles\n"
        "print(profiles.data_folder('targets'))\n"
        "print(profiles.target('edgetpu').name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    folder, name = done.stdout.split()
    assert Path(folder) == tmp_path / "edgecv" / "_data" / "targets"
    assert name == "edgetpu"


def test_requirements_name_no_registry_address() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert all("==" in line and "://" not in line and not line.startswith("-") for line in lines), path
