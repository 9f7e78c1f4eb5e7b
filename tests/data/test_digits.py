import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.data import describe, open_dataset


@pytest.fixture(scope="module")
def digits():
    return open_dataset("digits")


def test_sizes_and_balance(digits):
    summary = describe(digits)
    assert sum(map(sum, summary.counts.values())) == 1797
    assert len(digits.split("test")) >= 360
    assert min(summary.counts["test"]) >= 35
    assert summary.imbalance < 1.1


def test_images_are_the_scans_scaled_to_255(digits):
    from sklearn.datasets import load_digits

    images = {split.image(i).tobytes() for split in digits.splits.values() for i in range(len(split))}
    expected = np.floor(load_digits().images * 255 / 16 + 0.5).astype(np.uint8)
    assert images == {image.tobytes() for image in expected}
    image = digits.split("test").image(0)
    assert image.dtype == np.uint8
    assert image.shape == (8, 8)


def test_reopening_gives_the_same_content_hash_and_another_seed_does_not(digits):
    again, other = open_dataset("digits"), open_dataset("digits", seed=1)
    for name, split in digits.splits.items():
        assert again.split(name).sha256 == split.sha256
        assert other.split(name).sha256 != split.sha256


def test_iteration_yields_images_with_their_labels(digits):
    split = digits.split("validation")
    pairs = list(split)
    assert [label for _, label in pairs] == split.labels.tolist()
    assert (pairs[3][0] == split.image(3)).all()


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("digit", "did you mean 'digits'"),
        ("digits:x", "form digits"),
        ("npz:", "form npz:PATH"),
        ("folder", "folder:PATH"),
    ],
)
def test_wrong_addresses(uri, hint):
    with pytest.raises(ConfigError) as caught:
        open_dataset(uri)
    assert hint in caught.value.hint


def test_a_bare_path_is_answered_with_its_address(tmp_path):
    with pytest.raises(ConfigError) as caught:
        open_dataset(str(tmp_path))
    assert caught.value.hint == f"write folder:{tmp_path}"


def test_an_unknown_split_names_the_known_ones(digits):
    with pytest.raises(ConfigError, match="known: test, train, validation"):
        digits.split("valid")
