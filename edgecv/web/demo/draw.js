// What the page draws with: colours of classes, and elements.

// Told apart with any kind of colour vision. Source: Okabe and Ito 2008, "Color Universal Design"; edgecv/tasks/drawing.py.
const OKABE_ITO = [
  [230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [213, 94, 0], [204, 121, 167], [0, 114, 178],
];
const TINTS = [0, 0.45, -0.4];

export function palette(index) {
  const color = OKABE_ITO[index % OKABE_ITO.length];
  const tint = TINTS[Math.floor(index / OKABE_ITO.length) % TINTS.length], goal = tint > 0 ? 255 : 0;
  return color.map((part) => Math.round(part + (goal - part) * Math.abs(tint)));
}

export const css = (color) => `rgb(${color.join(" ")})`;

// Black or white, whichever is easier to read on a colour. Source: WCAG 2.2, relative luminance.
export function readableOn(color) {
  const [r, g, b] = color.map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#000" : "#fff";
}

export function element(tag, text = "", name = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (name) made.className = name;
  return made;
}
