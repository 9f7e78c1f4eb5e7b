import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.data import open_dataset
from edgecv.data.scenes import enlarged


@pytest.fixture(scope="module", params=["scenes", "scenes:one"])
def scenes(request):
    return open_dataset(request.param)


def test_sizes_and_targets(scenes):
    assert {name: len(split) for name, split in scenes.splits.items()} == {
        "train": 2000, "validation": 300, "test": 400
    }  # fmt: skip
    assert [(t.name, t.task, len(t.labels)) for t in scenes.targets] == [
        ("objects", "detection", 10), ("mask", "segmentation", 11), ("digit", "classification", 10),
        ("identity", "embedding", 10),
    ]  # fmt: skip
    counts = {len(found) for found in scenes.split("test").targets[0]}
    assert counts == ({1} if scenes.name == "scenes:one" else {1, 2, 3})


def test_truths_agree(scenes):
    split = scenes.split("test")
    for index in range(60):
        objects, mask, digit, identity = split.record(index).truths
        image = split.image(index)
        assert (image.dtype, image.shape, mask.shape) == (np.uint8, (64, 64), (64, 64))
        assert digit == identity == objects.class_id[0]
        areas = np.prod(objects.xyxy[:, 2:] - objects.xyxy[:, :2], axis=1)
        sides = (objects.xyxy[:, 3] - objects.xyxy[:, 1]).tolist()
        assert max(sides) == sides[0]
        covered = np.zeros_like(mask)
        for (x1, y1, x2, y2), label in zip(objects.xyxy.astype(int), objects.class_id, strict=True):
            window = mask[y1:y2, x1:x2]
            ink = window == label + 1
            # Tight: ink on every side.
            assert ink[0].any()
            assert ink[-1].any()
            assert ink[:, 0].any()
            assert ink[:, -1].any()
            covered[y1:y2, x1:x2] = 1
        assert not mask[covered == 0].any()
        assert areas.min() > 40


def test_ink_is_told_from_what_is_behind_it_by_its_tone(scenes):
    """Within a digit's box, one threshold finds nearly all of the mask."""
    split = scenes.split("validation")
    right = []
    for index in range(80):
        objects, mask, _, _ = split.record(index).truths
        for x1, y1, x2, y2 in objects.xyxy.astype(int):
            pixels, ink = split.image(index)[y1:y2, x1:x2].astype(float), mask[y1:y2, x1:x2] > 0
            if ink.all():
                continue
            middle = (np.median(pixels[ink]) + np.median(pixels[~ink])) / 2
            found = pixels > middle if np.median(pixels[ink]) > middle else pixels < middle
            right.append((found == ink).mean())
    assert np.mean(right) > 0.93


def test_the_same_seed_gives_the_same_scenes_and_another_seed_others(scenes):
    from edgecv.data.scenes import _split

    first = {name: split.sha256 for name, split in scenes.splits.items()}
    _split.cache_clear()
    assert {name: split.sha256 for name, split in open_dataset(scenes.uri).splits.items()} == first
    assert len(set(first.values())) == 3
    assert open_dataset(scenes.uri, seed=1).split("validation").sha256 != first["validation"]


def test_scans_are_enlarged_without_losing_their_shape():
    scan = np.zeros((8, 8))
    scan[2:6, 3:5] = 200
    found = enlarged(scan, 32)
    assert (found.min(), found.max()) == (0, 1)
    assert (found > 0.5).sum() == pytest.approx(16 * 8, abs=12)
    assert np.allclose(found, found[::-1, ::-1])
    assert np.allclose(enlarged(scan, 8)[2:6, 3:5], 1)


def test_other_scenes_are_refused():
    with pytest.raises(ConfigError) as caught:
        open_dataset("scenes:two")
    assert "scenes or scenes:one" in caught.value.hint
