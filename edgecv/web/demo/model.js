// The model of this page: its file and contract, the interpreter, and what it says of a picture.

import { loadAndCompile, loadLiteRt, Tensor } from "./litert/index.js";
import { isTransparent, prepared } from "./image.js";
import { toReal, toStored } from "./tensors.js";

const KEPT = 50; // times of which the median is told
const ENOUGH = 10, LONGEST = 1500; // runs for a first median, and ms that they may take together

export class Model {
  // Load everything. `progress` is called with the share of the model file that has come.
  static async open(progress = () => {}) {
    const contract = await (await found("contract.json")).json();
    const task = await import(`./tasks/${contract.head.task}.js`);
    const bytes = await downloaded(encodeURIComponent(contract.file.path), progress);
    await loadLiteRt("./litert/wasm/");
    const compiled = await loadAndCompile(bytes, { accelerator: "wasm" });
    return new Model(contract, task, compiled);
  }

  constructor(contract, task, compiled) {
    Object.assign(this, { contract, task, compiled, times: [] });
    this.names = compiled.getOutputDetails().map((detail) => detail.name);
    const alone = contract.outputs.length === 1 && this.names.length === 1;
    this.places = contract.outputs.map((info) => (alone ? 0 : this.names.indexOf(info.name)));
    if (this.places.includes(-1)) throw new Error(`the file has outputs ${this.names}, not those of its contract`);
  }

  // Return {answer, frame, ms} of a picture's pixels, an ImageData of any size.
  async predict(pixels) {
    if (isTransparent(pixels)) throw new Error("the picture has transparent parts; the model was not made for those");
    const started = performance.now();
    const { tensor, frame } = prepared(pixels, this.contract.input);
    const stored = toStored(tensor, this.contract.input.tensor);
    const ready = performance.now();
    this.last = stored;
    const outputs = await this.run(stored);
    const ran = performance.now();
    const answer = this.task.decode(outputs, this.contract.head, frame);
    const ms = { prepare: ready - started, model: ran - ready, read: performance.now() - ran };
    this.times.push(ms.model);
    if (this.times.length > KEPT) this.times.shift();
    return { answer, frame, ms };
  }

  // Run the last picture again until a median is worth telling: the first run warms up.
  async measure() {
    const started = performance.now();
    while (this.times.length <= ENOUGH && performance.now() - started < LONGEST) {
      const began = performance.now();
      await this.run(this.last);
      this.times.push(performance.now() - began);
    }
  }

  // Return {values, shape} of each output that the head reads, float32 in real units, without the batch.
  async run(stored) {
    const input = new Tensor(stored, [1, ...this.contract.input.shape]);
    const found = await this.compiled.run([input]);
    input.delete();
    const outputs = [];
    for (const [index, info] of this.contract.outputs.entries()) {
      const values = toReal(await found[this.places[index]].data(), info);
      outputs.push({ values, shape: info.shape.slice(1) });
    }
    for (const output of found) if (!output.deleted) output.delete();
    return outputs;
  }

  // Median time of the model in ms over the last runs; the first one, which warms up, is left out once there are others.
  get median() {
    const known = (this.times.length > 1 ? this.times.slice(1) : this.times).toSorted((a, b) => a - b);
    const half = known.length >> 1;
    if (!known.length) return null;
    return known.length % 2 ? known[half] : (known[half - 1] + known[half]) / 2;
  }
}

async function found(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} is missing: the host answers ${response.status}`);
  return response;
}

async function downloaded(address, progress) {
  const response = await found(address);
  const total = Number(response.headers.get("Content-Length")) || 0;
  const parts = [], reader = response.body.getReader();
  let got = 0;
  for (let next = await reader.read(); !next.done; next = await reader.read()) {
    parts.push(next.value);
    got += next.value.length;
    if (total) progress(Math.min(1, got / total));
  }
  const whole = new Uint8Array(got);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
