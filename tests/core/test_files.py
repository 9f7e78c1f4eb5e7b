"""Writing is all or nothing: on errors, on a full disk and under SIGKILL."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edgecv.core import files
from edgecv.core.errors import ConfigError

SLOW_WRITER = """
import sys, time
from edgecv.core import files
with files.atomic_path(sys.argv[1]) as partial:
    partial.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_write_replaces_the_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "m.bin"
    files.write_bytes(target, b"one")
    files.write_bytes(target, b"two")
    assert target.read_bytes() == b"two"
    assert [p.name for p in tmp_path.iterdir()] == ["m.bin"]


def test_an_error_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "m.bin"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), files.atomic_path(target) as partial:
        partial.write_bytes(b"half")
        raise RuntimeError("converter failed")
    assert target.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["m.bin"]


def test_a_killed_writer_leaves_no_half_file_and_its_leftover_is_removed_next_time(tmp_path: Path) -> None:
    target = tmp_path / "m [1]*.tflite"
    writer = subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(target)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 1, "the killed writer's partial file should still be there"
    files.write_bytes(target, b"whole")
    assert [p.name for p in tmp_path.iterdir()] == [target.name]


def test_a_living_writers_partial_is_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "m.bin"
    with subprocess.Popen([sys.executable, "-c", SLOW_WRITER, str(target)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        files.remove_partials(target)
        left = [p.name for p in tmp_path.iterdir()]
        writer.kill()
    assert len(left) == 1


def test_a_full_disk_is_one_clear_error_and_nothing_is_left(tmp_path: Path) -> None:
    # A file size limit makes the kernel refuse the write as a full disk does, without needing to be root.
    script = (
        "import resource, signal, sys\n"
        "from edgecv.core import files\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
        "try:\n    files.write_bytes(sys.argv[1], b'x' * 5000)\n"
        "except Exception as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "m.bin")], capture_output=True, text=True)
    assert done.stdout.startswith("ConfigError cannot write")
    assert list(tmp_path.iterdir()) == []


def test_dev_full_is_reported_as_a_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with pytest.raises(ConfigError, match="the disk is full"), files.atomic_path(tmp_path / "m.bin") as partial:
        partial.symlink_to("/dev/full")
        partial.write_bytes(b"x")


def test_an_existing_output_needs_force(tmp_path: Path) -> None:
    target = tmp_path / "m.bin"
    target.write_bytes(b"old")
    with pytest.raises(ConfigError, match="already exists"):
        files.check_output(target, force=False)
    assert files.check_output(target, force=True) == target


def test_a_file_where_a_folder_is_needed_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="a part of the path is a file"):
        files.check_output(tmp_path / "file" / "m.bin", force=False)


def test_a_name_that_no_file_can_have_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the name is too long"):
        files.check_output(tmp_path / f"{'m' * 300}.bin", force=False)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="it is a folder"):
        files.write_bytes(tmp_path / "folder", b"one")


@pytest.mark.parametrize("empty", ["", ".", "/"])
def test_a_path_without_a_name_is_explained(empty: str) -> None:
    with pytest.raises(ConfigError, match="names no file"):
        files.check_output(empty, force=True)
    with pytest.raises(ConfigError, match="names no file"):
        files.write_text(empty, "x")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
def test_a_folder_that_takes_no_files_is_explained() -> None:
    with pytest.raises(ConfigError, match="takes no files"):
        files.check_output("/proc/edgecv.keras", force=False)


def test_a_read_only_folder_is_explained(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    if os.geteuid() == 0:
        pytest.skip("root writes to read-only folders; tests/cli refuses one that not even root can write")
    with pytest.raises(ConfigError, match="permission denied"):
        files.check_output(folder / "m.bin", force=False)


def test_sha256_of_a_folder_depends_on_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "a").write_bytes(b"1")
    first = files.sha256(folder)
    (folder / "a").rename(folder / "b")
    renamed = files.sha256(folder)
    (folder / "b").write_bytes(b"2")
    assert len({first, renamed, files.sha256(folder)}) == 3


def test_reading_what_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        files.read_bytes(tmp_path / "nothing", what="model")


def test_partials_of_long_dead_processes_go(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    leftover = tmp_path / f".m.bin.partial-{dead.pid}.bin"
    leftover.write_bytes(b"half")
    files.remove_partials(tmp_path / "m.bin")
    assert not leftover.exists()
