// The page: a picture or the camera in, what the model says of it out.

import { element } from "./draw.js";
import { pixelsOf } from "./image.js";
import { Model } from "./model.js";

const at = (id) => document.getElementById(id);
const LEAST = 560; // pixels of the shown picture's longer side: small ones grow by a whole factor
const state = { model: null, pixels: null, view: {}, stream: null, facing: "environment", busy: false };

async function start() {
  try {
    const began = performance.now();
    state.model = await Model.open((share) => { at("progress").value = share; });
    state.loaded = performance.now() - began;
    at("progress").hidden = true;
    at("status").textContent = "Ready";
    at("hint").hidden = false;
    at("file").disabled = false;
    at("camera").disabled = !navigator.mediaDevices?.getUserMedia;
    if (at("camera").disabled) at("camera").title = "Browsers give the camera to https and localhost only";
    drawControls();
    tellFacts();
    const asked = new URLSearchParams(location.search).get("picture");
    if (asked) await fromAddress(asked);
  } catch (error) {
    at("progress").hidden = true;
    at("status").textContent = "This page cannot run here";
    fail(error);
  }
  document.body.dataset.state = "ready";
}

function fail(error) {
  at("error").textContent = error instanceof Error ? error.message : String(error);
  at("error").hidden = false;
}

// A picture of the same host, so that a link can show one: index.html?picture=cat.png
async function fromAddress(address) {
  const response = await fetch(new URL(address, location.href));
  if (!response.ok) throw new Error(`${address} is missing: the host answers ${response.status}`);
  await fromFile(await response.blob());
}

async function fromFile(blob) {
  stop();
  try {
    // As its bytes say: no colour profile; turned as the camera was held.
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    state.pixels = pixelsOf(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
  } catch {
    fail(new Error("this file is no picture that the browser reads"));
    return;
  }
  await answer();
}

async function answer() {
  try {
    at("error").hidden = true;
    const { answer: found, ms } = await state.model.predict(state.pixels);
    state.found = found;
    paint();
    at("timing").textContent = `model ${told(ms.model)}, preparing the picture ${told(ms.prepare)}, reading the answer ${told(ms.read)}`;
    if (!state.stream) await state.model.measure();
    tellFacts();
  } catch (error) {
    at("answer").hidden = true;
    fail(error);
    stop();
  }
}

function paint() {
  const canvas = at("canvas"), { width, height } = state.pixels;
  const grow = Math.max(1, Math.floor(LEAST / Math.max(width, height)));
  const picture = new OffscreenCanvas(width, height);
  picture.getContext("2d").putImageData(state.pixels, 0, 0);
  canvas.width = width * grow;
  canvas.height = height * grow;
  canvas.classList.toggle("small", grow > 1);
  canvas.hidden = false;
  at("empty").hidden = true;
  at("answer").hidden = false;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = grow === 1;
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  // Text and lines keep their size on the screen, whatever the picture's.
  const scale = Math.max(1, canvas.width / Math.max(1, canvas.clientWidth || canvas.width));
  state.model.task.show(grown(state.found, grow), { context, scale, list: at("list"), summary: at("summary"), view: state.view });
}

function grown(found, grow) {
  if (!found.detections) return found;
  return { detections: found.detections.map((one) => ({ ...one, xyxy: one.xyxy.map((side) => side * grow) })) };
}

function drawControls() {
  for (const control of state.model.task.controls?.(state.model.contract.head) ?? []) {
    const label = element("label", control.name), value = element("output", control.value.toFixed(2)), input = element("input");
    Object.assign(input, { type: "range", min: control.least, max: control.most, step: control.step, value: control.value });
    const settings = control.view ? state.view : state.model.contract.head.settings;
    settings[control.key] = control.value;
    input.addEventListener("input", () => {
      settings[control.key] = Number(input.value);
      value.textContent = settings[control.key].toFixed(2);
      if (state.pixels && !state.stream) (control.view ? paint : answer)();
    });
    label.append(value, input);
    at("controls").append(label);
  }
}

async function camera() {
  if (state.stream) return stop();
  try {
    state.stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: state.facing }, audio: false });
  } catch (error) {
    return fail(new Error(`the camera cannot be used: ${error.message}`));
  }
  const video = document.createElement("video");
  Object.assign(video, { srcObject: state.stream, muted: true, playsInline: true });
  await video.play();
  at("camera").textContent = "Stop";
  at("turn").hidden = false;
  while (state.stream === video.srcObject) {
    state.pixels = pixelsOf(video, video.videoWidth, video.videoHeight);
    await answer();
    await new Promise(requestAnimationFrame);
  }
}

function stop() {
  state.stream?.getTracks().forEach((track) => track.stop());
  state.stream = null;
  at("camera").textContent = "Camera";
  at("turn").hidden = true;
}

const told = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : `${Math.round(ms)} ms`);

function tellFacts() {
  const { contract, times, median } = state.model, { file, engine } = contract;
  const facts = [
    ["File", `${file.path}, ${(file.size_bytes / 1e6).toFixed(2)} MB, ${file.made_as}`],
    ["SHA-256", file.sha256.slice(0, 16)],
    ["Engine", `${engine.name} ${engine.version}, WebAssembly on the CPU, 1 thread`],
    ["Time of the model in this browser", median === null ? "not measured yet" : `${told(median)}, median of ${Math.max(1, times.length - 1)}`],
    ["Loading it", told(state.loaded)],
    ...(contract.judged ? [["Accuracy, measured by edgecv", contract.judged]] : []),
  ];
  at("facts").replaceChildren(...facts.map(([term, fact]) => {
    const pair = element("div");
    pair.append(element("dt", term), element("dd", fact));
    return pair;
  }));
}

at("file").addEventListener("change", (event) => event.target.files[0] && fromFile(event.target.files[0]));
at("camera").addEventListener("click", camera);
at("turn").addEventListener("click", async () => {
  state.facing = state.facing === "environment" ? "user" : "environment";
  stop();
  await camera();
});
const stage = at("stage");
stage.addEventListener("dragover", (event) => { event.preventDefault(); stage.classList.add("over"); });
stage.addEventListener("dragleave", () => stage.classList.remove("over"));
stage.addEventListener("drop", (event) => {
  event.preventDefault();
  stage.classList.remove("over");
  if (state.model && event.dataTransfer.files[0]) fromFile(event.dataTransfer.files[0]);
});
document.addEventListener("paste", (event) => {
  if (state.model && event.clipboardData.files[0]) fromFile(event.clipboardData.files[0]);
});
start();
