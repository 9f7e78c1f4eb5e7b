"""Boxes of VOC, COCO and YOLO files."""

import json

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, DataError
from edgecv.data import ObjectColumn, Split, describe, open_dataset, open_divided
from edgecv.data.sources import ArrayImages
from edgecv.tasks.boxes import Objects


def image(path, width=20, height=10, shade=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((height, width, 3), shade, np.uint8)).save(path)


def voc(root, name, objects, **size):
    """Write an image and its annotation: (class, difficult, xmin, ymin, xmax, ymax) of each object."""
    image(root / "JPEGImages" / f"{name}.jpg", **size)
    (root / "Annotations").mkdir(exist_ok=True)
    told = "".join(
        f"<object><name>{label}</name><difficult>{difficult}</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, difficult, x1, y1, x2, y2 in objects
    )
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{told}</annotation>")


def coco(root, boxes, *, names=("dog", "cat"), files=("a.png",), **more):
    """Write a COCO file with images of 20x10: (image, category, bbox) of each box."""
    for name in files:
        image(root / name)
    document = {
        "images": [{"id": 7 + i, "file_name": name, "width": 20, "height": 10} for i, name in enumerate(files)],
        "categories": [{"id": 30 - 10 * i, "name": name} for i, name in enumerate(names)],
        "annotations": [
            {"id": i, "image_id": picture, "category_id": category, "bbox": bbox, **more}
            for i, (picture, category, bbox) in enumerate(boxes)
        ],
    }
    (root / "boxes.json").write_text(json.dumps(document))
    return f"coco:{root / 'boxes.json'}"


def yolo(root, lines, *, names="cat\ndog\n"):
    image(root / "images" / "a.png")
    (root / "labels").mkdir(exist_ok=True)
    (root / "labels" / "a.txt").write_text(lines)
    (root / "classes.txt").write_text(names)
    return f"yolo:{root}"


def test_voc_by_hand(tmp_path):
    voc(tmp_path, "a", [("dog", 0, 1, 1, 20, 10), ("cat", 1, 3, 4, 8, 9)])
    voc(tmp_path, "b", [])
    dataset = open_dataset(f"voc:{tmp_path}")
    (target,) = dataset.targets
    assert (target.name, target.task, target.labels) == ("objects", "detection", ("cat", "dog"))
    found = dataset.split("all").record(0).truths[0]
    # 1-based and with the last pixel: (1, 1, 20, 10) is the whole image.
    assert found.xyxy.tolist() == [[0, 0, 20, 10], [2, 3, 8, 9]]
    assert found.class_id.tolist() == [1, 0]
    assert found.crowd.tolist() == [False, True]
    assert len(dataset.split("all").record(1).truths[0]) == 0


def test_voc_splits_are_those_of_its_lists(tmp_path):
    for name in "abcdef":
        voc(tmp_path, name, [("dog", 0, 1, 1, 5, 5)])
    main = tmp_path / "ImageSets" / "Main"
    main.mkdir(parents=True)
    for part, names in (("train", "abc"), ("val", "d"), ("test", "ef"), ("dog_train", "abc")):
        (main / f"{part}.txt").write_text("".join(f"{name}  1\n" for name in names))
    dataset = open_dataset(f"voc:{tmp_path}")
    stems = {name: [path.stem for path in split.images.paths] for name, split in dataset.splits.items()}
    assert stems == {"train": ["a", "b", "c"], "validation": ["d"], "test": ["e", "f"]}
    (main / "test.txt").write_text("e\nz\n")
    with pytest.raises(DataError, match=r"z\.xml does not exist"):
        open_dataset(f"voc:{tmp_path}")


def test_voc_boxes_without_area_are_left_out_and_told(tmp_path):
    voc(tmp_path, "a", [("dog", 0, 5, 5, 5, 8), ("dog", 0, 5, 5, 6, 8)])
    dataset = open_dataset(f"voc:{tmp_path}")
    assert dataset.split("all").targets[0][0].xyxy.tolist() == [[4, 4, 6, 8]]
    assert dataset.notes == describe(dataset).notes == ("left out 1 boxes that have no area",)


