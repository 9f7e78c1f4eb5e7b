import pytest

from edgecv.core.sizes import size_text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "unknown"), (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (71_000, "69.3 KiB"),
        (1 << 20, "1.0 MiB"), (5 << 40, "5.0 TiB"), (1 << 60, "1048576.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_are_in_powers_of_1024(count, text):
    assert size_text(count) == text
