import struct

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio.darknet import Header, Weights, plan, read_cfg, read_weights, write_weights

from .networks import V3, conv, net, written

VERSIONS = [
    Header(seen=7),
    Header(minor=1, seen=7),
    Header(major=1, minor=0, seen=2**40),
    Header(major=0, minor=2, revision=5),
]


@pytest.mark.parametrize("header", VERSIONS, ids=lambda h: f"{h.major}.{h.minor}.{h.revision}")
def test_what_is_read_is_written_bit_for_bit(header, tmp_path):
    cfg, file, arrays = written(tmp_path, V3, header=header)
    blobs = plan(read_cfg(cfg)).blobs
    found = read_weights(file, blobs)
    assert found.header == header
    assert all((found.arrays[key] == arrays[key]).all() for key in arrays)
    again = tmp_path / "again.weights"
    write_weights(again, found, blobs)
    assert again.read_bytes() == file.read_bytes()


def test_the_file_by_hand(tmp_path):
    """Three int32, `seen` of 64 bits from version 0.2 on, then bias, scale, mean, variance and the kernel of OIHW."""
    cfg = tmp_path / "net.cfg"
    cfg.write_text(net(4, 4, 1) + conv(1, 3))
    values = [float(number) for number in range(13)]
    for major, minor, seen in ((0, 2, "<q"), (0, 1, "<i"), (1, 0, "<q")):
        content = struct.pack("<3i", major, minor, 0) + struct.pack(seen, 9) + struct.pack("<13f", *values)
        file = tmp_path / "net.weights"
        file.write_bytes(content)
        found = read_weights(file, plan(read_cfg(cfg)).blobs)
        assert found.header.seen == 9
        names = ("bias", "scale", "mean", "variance")
        assert [float(found.arrays[0, name][0]) for name in names] == [0, 1, 2, 3]
        assert found.arrays[0, "kernel"].reshape(-1).tolist() == values[4:]


def test_dense_kernels_of_old_files_are_the_other_way_round(tmp_path):
    header = Header(major=1001, minor=0)
    cfg, file, arrays = written(tmp_path, net(2, 2, 1) + "[connected]\noutput=3\nactivation=linear\n", header=header)
    blobs = plan(read_cfg(cfg)).blobs
    stored = np.frombuffer(file.read_bytes(), "<f4", offset=16 + 4 * 3)
    assert (arrays[0, "kernel"] == stored.reshape(4, 3).T).all()
    found = read_weights(file, blobs)
    assert (found.arrays[0, "kernel"] == arrays[0, "kernel"]).all()
    assert not header.wide


@pytest.mark.parametrize("change", [-1, -4, 1, 4])
def test_another_length_is_an_error_with_both_sizes(change, tmp_path):
    cfg, file, _ = written(tmp_path, V3)
    content = file.read_bytes()
    file.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(
        UnsupportedModelError, match=f"expected {len(content):,} bytes, found {len(content) + change:,}"
    ):
        read_weights(file, plan(read_cfg(cfg)).blobs)


def test_no_weights_file(tmp_path):
    cfg, file, arrays = written(tmp_path, V3)
    blobs = plan(read_cfg(cfg)).blobs
    file.write_bytes(b"abc")
    with pytest.raises(UnsupportedModelError, match="expected at least 20 bytes, found 3"):
        read_weights(file, blobs)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_weights(tmp_path / "missing", blobs)
    arrays.pop((0, "mean"))
    with pytest.raises(ConfigError, match=r"layer 0: expected a mean of \(8,\), got none"):
        write_weights(file, Weights(header=Header(), arrays=arrays), blobs)
