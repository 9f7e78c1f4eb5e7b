"""Made-up detections, and what COCO's own toolkit says of them.

`python -m tests.tasks.detection.coco` records `coco_golden.json` again; it needs pycocotools (2.0.11 made the file).
"""

import contextlib
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Tuple

import numpy as np

from edgecv.tasks.boxes import Detections, Objects

GOLDEN = Path(__file__).with_name("coco_golden.json")
# In the order of the toolkit's `stats`.
NAMES = "ap ap50 ap75 ap_small ap_medium ap_large ar1 ar10 ar100 ar_small ar_medium ar_large".split()
CLASSES = 5  # of which the last one has no objects

Image = Tuple[Objects, Detections]


def made(seed: int, images: int = 12, *, whole: bool = False) -> List[Image]:
    """Images with crowds, ties of confidence and of overlap, one with 130 detections of a class, and empty ones.

    With `whole` coordinates are whole pixels, which a file holds shortly.
    """
    rng = np.random.default_rng(seed)
    found = [_image(rng, objects=int(rng.integers(0, 7)), stray=int(rng.integers(0, 9))) for _ in range(images - 4)]
    found += [_image(rng, 0, 4), _image(rng, 0, 0), _image(rng, 6, 130, one_class=True)]
    objects, _ = _image(rng, 5, 0)
    found.append((objects, Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, int))))
    if whole:
        found = [_rounded(*image) for image in found]
    return found


def reference(package: str, images: List[Image]) -> Dict[str, Any]:
    """Ask "pycocotools" or "faster_coco_eval": the 12 figures, and AP, AP50, AR100 and recall at 0.5 by class."""
    with contextlib.redirect_stdout(io.StringIO()):
        judge = _evaluator(package, *_files(images))
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    precision, recall = np.asarray(judge.eval["precision"]), np.asarray(judge.eval["recall"])
    rows = zip(precision[:, :, :, 0, -1].mean(axis=(0, 1)), precision[0, :, :, 0, -1].mean(axis=0))
    recalls = zip(recall[:, :, 0, -1].mean(axis=0), recall[0, :, 0, -1])
    classes = [
        dict(zip(("ap", "ap50", "ar100", "recall50"), map(_known, (*row, *last)))) for row, last in zip(rows, recalls)
    ]
    return {"figures": dict(zip(NAMES, map(_known, np.asarray(judge.stats)[:12]))), "per_class": classes}


def golden() -> List[Tuple[List[Image], Dict[str, Any]]]:
    """What is recorded: images and the toolkit's figures of them."""
    cases = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return [([_read(image) for image in case["images"]], case["reference"]) for case in cases]


def _image(rng: Any, objects: int, stray: int, *, one_class: bool = False) -> Image:
    class_id = np.zeros(objects, int) if one_class else rng.integers(0, CLASSES - 1, objects)
    size = np.exp(rng.uniform(np.log(8), np.log(220), (objects, 2)))
    size[::4] = (32, 32)  # on the border of two ranges of areas
    corner = rng.uniform(0, 300, (objects, 2))
    truth = Objects(_corners(corner, size), class_id, rng.random(objects) < 0.2)
    doubled = np.repeat(np.arange(objects), rng.integers(0, 3, objects))
    near = corner[doubled] + rng.normal(0, 0.08, (len(doubled), 2)) * size[doubled]
    shape = size[doubled] * np.exp(rng.normal(0, 0.1, (len(doubled), 2)))
    exact = rng.random(len(doubled)) < 0.2
    near[exact], shape[exact] = corner[doubled][exact], size[doubled][exact]
    confused = np.where(rng.random(len(doubled)) < 0.9, class_id[doubled], rng.integers(0, CLASSES, len(doubled)))
    lost = _corners(rng.uniform(0, 300, (stray, 2)), rng.uniform(10, 120, (stray, 2)))
    other = np.zeros(stray, int) if one_class else rng.integers(0, CLASSES, stray)
    confidence = np.round(rng.uniform(0, 1, len(doubled) + stray), 1 if rng.random() < 0.5 else 4)
    return truth, Detections(
        np.concatenate([_corners(near, shape), lost]), confidence, np.concatenate([confused, other])
    )


def _corners(corner: Any, size: Any) -> Any:
    return np.concatenate([corner, corner + size], axis=1)


def _rounded(truth: Objects, found: Detections) -> Image:
    boxes = np.concatenate([np.round(found.xyxy[:, :2]), np.round(found.xyxy[:, 2:])], axis=1)
    return Objects(np.round(truth.xyxy), truth.class_id, truth.crowd), Detections(
        boxes, found.confidence, found.class_id
    )


def _files(images: List[Image]) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    objects: List[Dict[str, Any]] = []
    results = []
    for number, (truth, found) in enumerate(images):
        for box, kind, crowd in zip(truth.xyxy, truth.class_id, np.asarray(truth.crowd)):
            # The toolkit takes the number 0 for no match.
            entry = {"id": len(objects) + 1, "image_id": number, "category_id": int(kind), "bbox": _sized(box)}
            objects.append({**entry, "area": entry["bbox"][2] * entry["bbox"][3], "iscrowd": int(crowd)})
        for box, kind, score in zip(found.xyxy, found.class_id, found.confidence):
            results.append({"image_id": number, "category_id": int(kind), "bbox": _sized(box), "score": float(score)})
    categories = [{"id": index, "name": str(index)} for index in range(CLASSES)]
    pictures = [{"id": index, "width": 640, "height": 640} for index in range(len(images))]
    return {"info": {}, "images": pictures, "annotations": objects, "categories": categories}, results


def _sized(box: Any) -> List[float]:
    x1, y1, x2, y2 = map(float, box)
    return [x1, y1, x2 - x1, y2 - y1]


def _evaluator(package: str, objects: Dict[str, Any], results: List[Dict[str, Any]]) -> Any:
    if package == "faster_coco_eval":
        from faster_coco_eval import COCO, COCOeval_faster

        truth = COCO(objects)
        return COCOeval_faster(truth, truth.loadRes(results), iouType="bbox")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = objects
    truth.createIndex()
    return COCOeval(truth, truth.loadRes(results), "bbox")


def _known(value: Any) -> Any:
    """The toolkit says -1 where nothing is to be found."""
    return None if value < 0 else float(value)


def _told(image: Image) -> Dict[str, Any]:
    truth, found = image
    return {
        "objects": [
            [*map(int, box), int(kind), int(crowd)]
            for box, kind, crowd in zip(truth.xyxy, truth.class_id, np.asarray(truth.crowd))
        ],
        "detections": [
            [*map(int, box), int(kind), round(float(score), 4)]
            for box, kind, score in zip(found.xyxy, found.class_id, found.confidence)
        ],
    }


def _read(told: Dict[str, Any]) -> Image:
    objects = np.array(told["objects"], np.float64).reshape(-1, 6)
    found = np.array(told["detections"], np.float64).reshape(-1, 6)
    return Objects(objects[:, :4], objects[:, 4], objects[:, 5]), Detections(found[:, :4], found[:, 5], found[:, 4])


if __name__ == "__main__":
    told = [[_told(image) for image in made(seed, whole=True)] for seed in range(3)]
    record = [
        {"images": images, "reference": reference("pycocotools", [_read(image) for image in images])} for images in told
    ]
    GOLDEN.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
