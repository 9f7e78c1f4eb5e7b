"""Code in Python: LiteRT and numpy, or MediaPipe Tasks."""

from __future__ import annotations

from edgecv.jobs.snippets.facts import Facts
from edgecv.jobs.snippets.literals import LIST as LIST  # `writing` asks each language for them
from edgecv.jobs.snippets.literals import number as number
from edgecv.jobs.snippets.literals import text as text

COMMENT = "#"
BOOLEAN = {True: "True", False: "False"}
LABELS_FILE = 'open("labels.txt", encoding="utf-8").read().splitlines()'


def outputs(facts: Facts) -> str:
    rows = [
        f"({place}, {number(one.scale) if one.scale is not None else 'None'}, {one.zero_point or 0})"
        for place, one in zip(facts.places, facts.outputs, strict=True)
    ]
    return LIST(rows)


HEADER = """
# $file in Python, written by edgecv from the file's contract.
"""

_TASK = """
# pip install mediapipe
import mediapipe as mp
from mediapipe.tasks.python import vision
from mediapipe.tasks.python.core.base_options import BaseOptions

options = vision.{name}Options(base_options=BaseOptions(model_asset_path="$file"){more})
with vision.{name}.create_from_options(options) as task:
    result = task.{verb}(mp.Image.create_from_file("photo.jpg"))
    {use}
"""
MEDIAPIPE = {
    "image_classifier": _TASK.format(
        name="ImageClassifier", more=", max_results=3", verb="classify",
        use='print([(one.category_name, one.score) for one in result.classifications[0].categories])',
    ),
    "image_embedder": _TASK.format(
        name="ImageEmbedder", more=", l2_normalize=$normalise", verb="embed",
        use="print(result.embeddings[0].embedding)",
    ),
    "image_segmenter": _TASK.format(
        name="ImageSegmenter", more=", output_category_mask=True", verb="segment",
        use="print(result.category_mask.numpy_view())",
    ),
    "object_detector": _TASK.format(
        name="ObjectDetector", more=", score_threshold=$score, max_results=$most", verb="detect",
        use="print([(one.categories[0].category_name, one.bounding_box) for one in result.detections])",
    ),
}  # fmt: skip

LITERT = '''
# pip install ai-edge-litert numpy pillow
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

HEIGHT, WIDTH = $height, $width
LABELS = $labels
OUTPUTS = $outputs  # place, scale and zero point of each


def frame(rows, columns):
    """The window of the image that is seen, and where it goes: (top, left, rows, columns) each."""
    resize = "$resize"
    if resize == "center_crop":
        kept = max(1, min(rows, columns * HEIGHT // WIDTH)), max(1, min(columns, rows * WIDTH // HEIGHT))
        return ((rows - kept[0]) // 2, (columns - kept[1]) // 2, *kept), (0, 0, HEIGHT, WIDTH)
    placed = HEIGHT, WIDTH
    if resize == "letterbox":
        if rows * WIDTH >= columns * HEIGHT:
            placed = HEIGHT, max(1, (2 * columns * HEIGHT + rows) // (2 * rows))
        else:
            placed = max(1, (2 * rows * WIDTH + columns) // (2 * columns)), WIDTH
    elif resize == "pad":
        placed = rows, columns  # the image must not be larger than the input
    return (0, 0, rows, columns), ((HEIGHT - placed[0]) // 2, (WIDTH - placed[1]) // 2, *placed)


def along(start, size, wanted):
    """Indices before and after each wanted place, and the weight of the second."""
    if $nearest:
        index = start + (2 * np.arange(wanted) + 1) * size // (2 * wanted)
        return index, index, np.zeros(wanted, np.float32)
    centre = (np.arange(wanted) + 0.5) * (size / wanted) - 0.5
    low = np.floor(centre)
    first, second = (np.clip(one, 0, size - 1).astype(int) + start for one in (low, low + 1))
    return first, second, (centre - low).astype(np.float32)


def to_input(image):
    """uint8 (H, W, 3), RGB, to the input tensor."""
    window, placed = frame(*image.shape[:2])
    top, bottom, down = along(window[0], window[2], placed[2])
    left, right, across = along(window[1], window[3], placed[3])
    pixels = image.astype(np.float32)
    rows = pixels[top] + (pixels[bottom] - pixels[top]) * down[:, None, None]
    seen = rows[:, left] + (rows[:, right] - rows[:, left]) * across[:, None]
    whole = np.full((HEIGHT, WIDTH, 3), $pad, np.float32)
    whole[placed[0] : placed[0] + placed[2], placed[1] : placed[1] + placed[3]] = seen
    if $gray:
        whole = whole @ np.array([[0.299], [0.587], [0.114]], np.float32)
    else:
        whole = whole[:, :, $order]
    values = (whole - np.array($mean, np.float32)) / np.array($std, np.float32)
    dtype = np.dtype("$input_type")
    if dtype.kind == "f":
        return values[None].astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / $input_scale) + $input_zero, limits.min, limits.max).astype(dtype)[None]


def activated(values):
$activation


$decode


def answer(interpreter, image):
    """What the file says of an image, uint8 (H, W, 3), RGB."""
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], to_input(image))
    interpreter.invoke()
    details, found = interpreter.get_output_details(), []
    for place, scale, zero in OUTPUTS:
        stored = interpreter.get_tensor(details[place]["index"])[0].astype(np.float32)
        found.append(stored if scale is None else (stored - zero) * np.float32(scale))
    return decode(found)


if __name__ == "__main__":
    interpreter = Interpreter("$file")
    interpreter.allocate_tensors()
    photo = ImageOps.exif_transpose(Image.open("photo.jpg")).convert("RGB")
    print(answer(interpreter, np.asarray(photo)))
'''

