"""The same windows as OpenCV's, for every cascade that it ships: needs opencv-python of version 4, and scikit-image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.runtime import load_cascade
from edgecv.runtime.cascade import grouped, scan
from edgecv.runtime.cascade.detector import gray_of
from edgecv.tasks.boxes import iou

cv2 = pytest.importorskip("cv2", reason="OpenCV is the reference")
if not hasattr(cv2, "CascadeClassifier"):
    pytest.skip("this version of OpenCV has no cascades", allow_module_level=True)

FILES = sorted(Path(cv2.data.haarcascades).glob("*.xml"))
OLD = "haarcascade_license_plate_rus_16stages.xml"  # of OpenCV 1


def picture(name: str) -> np.ndarray:
    data = pytest.importorskip("skimage.data", reason="scikit-image has the pictures")
    return np.asarray(getattr(data, name)())


def test_gray_and_smaller_images_are_the_same_to_the_bit() -> None:
    image = picture("astronaut")
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    np.testing.assert_array_equal(gray_of(image), gray)
    for size in ((465, 465), (301, 77), (20, 33)):
        expected = cv2.resize(gray, size[::-1], interpolation=cv2.INTER_LINEAR_EXACT)
        np.testing.assert_array_equal(scan.shrunk(gray, size), expected)


@pytest.mark.parametrize("path", [path for path in FILES if path.name != OLD], ids=lambda path: path.stem[12:])
def test_the_same_windows_pass(path: Path) -> None:
    gray = gray_of(picture("astronaut"))[:300, :300]
    expected = np.asarray(cv2.CascadeClassifier(str(path)).detectMultiScale(gray, 1.1, 0)).reshape(-1, 4)
    found = load_cascade(path, neighbours=0).windows(gray)
    # OpenCV clips to the image, and may leave the lowest row out where threads share the rows.
    found[:, 2:] = np.minimum(found[:, 2:], np.array(gray.shape[::-1]) - found[:, :2])
    own, others = ({tuple(row) for row in rows.tolist()} for rows in (found, expected))
    assert others <= own
    assert len(own - others) <= 0.02 * len(own)


@pytest.mark.parametrize("name", ["haarcascade_frontalface_default", "haarcascade_frontalface_alt2"])
def test_the_astronauts_face_is_found(name: str) -> None:
    path, image = Path(cv2.data.haarcascades) / f"{name}.xml", picture("astronaut")
    found = load_cascade(path, label="face").predict(image)
    (face,) = cv2.CascadeClassifier(str(path)).detectMultiScale(gray_of(image), 1.1, 3).tolist()
    x, y, width, height = face
    assert found.names[0] == "face"
    assert iou(found.xyxy, np.array([[x, y, x + width, y + height]])).max() > 0.99
    np.testing.assert_allclose(found.xyxy[0], [165, 60, 285, 180], atol=20)


def test_groups_are_the_same() -> None:
    rng = np.random.default_rng(0)
    places = rng.integers(0, 40, (3, 2))[rng.integers(0, 3, 60)] + rng.integers(0, 4, (60, 2))
    windows = np.concatenate([places, np.repeat(rng.integers(10, 30, (60, 1)), 2, axis=1)], axis=1)
    for neighbours in (1, 2, 3):
        expected, counts = cv2.groupRectangles(windows.tolist(), neighbours, 0.2)
        found, own = grouped(windows, neighbours)
        assert sorted(zip(map(tuple, found.tolist()), own.tolist())) == sorted(
            zip(map(tuple, np.asarray(expected).tolist()), np.asarray(counts).reshape(-1).tolist())
        )
