// Between real numbers and what integer tensors store, as edgecv/runtime/tensors.py: real = (stored - zero_point) * scale.

const f32 = Math.fround;
const TYPES = {
  float32: Float32Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array, int32: Int32Array,
};
const LIMITS = { int8: [-128, 127], uint8: [0, 255], int16: [-32768, 32767], int32: [-2147483648, 2147483647] };

export const reads = (dtype) => dtype in TYPES;

export function toStored(values, info) {
  if (info.dtype === "float32") return values;
  const stored = new TYPES[info.dtype](values.length), [least, most] = LIMITS[info.dtype];
  const scale = f32(info.scale ?? 1), zero = info.zero_point ?? 0;
  for (let i = 0; i < values.length; i++) {
    stored[i] = Math.min(Math.max(halfToEven(f32(values[i] / scale)) + zero, least), most);
  }
  return stored;
}

export function toReal(stored, info) {
  if (info.scale === null || info.scale === undefined) return Float32Array.from(stored);
  const real = new Float32Array(stored.length), scale = f32(info.scale), zero = f32(info.zero_point ?? 0);
  for (let i = 0; i < stored.length; i++) real[i] = f32(f32(stored[i] - zero) * scale);
  return real;
}

function halfToEven(value) {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 ? 2 * Math.round(value / 2) : rounded;
}
