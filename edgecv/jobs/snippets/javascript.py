"""Code in JavaScript: LiteRT.js, or MediaPipe Tasks for the web."""

from __future__ import annotations

from edgecv.jobs.snippets.facts import Facts
from edgecv.jobs.snippets.literals import LIST as LIST  # `writing` asks each language for them
from edgecv.jobs.snippets.literals import number as number
from edgecv.jobs.snippets.literals import text as text

COMMENT = "//"
BOOLEAN = {True: "true", False: "false"}
LABELS_FILE = '(await (await fetch("labels.txt")).text()).trimEnd().split("\\n")'


def outputs(facts: Facts) -> str:
    rows = []
    for place, one in zip(facts.places, facts.outputs, strict=True):
        scale = "null" if one.scale is None else number(one.scale)
        rows.append(f"{{place: {place}, scale: {scale}, zero: {one.zero_point or 0}, shape: {list(one.shape[1:])}}}")
    return LIST(rows)


HEADER = """
// $file in JavaScript, written by edgecv from the file's contract.
"""

_TASK = """
// npm install @mediapipe/tasks-vision
import {{FilesetResolver, {name}}} from "@mediapipe/tasks-vision";

export async function ask(image) {{
  const files = await FilesetResolver.forVisionTasks("node_modules/@mediapipe/tasks-vision/wasm");
  const task = await {name}.createFromOptions(files, {{
    baseOptions: {{modelAssetPath: "$file"}}, runningMode: "IMAGE"{more}
  }});
  return task.{verb}(image);
}}
"""
MEDIAPIPE = {
    "image_classifier": _TASK.format(name="ImageClassifier", more=", maxResults: 3", verb="classify"),
    "image_embedder": _TASK.format(name="ImageEmbedder", more=", l2Normalize: $normalise", verb="embed"),
    "image_segmenter": _TASK.format(
        name="ImageSegmenter", more=", outputCategoryMask: true, outputConfidenceMasks: false", verb="segment"
    ),
    "object_detector": _TASK.format(
        name="ObjectDetector", more=", scoreThreshold: $score, maxResults: $most", verb="detect"
    ),
}

LITERT = """
// npm install @litertjs/core; serve its folder wasm/ and the file beside this module.
const HEIGHT = $height, WIDTH = $width, CHANNELS = $channels;
const LABELS = $labels;
const OUTPUTS = $outputs;
const MEAN = $mean, STD = $std, ORDER = $order;

// The window of the image that is seen, and where it goes: top, left, rows, columns of each.
export function frame(rows, columns) {
  const resize = "$resize";
  if (resize === "center_crop") {
    const high = Math.max(1, Math.min(rows, Math.floor(columns * HEIGHT / WIDTH)));
    const wide = Math.max(1, Math.min(columns, Math.floor(rows * WIDTH / HEIGHT)));
    return [[Math.floor((rows - high) / 2), Math.floor((columns - wide) / 2), high, wide], [0, 0, HEIGHT, WIDTH]];
  }
  let high = HEIGHT, wide = WIDTH;
  if (resize === "letterbox") {
    if (rows * WIDTH >= columns * HEIGHT) {
      wide = Math.max(1, Math.floor((2 * columns * HEIGHT + rows) / (2 * rows)));
    } else {
      high = Math.max(1, Math.floor((2 * rows * WIDTH + columns) / (2 * columns)));
    }
  } else if (resize === "pad") {
    high = rows;  // the image must not be larger than the input
    wide = columns;
  }
  return [[0, 0, rows, columns], [Math.floor((HEIGHT - high) / 2), Math.floor((WIDTH - wide) / 2), high, wide]];
}

// Indices before and after a wanted place, and the weight of the second.
function along(index, start, size, wanted) {
  if ($nearest) {
    const only = start + Math.floor((2 * index + 1) * size / (2 * wanted));
    return [only, only, 0];
  }
  const centre = (index + 0.5) * (size / wanted) - 0.5, low = Math.floor(centre);
  const kept = place => Math.min(Math.max(place, 0), size - 1) + start;
  return [kept(low), kept(low + 1), centre - low];
}

// RGBA bytes of an image, as a canvas has them, to the values of the input tensor.
export function toInput(rgba, rows, columns) {
  const [window, placed] = frame(rows, columns);
  const made = new Float32Array(HEIGHT * WIDTH * CHANNELS);
  const pixel = [0, 0, 0];
  for (let y = 0; y < HEIGHT; y++) {
    const inside = y >= placed[0] && y < placed[0] + placed[2];
    const [top, bottom, down] = inside ? along(y - placed[0], window[0], window[2], placed[2]) : [0, 0, 0];
    for (let x = 0; x < WIDTH; x++) {
      if (inside && x >= placed[1] && x < placed[1] + placed[3]) {
        const [left, right, across] = along(x - placed[1], window[1], window[3], placed[3]);
        for (let c = 0; c < 3; c++) {
          const at = (row, column) => rgba[4 * (row * columns + column) + c];
          const first = at(top, left) + (at(bottom, left) - at(top, left)) * down;
          const second = at(top, right) + (at(bottom, right) - at(top, right)) * down;
          pixel[c] = first + (second - first) * across;
        }
      } else {
        pixel.fill($pad);
      }
      const start = (y * WIDTH + x) * CHANNELS;
      for (let c = 0; c < CHANNELS; c++) {
        const value = $gray ? 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2] : pixel[ORDER[c]];
        made[start + c] = (value - MEAN[c]) / STD[c];
      }
    }
  }
  return stored(made);
}

function stored(values) {
  const type = "$input_type";
  if (type.startsWith("float")) return values;
  const [made, low, high] = type === "uint8" ? [new Uint8Array(values.length), 0, 255]
    : [new Int8Array(values.length), -128, 127];
  values.forEach((value, index) => {
    made[index] = Math.min(Math.max(Math.round(value / $input_scale) + $input_zero, low), high);
  });
  return made;
}

function activated(values) {
$activation
}

$decode

// The values of all outputs of the file, as they are stored, to an answer.
export function read(all) {
  return decode(OUTPUTS.map(({place, scale, zero, shape}) => ({
    values: Float32Array.from(all[place], value => scale === null ? value : (value - zero) * scale), shape
  })));
}

export async function answer(rgba, rows, columns) {
  const {loadAndCompile, loadLiteRt, Tensor} = await import("@litertjs/core");
  await loadLiteRt("/wasm/");
  const model = await loadAndCompile("$file", {accelerator: "wasm"});
  const input = new Tensor(toInput(rgba, rows, columns), [1, HEIGHT, WIDTH, CHANNELS]);
  const outputs = await model.run(input);
  return read(await Promise.all(outputs.map(output => output.data())));
}
"""

