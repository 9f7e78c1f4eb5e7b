"""Class names, and the heads with them, that several families share."""

from __future__ import annotations

from edgecv.values.specs import Head

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
DIGITS = tuple(str(digit) for digit in range(10))
IMAGENET = tuple(f"imagenet_{index}" for index in range(1000))
"""By index in the usual order of the 1,000 classes."""

VOC = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The 20 classes of PASCAL VOC, in the usual order."""
VOC_MASKS = ("background", *VOC)
"""What the pixels of PASCAL VOC's masks are, by their values."""
VOC_VOID = 255
COCO = (
    "person", "bicycle", "car", "motorbike", "aeroplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "sofa", "pottedplant", "bed", "diningtable", "toilet",
    "tvmonitor", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 classes of COCO, in the order and by the names that Darknet has."""
COCO_CATEGORIES = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light",
    "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant",
    "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle",
    "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli",
    "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink",
    "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush",
)  # fmt: skip
"""The 80 classes of COCO's instances, by the names of its own annotations, in the order of their ids."""


def numbered(count: int, *, stem: str = "class") -> tuple[str, ...]:
    """Return "class_0", "class_1", …: for a network whose data names no classes."""
    return tuple(f"{stem}_{index}" for index in range(count))


def classifier_head(labels: tuple[str, ...]) -> tuple[Head, ...]:
    """Return the one head of a softmax classifier."""
    return (Head(name="output", task="classification", activation="probabilities", labels=labels),)


def mask_head(labels: tuple[str, ...], *, void: int | None = None) -> tuple[Head, ...]:
    """Return the one head of a network that gives logits per pixel; `void` is the value of pixels that do not count."""
    settings = {} if void is None else {"ignore_index": void}
    return (Head(name="mask", task="segmentation", activation="logits", labels=labels, settings=settings),)