@pytest.mark.parametrize("box", [(0, 0, 21, 11), (1, 1, 21, 10)])
def test_a_pixel_beyond_the_image_is_rounding(tmp_path, box):
    voc(tmp_path, "a", [("dog", 0, *box)])
    assert open_dataset(f"voc:{tmp_path}").split("all").targets[0][0].xyxy.tolist() == [[0, 0, 20, 10]]


def test_a_voc_box_outside_its_image(tmp_path):
    voc(tmp_path, "a", [("dog", 0, 1, 1, 5, 5), ("dog", 0, 3, 3, 30, 9)])
    with pytest.raises(DataError, match=r"a\.xml: box 2 is 2, 2, 30, 9 .* outside its image of 20x10") as caught:
        open_dataset(f"voc:{tmp_path}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text", ["<annotation><object><name>dog</name></object></annotation>", "<annotation>", "<a><object/></a>"]
)
def test_a_broken_annotation(tmp_path, text):
    voc(tmp_path, "a", [("dog", 0, 1, 1, 5, 5)])
    (tmp_path / "Annotations" / "a.xml").write_text(text)
    with pytest.raises(DataError, match=r"a\.xml is no annotation"):
        open_dataset(f"voc:{tmp_path}")


def test_an_annotation_without_its_image(tmp_path):
    for name in "ab":
        voc(tmp_path, name, [("dog", 0, 1, 1, 5, 5)])
    (tmp_path / "JPEGImages" / "b.jpg").unlink()
    with pytest.raises(DataError, match=r"b\.xml is about an image"):
        open_dataset(f"voc:{tmp_path}")


def test_coco_by_hand(tmp_path):
    uri = coco(tmp_path, [(7, 20, [1, 2, 3, 4]), (7, 30, [0, 0, 20, 10])], files=("a.png", "b.png"), iscrowd=1)
    dataset = open_dataset(uri)
    # By id, not by name: 20 is the cat.
    assert dataset.labels == ("cat", "dog")
    found = dataset.split("all").record(0).truths[0]
    assert found.xyxy.tolist() == [[1, 2, 4, 6], [0, 0, 20, 10]]
    assert found.class_id.tolist() == [0, 1]
    assert found.crowd.all()
    assert len(dataset.split("all").targets[0][1]) == 0


@pytest.mark.parametrize("place", ["images/a.png", "../images/a.png", "../val/a.png"])
def test_coco_images_in_the_usual_places(tmp_path, place):
    folder = tmp_path / "annotations"
    uri = coco(folder, [(7, 20, [1, 2, 3, 4])])
    uri = uri.replace("boxes.json", "instances_val.json")
    (folder / "boxes.json").rename(folder / "instances_val.json")
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / "a.png").rename(folder / place)
    assert open_dataset(uri).split("all").image(0).shape == (10, 20, 3)


def test_a_coco_image_that_is_missing(tmp_path):
    uri = coco(tmp_path, [(7, 20, [1, 2, 3, 4])])
    (tmp_path / "a.png").unlink()
    with pytest.raises(DataError, match=r"boxes\.json lists the image a\.png, which is not there"):
        open_dataset(uri)


def test_a_coco_box_outside_its_image(tmp_path):
    with pytest.raises(DataError, match=r"image a\.png: box 1 is 10, 2, 25, 6 .* 20x10"):
        open_dataset(coco(tmp_path, [(7, 20, [10, 2, 15, 4])]))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([(7, 99, [1, 2, 3, 4])], "category 99"),
        ([(8, 20, [1, 2, 3, 4])], "boxes of image 8"),
        ([(7, 20, [1, 2, 3])], "no COCO file"),
    ],
)
def test_coco_files_that_contradict_themselves(tmp_path, boxes, message):
    with pytest.raises(DataError, match=message):
        open_dataset(coco(tmp_path, boxes))


@pytest.mark.parametrize("text", ["[]", "{}", "{", '{"images": 3, "categories": [], "annotations": []}'])
def test_files_that_are_no_coco(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=r"a\.json is no COCO file"):
        open_dataset(f"coco:{tmp_path / 'a.json'}")
    with pytest.raises(ConfigError, match="does not exist"):
        open_dataset(f"coco:{tmp_path / 'b.json'}")


