// The few functions that decoders share, in float32 as edgecv's runtime has them.

const f32 = Math.fround;

export const sigmoid = (value) => f32(1 / (1 + Math.exp(Math.min(-value, 87))));

export const clip = (value, least, most) => Math.min(Math.max(value, least), most);

export function softmax(values) {
  const highest = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = Float32Array.from(values, (value) => Math.exp(value - highest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}