_SOFTMAX = """
  const largest = values.reduce((most, value) => Math.max(most, {sign}value), -Infinity);
  const grown = values.map(value => Math.exp({sign}value - largest));
  const sum = grown.reduce((total, value) => total + value, 0);
  return grown.map(value => value / sum);
"""
ACTIVATION = {
    "none": "  return values;",
    "sigmoid": "  return values.map(value => 1 / (1 + Math.exp(-value)));",
    "softmax": _SOFTMAX.format(sign=""),
    "softmax of the negative": _SOFTMAX.format(sign="-"),
}

_SCORES = """
// Labels with their scores, best first.
function decode(outputs) {{
  let scores = activated(outputs[0].values);{spread}
  return Array.from(scores, (score, index) => [LABELS[index] ?? String(index), score]).sort((a, b) => b[1] - a[1]);
}}
"""
DECODE = {
    "scores": _SCORES.format(
        spread="\n  if (scores.length === 1) scores = [1 - scores[0], scores[0]];  // of the second of two classes"
    ),
    "independent scores": _SCORES.format(spread=""),
    "vector": """
// The vector.
function decode(outputs) {
  const values = outputs[0].values;
  const length = $normalise ? Math.max(Math.hypot(...values), 1e-12) : 1;
  return Array.from(values, value => value / length);
}
""",
    "mask": """
// The class of each place of the output, row by row; it may be smaller than the input.
function decode(outputs) {
  const {values, shape} = outputs[0], classes = shape[2] ?? 1, made = [];
  for (let at = 0; at < values.length; at += classes) {
    const scores = activated(values.slice(at, at + classes));
    made.push(classes === 1 ? Number(scores[0] > 0.5) : scores.indexOf(Math.max(...scores)));
  }
  return {height: shape[0], width: shape[1], classes: made};
}
""",
    "boxes": """
// Label, score and box (x1, y1, x2, y2), shares of the input, of what is found.
function decode(outputs) {
  const [boxes, classes, scores, count] = outputs.map(output => output.values), found = [];
  for (let index = 0; index < Math.min(count[0], scores.length); index++) {
    if (scores[index] < $score) continue;
    const [y1, x1, y2, x2] = boxes.slice(4 * index, 4 * index + 4), place = Math.round(classes[index]) - $offset;
    found.push({label: LABELS[place] ?? String(place), score: scores[index], box: [x1, y1, x2, y2]});
  }
  return found;
}
""",
    "raw boxes": """
// The raw outputs: edgecv's own runtime decodes and suppresses boxes, in Python.
function decode(outputs) {
  return outputs;
}
""",
    "numbers": """
// The numbers, in the labels' own units.
function decode(outputs) {
  return Array.from(outputs[0].values);
}
""",
}