def test_yolo_by_hand(tmp_path):
    image(tmp_path / "images" / "b.png")
    dataset = open_dataset(yolo(tmp_path, "1 0.5 0.5 0.5 0.4\n\n0 0.5 0.5 1 1\n"))
    assert dataset.labels == ("cat", "dog")
    first, second = dataset.split("all").targets[0]
    assert first.xyxy.tolist() == [[5, 3, 15, 7], [0, 0, 20, 10]]
    assert first.class_id.tolist() == [1, 0]
    assert len(second) == 0


def test_a_yolo_box_outside_its_image(tmp_path):
    with pytest.raises(DataError, match=r"a\.txt: box 1 is 10, 3, 30, 7 .* 20x10"):
        open_dataset(yolo(tmp_path, "0 1 0.5 1 0.4"))


@pytest.mark.parametrize("line", ["2 0.5 0.5 1 1", "0 0.5 0.5 1", "cat 0.5 0.5 1 1", "0.5 0.5 0.5 1 1", "0 nan 0 1 1"])
def test_yolo_lines_that_are_no_boxes(tmp_path, line):
    with pytest.raises(DataError, match=r"a\.txt, line 2: "):
        open_dataset(yolo(tmp_path, f"0 0.5 0.5 1 1\n{line}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "nc: 2\nnames: ['cat', \"dog\"]  # both\n",
        "names:\n  - cat\n  - dog\nnc: 2\n",
        "names:\n- cat\n- dog\nnc: 2\n",
        "train: images\nnames:\n  0: cat\n  1: dog\n",
        "names: [cat,\n  dog]\n",
        "names: {0: cat, 1: dog}\n",
    ],
)
def test_names_of_a_data_yaml(tmp_path, text):
    import yaml

    uri = yolo(tmp_path, "1 0.5 0.5 1 1")
    (tmp_path / "classes.txt").unlink()
    (tmp_path / "data.yaml").write_text(text)
    known = yaml.safe_load(text)["names"]
    expected = tuple(known.values() if isinstance(known, dict) else known)
    assert open_dataset(uri).labels == expected == ("cat", "dog")


@pytest.mark.parametrize("text", ["nc: 2\n", "names: *other\n", "names:\n  cat: 0\n", None])
def test_yolo_without_names(tmp_path, text):
    uri = yolo(tmp_path, "1 0.5 0.5 1 1")
    (tmp_path / "classes.txt").unlink()
    if text:
        (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=r"data\.yaml") as caught:
        open_dataset(uri)
    assert "classes.txt" in caught.value.hint


def test_objects_are_divided_so_that_each_split_shows_every_class(tmp_path):
    for i in range(60):
        label = "rare" if i % 6 == 0 else "often"
        voc(tmp_path, f"{i:02}", [(label, 0, 1, 1, 5, 5), ("often", 0, 2, 2, 9, 9)], shade=i * 4)
    dataset = open_divided(f"voc:{tmp_path}")
    found = describe(dataset)
    assert found.sizes == {"train": 40, "validation": 8, "test": 12}
    (target,) = found.targets
    assert dataset.labels == ("often", "rare")
    assert [target.counts[name][1] for name in ("train", "validation", "test")] == [6, 2, 2]
    assert found.leaks == 0


def test_what_is_said_of_objects_by_hand():
    column = ObjectColumn(
        (Objects(np.array([[0, 0, 2, 4], [1, 1, 5, 3]]), np.array([0, 2])), Objects(np.zeros((0, 4)), np.zeros(0)))
    )
    split = Split(name="all", images=ArrayImages(np.zeros((2, 8, 8), np.uint8), np.arange(2)), targets=(column,))
    assert column.presence().tolist() == [[1, 0, 1], [0, 0, 0]]
    assert split.strata.tolist() == [1, 0]
    assert column.take(np.array([1, 0]))[1].class_id.tolist() == [0, 2]
    assert split.take(np.array([1])).record(0).truths[0].xyxy.shape == (0, 4)
    with pytest.raises(DataError, match="no class labels"):
        _ = split.labels


def test_the_hash_follows_the_boxes(tmp_path):
    uri = coco(tmp_path, [(7, 20, [1, 2, 3, 4])])
    first = open_dataset(uri).split("all").sha256
    assert first == open_dataset(uri).split("all").sha256
    assert first != open_dataset(coco(tmp_path, [(7, 20, [1, 2, 3, 5])])).split("all").sha256
    assert first != open_dataset(coco(tmp_path, [(7, 20, [1, 2, 3, 4])], iscrowd=1)).split("all").sha256
