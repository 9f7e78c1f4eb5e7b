// Boxes with a class and a confidence, as edgecv/tasks/detection reads outputs: decoders.py, yolo_v1.py, nms.py.

import { css, element, palette, readableOn } from "../draw.js";
import { clip, sigmoid, softmax } from "../numbers.js";

const f32 = Math.fround;
const BEFORE_SUPPRESSION = 5000, LARGEST_EXPONENT = 30, SIGMA = 0.5;

// Return {detections: [{label, class_id, confidence, xyxy}]}, the most confident first, in pixels of the picture.
export function decode(outputs, head, frame) {
  const settings = head.settings, floors = head.labels.map((label) => settings.label_scores[label] ?? settings.score);
  const least = Object.keys(settings.label_scores).length ? Math.min(...floors) : settings.score;
  const found = best(candidates(outputs, head, settings, frame.inputSize, least), BEFORE_SUPPRESSION);
  const kept = settings.nms === "none" ? sorted(found).slice(0, settings.most) : suppressed(found, settings, least);
  const [height, width] = frame.size;
  const across = (x) => clip((x - frame.left) / frame.across, 0, width);
  const down = (y) => clip((y - frame.top) / frame.down, 0, height);
  const upright = ([x1, y1, x2, y2]) => [Math.min(x1, x2), Math.min(y1, y2), Math.max(x1, x2), Math.max(y1, y2)];
  const detections = kept
    .filter((one) => one.confidence >= (floors[one.class_id] ?? settings.score))
    .map(({ box, confidence, class_id }) => ({
      label: head.labels[class_id] ?? String(class_id), class_id, confidence,
      xyxy: upright([across(box[0]), down(box[1]), across(box[2]), down(box[3])]),
    }));
  return { detections };
}

function candidates(outputs, head, settings, size, least) {
  if (settings.decoder === "rows") return rows(outputs, head, settings, size, least);
  if (settings.decoder === "postprocessed") return postprocessed(outputs, head, settings, size, least);
  if (settings.decoder === "yolo_v1") return firstYolo(outputs, head, settings, size, least);
  return anchored(outputs, head, settings, size, least);
}

// Decoders whose outputs are maps with anchors at every cell, or rows of them.
function anchored(outputs, head, settings, size, least) {
  const isYolo = settings.decoder.startsWith("yolo"), shared = settings.decoder === "yolo_book";
  const flat = outputs[0].shape.length === 2, scales = settings.anchors.length;
  const joint = outputs.length === (flat ? 1 : scales);
  const found = [];
  let start = 0;
  settings.anchors.forEach((anchors, place) => {
    const count = anchors.length, stride = settings.strides[place];
    const whole = flat ? outputs[0] : outputs[joint ? place : 2 * place];
    const scores = joint ? whole : flat ? outputs[1] : outputs[2 * place + 1];
    const grid = flat ? [Math.round(size[0] / stride), Math.round(size[1] / stride)] : whole.shape.slice(0, 2);
    const cells = grid[0] * grid[1];
    // Of the values of one anchor, or of one cell where anchors share their classes.
    const boxWidth = whole.shape.at(-1) / (flat || shared ? 1 : count), scoreWidth = scores.shape.at(-1) / (flat || shared ? 1 : count);
    for (let cell = 0; cell < cells; cell++) {
      for (let anchor = 0; anchor < count; anchor++) {
        const index = flat ? start + cell * count + anchor : shared ? cell : cell * count + anchor;
        const box = index * boxWidth + (shared ? 4 * anchor : 0);
        const own = index * scoreWidth + (joint ? (shared ? 4 * count : 4) : 0);
        const objectness = isYolo ? scores.values[own + (shared ? anchor : 0)] : null;
        const first = own + (isYolo ? (shared ? count : 1) : 0), last = (index + 1) * scoreWidth;
        const share = objectness === null ? 1 : head.activation === "logits" ? sigmoid(objectness) : clip(objectness, 0, 1);
        if (share < least) continue;
        const likely = classes(scores.values.subarray(first, last), head, settings);
        likely.forEach((value, class_id) => {
          const confidence = f32(value * share);
          if (confidence < least) return;
          const raw = whole.values.subarray(box, box + 4);
          found.push({ box: corners(raw, cell, settings.anchors[place][anchor], grid, place, settings), confidence, class_id });
        });
      }
    }
    start += cells * count;
  });
  return found;
}