ACTIVATION = {
    "none": "    return values",
    "sigmoid": "    return 1 / (1 + np.exp(-values))",
    "softmax": """
    grown = np.exp(values - values.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)
""",
    "softmax of the negative": """
    grown = np.exp(values.min(axis=-1, keepdims=True) - values)
    return grown / grown.sum(axis=-1, keepdims=True)
""",
}

_SCORES = '''
def decode(outputs):
    """Labels with their scores, best first."""
    scores = activated(outputs[0].reshape(-1)){spread}
    names = LABELS or [str(index) for index in range(len(scores))]
    return sorted(zip(names, scores.tolist()), key=lambda pair: -pair[1])
'''
DECODE = {
    "scores": _SCORES.format(
        spread="\n    if len(scores) == 1:  # of the second of two classes\n        "
        "scores = np.array([1 - scores[0], scores[0]])"
    ),
    "independent scores": _SCORES.format(spread=""),
    "vector": '''
def decode(outputs):
    """The vector."""
    vector = outputs[0].reshape(-1)
    return vector / max(float(np.linalg.norm(vector)), 1e-12) if $normalise else vector
''',
    "mask": '''
def decode(outputs):
    """The class of each place of the output, which may be smaller than the input."""
    scores = activated(outputs[0])
    if scores.ndim == 2:  # indices of classes
        return np.rint(scores).astype(int)
    if scores.shape[-1] == 1:  # scores of the second of two classes
        return (scores[..., 0] > 0.5).astype(int)
    return scores.argmax(axis=-1)
''',
    "boxes": '''
def decode(outputs):
    """Label, score and box (x1, y1, x2, y2), shares of the input, of what is found."""
    boxes, classes, scores, count = outputs[0], outputs[1], outputs[2], int(outputs[3].reshape(-1)[0])
    found = []
    for index in range(min(count, len(scores))):
        if scores[index] >= $score:
            y1, x1, y2, x2 = boxes[index].tolist()
            place = int(round(float(classes[index]))) - $offset
            label = LABELS[place] if LABELS else str(place)
            found.append((label, float(scores[index]), (x1, y1, x2, y2)))
    return found
''',
    "raw boxes": '''
def decode(outputs):
    """The raw outputs: edgecv's own runtime decodes and suppresses boxes, pip install 'edgecv[litert]'."""
    return outputs
''',
    "numbers": '''
def decode(outputs):
    """The numbers, in the labels' own units."""
    return outputs[0]
''',
}
