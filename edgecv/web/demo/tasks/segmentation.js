// A class for every pixel, as edgecv/tasks/segmentation/task.py and edgecv/tasks/sampling.py read it.

import { css, element, palette } from "../draw.js";

const f32 = Math.fround;
const LARGEST = 1024; // pixels of the mask's longer side: a photo of 12 million pixels would take seconds

// Return {mask, size, labels, shares}: the class of each pixel of the picture, row by row, or of one that is scaled down.
export function decode([output], head, frame) {
  const settings = head.settings, [rows, columns] = output.shape;
  const classes = head.labels.length || output.shape[2];
  const labels = head.labels.length ? head.labels : Array.from({ length: classes }, (_, index) => String(index));
  const shrink = Math.min(1, LARGEST / Math.max(...frame.size));
  const size = frame.size.map((side) => Math.max(1, Math.round(side * shrink)));
  const [left, top, right, bottom] = settings.covers.length ? settings.covers : [0, 0, frame.inputSize[1], frame.inputSize[0]];
  // Of each pixel of the mask, where its centre lies in the output.
  const y = points(size[0], frame.size[0], frame.down, frame.top - top, rows / (bottom - top));
  const x = points(size[1], frame.size[1], frame.across, frame.left - left, columns / (right - left));
  const planes = planesOf(output, head);
  let mask;
  if (head.activation === "linear") mask = nearest(Int32Array.from(output.values, halfToEven), y, x, rows, columns);
  else if (settings.resize === "nearest") mask = nearest(argmax(planes, rows * columns), y, x, rows, columns);
  else mask = bestClass(planes, y, x, rows, columns);
  return { mask, size, labels, shares: sharesOf(mask, labels) };
}

function points(count, side, scale, offset, onward) {
  return Float64Array.from({ length: count }, (_, index) => (scale * ((index + 0.5) * (side / count)) + offset) * onward);
}

// Scores class by class. Of a single channel and two labels, the first label stands at the threshold.
function planesOf({ values, shape }, head) {
  const channels = shape.length > 2 ? shape[2] : 1, cells = shape[0] * shape[1];
  const planes = Array.from({ length: channels }, (_, k) => Float32Array.from({ length: cells }, (_, i) => values[i * channels + k]));
  if (channels === 1 && head.labels.length === 2) planes.unshift(new Float32Array(cells).fill(head.activation === "probabilities" ? 0.5 : 0));
  return planes;
}

function argmax(planes, cells) {
  const found = new Int32Array(cells);
  for (let i = 0; i < cells; i++) for (let k = 1; k < planes.length; k++) if (planes[k][i] > planes[found[i]][i]) found[i] = k;
  return found;
}

function nearest(classes, y, x, rows, columns) {
  const mask = new Int32Array(y.length * x.length);
  const cell = (point, size) => Math.min(Math.max(Math.floor(point + 1e-9), 0), size - 1);
  const along = Array.from(x, (point) => cell(point, columns));
  y.forEach((point, row) => {
    const start = cell(point, rows) * columns;
    for (let column = 0; column < x.length; column++) mask[row * x.length + column] = classes[start + along[column]];
  });
  return mask;
}

// Interpolate every class's scores and take the best, the first of equals.
function bestClass(planes, y, x, rows, columns) {
  const width = x.length, down = neighbours(y, rows), along = neighbours(x, columns);
  const mask = new Int32Array(y.length * width), top = new Float32Array(mask.length);
  planes.forEach((plane, index) => {
    // Along the rows first, while there are few of them.
    const wide = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < width; column++) {
        const a = plane[row * columns + along.low[column]], b = plane[row * columns + along.high[column]];
        wide[row * width + column] = a + f32(f32(b - a) * along.weight[column]);
      }
    }
    for (let row = 0; row < y.length; row++) {
      const upper = down.low[row] * width, lower = down.high[row] * width, weight = down.weight[row];
      for (let column = 0; column < width; column++) {
        const a = wide[upper + column], value = f32(a + f32(f32(wide[lower + column] - a) * weight)), at = row * width + column;
        if (index === 0 || value > top[at]) {
          top[at] = value;
          mask[at] = index;
        }
      }
    }
  });
  return mask;
}

function neighbours(points, size) {
  const low = new Int32Array(points.length), high = new Int32Array(points.length), weight = new Float32Array(points.length);
  points.forEach((point, index) => {
    const before = Math.floor(point - 0.5);
    weight[index] = point - 0.5 - before;
    low[index] = Math.min(Math.max(before, 0), size - 1);
    high[index] = Math.min(Math.max(before + 1, 0), size - 1);
  });
  return { low, high, weight };
}

function sharesOf(mask, labels) {
  const counts = new Array(labels.length).fill(0);
  for (const index of mask) counts[index] += 1;
  const found = counts.map((count, class_id) => ({ class_id, label: labels[class_id], share: count / mask.length }));
  return found.filter((one) => one.share > 0).sort((a, b) => b.share - a.share || a.class_id - b.class_id);
}

const halfToEven = (value) => (Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

export const controls = () => [{ name: "colour over the picture", key: "opacity", least: 0, most: 1, step: 0.05, value: 0.55, view: true }];

export function show(answer, { context, list, summary, view }) {
  const [height, width] = answer.size, layer = new OffscreenCanvas(width, height), paint = layer.getContext("2d");
  const image = paint.createImageData(width, height), colors = answer.labels.map((_, index) => palette(index));
  const pixels = new Uint32Array(image.data.buffer); // every browser's machine is little-endian: alpha, blue, green, red
  const packed = colors.map(([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
  for (let at = 0; at < pixels.length; at++) pixels[at] = packed[answer.mask[at]];
  paint.putImageData(image, 0, 0);
  context.save();
  context.globalAlpha = view.opacity;
  context.imageSmoothingEnabled = false;
  context.drawImage(layer, 0, 0, context.canvas.width, context.canvas.height);
  context.restore();
  const most = answer.shares[0];
  summary.replaceChildren(element("strong", most.label), element("span", `${(100 * most.share).toFixed(1)} % of the picture`, "share"));
  list.replaceChildren(
    ...answer.shares.slice(0, 12).map(({ class_id, label, share }) => {
      const row = element("li"), swatch = element("i", "", "swatch");
      swatch.style.background = css(colors[class_id]);
      row.append(swatch, element("span", label, "label"), element("span", `${(100 * share).toFixed(1)} %`, "share"));
      return row;
    }),
  );
}