function corners(raw, cell, anchor, grid, place, settings) {
  const stride = settings.strides[place], at = [cell % grid[1], Math.floor(cell / grid[1])];
  let values = raw, centre, power;
  if (settings.decoder === "ssd" || settings.decoder === "rpn") {
    if (settings.box === "cycxhw") values = [raw[1], raw[0], raw[3], raw[2]];
    centre = [0, 1].map((k) => (at[k] + 0.5) * stride + values[k] * settings.variances[0] * anchor[k]);
    power = [2, 3].map((k) => values[k] * settings.variances[1]);
  } else {
    const reach = settings.scale_xy.length ? settings.scale_xy[place] : 1;
    centre = [0, 1].map((k) => (sigmoid(values[k]) * reach - (reach - 1) / 2 + at[k]) * stride);
    power = [values[2], values[3]];
  }
  const half = power.map((value, k) => (anchor[k] * Math.exp(Math.min(value, LARGEST_EXPONENT))) / 2);
  return [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]].map(f32);
}

const SOFTMAX = { yolo_v2: true, yolo_book: true, yolo_v3: false };

function classes(raw, head, settings) {
  const isSoftmax = SOFTMAX[settings.decoder] ?? settings.classes === "softmax";
  let values;
  if (head.activation !== "logits") values = Float32Array.from(raw, (value) => clip(value, 0, 1));
  else values = isSoftmax ? softmax(raw) : Float32Array.from(raw, sigmoid);
  return (settings.decoder === "ssd" || settings.decoder === "rpn") && settings.background ? values.subarray(1) : values;
}

// Boxes and scores that the file has decoded itself.
function rows(outputs, head, settings, size, least) {
  const parts = outputs.map(({ values, shape }) => {
    const [a, b] = shape.slice(-2);
    return settings.columns ? { width: a, count: b, get: (n, k) => values[k * b + n] } : { width: b, count: a, get: (n, k) => values[n * b + k] };
  });
  const get = (n, k) => (k < parts[0].width ? parts[0].get(n, k) : parts[1].get(n, k - parts[0].width));
  const width = parts.reduce((sum, part) => sum + part.width, 0), found = [];
  const swapped = settings.box === "yxyx" || settings.box === "cycxhw";
  const sides = settings.unit === "share" ? (swapped ? size : [size[1], size[0]]) : [1, 1];
  for (let n = 0; n < parts[0].count; n++) {
    let first = 4, share = 1;
    if (settings.objectness) {
      share = head.activation === "logits" ? sigmoid(get(n, 4)) : clip(get(n, 4), 0, 1);
      first = 5;
      if (share < least) continue;
    }
    const raw = Float32Array.from({ length: width - first }, (_, k) => get(n, first + k));
    classes(raw, head, settings).forEach((value, class_id) => {
      const confidence = f32(value * share);
      if (confidence < least) return;
      const box = [0, 1, 2, 3].map((k) => get(n, k) * sides[k % 2]);
      found.push({ box: converted(box, settings.box).map(f32), confidence, class_id });
    });
  }
  return found;
}

function converted([a, b, c, d], format) {
  if (format === "xywh") return [a, b, a + c, b + d];
  if (format === "cxcywh") return [a - c / 2, b - d / 2, a + c / 2, b + d / 2];
  if (format === "yxyx") return [b, a, d, c];
  if (format === "cycxhw") return [b - d / 2, a - c / 2, b + d / 2, a + c / 2];
  return [a, b, c, d];
}

// Boxes, classes, scores and count, as TFLite_Detection_PostProcess gives them.
function postprocessed(outputs, head, settings, size, least) {
  const [boxes, numbers, scores, counted] = outputs.map((output) => output.values);
  const count = counted ? Math.round(counted[0]) : scores.length, found = [];
  const [down, across] = settings.unit === "share" ? size : [1, 1];
  for (let n = 0; n < count; n++) {
    const confidence = clip(scores[n], 0, 1), class_id = Math.round(numbers[n]) - settings.label_offset;
    if (confidence < least) continue;
    if (class_id < 0 || (head.labels.length && class_id >= head.labels.length)) throw new Error(`class ${class_id} has no label`);
    const [top, left, bottom, right] = boxes.subarray(4 * n, 4 * n + 4);
    found.push({ box: [left * across, top * down, right * across, bottom * down].map(f32), confidence, class_id });
  }
  return found;
}

