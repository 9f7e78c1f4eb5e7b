// From a picture's pixels to the model's input tensor, as edgecv/runtime/image.py and edgecv/tasks/frame.py do it: half-pixel
// centres, no antialiasing, float32 at every step.

const f32 = Math.fround;
const LUMA = [0.299, 0.587, 0.114].map(f32);

// Return where an image of [height, width] lies in an input of [height, width]: x' = across * x + left, y' = down * y + top.
// `cut` is the part of the image that is seen, and `placed` where that lands: both [top, left, height, width].
export function frameOf(settings, size, inputSize) {
  const [rows, columns] = size, [height, width] = inputSize;
  let cut = [0, 0, rows, columns], placed = [0, 0, height, width];
  if (settings.resize === "center_crop") {
    const kept = cropSize(size, inputSize);
    cut = [(rows - kept[0]) >> 1, (columns - kept[1]) >> 1, ...kept];
  } else if (settings.resize !== "stretch") {
    const inside = settings.resize === "pad" ? size : letterboxSize(size, inputSize);
    placed = [(height - inside[0]) >> 1, (width - inside[1]) >> 1, ...inside];
  }
  const down = placed[2] / cut[2], across = placed[3] / cut[3];
  return { size, inputSize, cut, placed, down, across, top: placed[0] - down * cut[0], left: placed[1] - across * cut[1] };
}

function letterboxSize([rows, columns], [height, width]) {
  if (rows * width >= columns * height) return [height, Math.max(1, Math.floor((2 * columns * height + rows) / (2 * rows)))];
  return [Math.max(1, Math.floor((2 * rows * width + columns) / (2 * columns))), width];
}

function cropSize([rows, columns], [height, width]) {
  return [
    Math.max(1, Math.min(rows, Math.floor((columns * height) / width))),
    Math.max(1, Math.min(columns, Math.floor((rows * width) / height))),
  ];
}

// Return the input tensor of a picture, Float32Array (height, width, channels), and the frame.
export function prepared(pixels, input) {
  const settings = input.preprocessing, [height, width, channels] = input.shape;
  const size = [pixels.height, pixels.width];
  if (settings.resize === "pad" && (size[0] > height || size[1] > width)) {
    throw new Error(`the model takes pictures of at most ${width} x ${height} pixels and never scales them`);
  }
  const frame = frameOf(settings, size, [height, width]);
  const [top, left, rows, columns] = frame.placed;
  const tensor = new Float32Array(height * width * channels);
  const mean = settings.mean.map(f32), std = settings.std.map(f32);
  const write = (at, r, g, b) => {
    if (channels === 1) {
      tensor[at] = f32(f32(gray(r, g, b) - mean[0]) / std[0]);
      return;
    }
    const first = settings.color === "bgr" ? b : r, last = settings.color === "bgr" ? r : b;
    tensor[at] = f32(f32(first - mean[0]) / std[0]);
    tensor[at + 1] = f32(f32(g - mean[1]) / std[1]);
    tensor[at + 2] = f32(f32(last - mean[2]) / std[2]);
  };
  const padding = settings.pad_value;
  if (rows < height || columns < width) {
    for (let at = 0; at < tensor.length; at += channels) write(at, padding, padding, padding);
  }
  const sample = settings.interpolation === "nearest" ? nearest : bilinear;
  sample(pixels, frame, (y, x, r, g, b) => write(((top + y) * width + left + x) * channels, r, g, b));
  return { tensor, frame };
}

function gray(r, g, b) {
  // A gray picture stays what it is: the weights do not sum to 1 in float32.
  if (r === g && g === b) return r;
  return f32(f32(f32(r * LUMA[0]) + f32(g * LUMA[1])) + f32(b * LUMA[2]));
}

function nearest(pixels, frame, write) {
  const [top, left, rows, columns] = frame.cut, [, , height, width] = frame.placed, data = pixels.data;
  const place = (index, size, wanted) => Math.min(Math.floor(((2 * index + 1) * size) / (2 * wanted)), size - 1);
  for (let y = 0; y < height; y++) {
    const row = (top + place(y, rows, height)) * pixels.width + left;
    for (let x = 0; x < width; x++) {
      const at = 4 * (row + place(x, columns, width));
      write(y, x, data[at], data[at + 1], data[at + 2]);
    }
  }
}

function bilinear(pixels, frame, write) {
  const [top, left, rows, columns] = frame.cut, [, , height, width] = frame.placed, data = pixels.data;
  const down = neighbours(rows, height), along = neighbours(columns, width);
  const mix = (a, b, weight) => f32(a + f32(f32(b - a) * weight));
  const value = [0, 0, 0];
  for (let y = 0; y < height; y++) {
    const upper = (top + down.low[y]) * pixels.width + left, lower = (top + down.high[y]) * pixels.width + left;
    for (let x = 0; x < width; x++) {
      const a = 4 * (upper + along.low[x]), b = 4 * (upper + along.high[x]);
      const c = 4 * (lower + along.low[x]), d = 4 * (lower + along.high[x]);
      for (let k = 0; k < 3; k++) {
        const above = mix(data[a + k], data[b + k], along.weight[x]), below = mix(data[c + k], data[d + k], along.weight[x]);
        value[k] = mix(above, below, down.weight[y]);
      }
      write(y, x, value[0], value[1], value[2]);
    }
  }
}

function neighbours(size, wanted) {
  const low = new Int32Array(wanted), high = new Int32Array(wanted), weight = new Float32Array(wanted);
  for (let i = 0; i < wanted; i++) {
    const centre = (i + 0.5) * (size / wanted) - 0.5, before = Math.floor(centre);
    weight[i] = centre - before;
    low[i] = Math.min(Math.max(before, 0), size - 1);
    high[i] = Math.min(Math.max(before + 1, 0), size - 1);
  }
  return { low, high, weight };
}

// Return the RGBA pixels of a picture, a video frame or a canvas, as they are: no colour profile is applied.
export function pixelsOf(source, width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

// Return whether a picture has pixels that are not opaque, which edgecv's runtime refuses too.
export function isTransparent(pixels) {
  for (let at = 3; at < pixels.data.length; at += 4) if (pixels.data[at] !== 255) return true;
  return false;
}