function firstYolo(outputs, head, settings, size, least) {
  const all = Float32Array.from(outputs.flatMap((output) => Array.from(output.values)));
  const count = settings.cell_boxes, labels = head.labels.length;
  const side = Math.floor(Math.sqrt(all.length / (labels + 5 * count))), cells = side * side;
  const second = cells * labels, third = cells * (labels + count), found = [];
  for (let cell = 0; cell < cells; cell++) {
    for (let box = 0; box < count; box++) {
      const confidence = all[second + cell * count + box], at = third + 4 * (cell * count + box);
      for (let class_id = 0; class_id < labels; class_id++) {
        const likely = clip(f32(all[cell * labels + class_id] * confidence), 0, 1);
        if (likely < least) continue;
        const [x, y, w, h] = all.subarray(at, at + 4);
        const centre = [((x + (cell % side)) / side) * size[1], ((y + Math.floor(cell / side)) / side) * size[0]];
        const half = [w, h].map((value, k) => ((settings.sqrt ? value * value : Math.max(value, 0)) * size[1 - k]) / 2);
        found.push({ box: [centre[0] - half[0], centre[1] - half[1], centre[0] + half[0], centre[1] + half[1]].map(f32), confidence: likely, class_id });
      }
    }
  }
  return found;
}

const sorted = (found) => found.map((one, index) => [one, index]).sort(([a, i], [b, j]) => b.confidence - a.confidence || i - j).map(([one]) => one);

function best(found, most) {
  if (found.length <= most) return found;
  const kept = new Set(sorted(found).slice(0, most));
  return found.filter((one) => kept.has(one));
}

// Of boxes that overlap, the most confident one stays; "soft" lowers the confidence of the others.
function suppressed(found, settings, least) {
  let left = sorted(found);
  const kept = [];
  while (left.length && kept.length < settings.most) {
    const [top, ...others] = left;
    kept.push(top);
    const isRival = (one) => settings.nms === "agnostic" || one.class_id === top.class_id;
    if (settings.nms === "soft") {
      left = sorted(
        others
          .map((one) => (isRival(one) ? { ...one, confidence: one.confidence * Math.exp(-(overlap(top.box, one.box) ** 2) / SIGMA) } : one))
          .filter((one) => one.confidence >= least),
      );
    } else left = others.filter((one) => !isRival(one) || overlap(top.box, one.box) <= settings.iou);
  }
  return kept;
}

function overlap(a, b) {
  const area = (box) => Math.max(box[2] - box[0], 0) * Math.max(box[3] - box[1], 0);
  const shared =
    Math.max(Math.min(a[2], b[2]) - Math.max(a[0], b[0]), 0) * Math.max(Math.min(a[3], b[3]) - Math.max(a[1], b[1]), 0);
  const union = area(a) + area(b) - shared;
  return union > 0 ? shared / union : 0;
}

// What a person may move.
export const controls = (head) => [{ name: "least confidence", key: "score", least: 0.01, most: 0.99, step: 0.01, value: head.settings.score }];

export function show(answer, { context, scale, list, summary }) {
  const line = Math.max(2, Math.round(scale * 2));
  context.font = `600 ${13 * scale}px system-ui, sans-serif`;
  context.textBaseline = "top";
  for (const { label, class_id, confidence, xyxy } of answer.detections.toReversed()) {
    const [x1, y1, x2, y2] = xyxy, color = palette(class_id), text = `${label} ${confidence.toFixed(2)}`;
    context.lineWidth = line;
    context.strokeStyle = css(color);
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    const width = context.measureText(text).width + 8 * scale, height = 18 * scale;
    const left = Math.min(Math.max(0, x1 - line / 2), Math.max(0, context.canvas.width - width));
    const top = y1 >= height ? y1 - height : y1;
    context.fillStyle = css(color);
    context.fillRect(left, top, width, height);
    context.fillStyle = readableOn(color);
    context.fillText(text, left + 4 * scale, top + 3 * scale);
  }
  const n = answer.detections.length;
  summary.replaceChildren(element("strong", n ? `${n} found` : "nothing found"));
  list.replaceChildren(
    ...answer.detections.slice(0, 12).map(({ label, class_id, confidence }) => {
      const row = element("li"), swatch = element("i", "", "swatch");
      swatch.style.background = css(palette(class_id));
      row.append(swatch, element("span", label, "label"), element("span", `${(100 * confidence).toFixed(0)} %`, "share"));
      return row;
    }),
    ...(n > 12 ? [element("li", `and ${n - 12} more`, "more")] : []),
  );
}
