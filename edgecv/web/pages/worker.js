// The agent of a browser: one worker per process of a benchmark, one model in it at most. It answers the commands of
// edgecv/runtime/agent.py with the same words; what a browser cannot tell is null, and `state` says why.
//
// What a time is: performance.now() around calls of the interpreter's run, inputs set beforehand to fixed seeded values.
// In: one call from JavaScript, the interpreter's work, and outputs made ready: on WebGPU their way back to the CPU too,
// since nothing else says that the GPU is done. Out: making inputs, reading outputs on the CPU, JSON. A block holds so
// many inferences that it is BLOCK_TICKS steps of the browser's clock long, or as many as were asked for if those are
// more: its answer says how many.
//
// A classic worker, since LiteRT.js loads its WebAssembly by importScripts; both interpreters are imported as modules.
'use strict';

const PROTOCOL = 1;
const BLOCK_TICKS = 100;
const ARRAYS = {
  float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array, int16: Int16Array,
  uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array, bool: Uint8Array,
};
const here = new URL('.', self.location.href).href;

class EdgecvError extends Error {
  constructor(type, message, hint = '') {
    super(message);
    this.type = type;
    this.hint = hint;
  }
}

// ---- tensors

function unpack(packed) {
  const kind = ARRAYS[packed.dtype];
  if (!kind) throw new EdgecvError('UnsupportedModelError', `a browser has no array of ${packed.dtype}`);
  const text = atob(packed.data);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new kind(bytes.buffer);
}

function pack(array, dtype, shape) {
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return {dtype, shape: [...shape], data: btoa(text)};
}

function seeded(detail, seed) {
  // Numerical Recipes' linear congruential generator: what is timed must not change from run to run.
  const count = detail.shape.reduce((a, b) => a * b, 1);
  const array = new ARRAYS[detail.dtype](count);
  let state = (seed * 2654435761 + 1) >>> 0;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    array[i] = detail.dtype.startsWith('float') ? state / 4294967296 : state >>> 16;
  }
  return array;
}

// ---- interpreters: each has `engine`, `accelerator`, `adapter`, `software`, `inputs`, `outputs`, and async
// set(arrays), invoke(), read(), close(). invoke leaves nothing behind that grows.

async function openGpu() {
  const adapter = navigator.gpu && await navigator.gpu.requestAdapter({powerPreference: 'high-performance'});
  if (!adapter) {
    throw new EdgecvError('DeviceError', 'this browser gives no WebGPU adapter',
      self.isSecureContext ? 'it may be switched off, or lack a driver; leave --accelerator gpu out'
        : 'WebGPU needs https or localhost: edgecv device serve --browser --host …');
  }
  return adapter;
}

function adapterName(info) {
  return info.description || [info.vendor, info.architecture, info.device].filter(Boolean).join(' ') || 'unnamed';
}

function isSoftware(info) {
  return Boolean(info.isFallbackAdapter) ||
    /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(`${adapterName(info)} ${info.vendor} ${info.architecture}`);
}

class Litert {
  static async open(bytes, {accelerator, threads, partial, precision, versions}) {
    const module = await import(`${here}litert/index.js`);
    const made = new Litert();
    made.module = module;
    made.engine = `litert.js ${versions['@litertjs/core']}`;
    const isGpu = accelerator === 'webgpu';
    let adapterInfo = null;
    if (isGpu) adapterInfo = (await openGpu()).info;
    const jspi = isGpu && 'Suspending' in WebAssembly;
    if (threads > 1 && !self.crossOriginIsolated) {
      throw new EdgecvError('ConfigError', `${threads} threads need a page that is isolated, and this one is not`,
        'open it on localhost or by https: edgecv device serve --browser --host …');
    }
    // The scripts that load WebAssembly look for it beside the worker otherwise.
    const wasm = `${here}litert/wasm/`;
    self.Module = {
      locateFile: (name) => wasm + name, mainScriptUrlOrBlob: `${wasm}litert_wasm_threaded_internal.js`,
    };
    const start = performance.now();
    if (!Litert.loading) Litert.loading = module.loadLiteRt(wasm, jspi ? {jspi: true} : {threads: threads > 1});
    const runtime = await Litert.loading;
    if (isGpu && !runtime.getDefaultEnvironment().webGpuDevice) {
      throw new EdgecvError('DeviceError', 'LiteRT.js found no WebGPU device', 'leave --accelerator gpu out');
    }
    const options = {accelerator, cpuOptions: {numThreads: threads}};
    if (isGpu && precision) options.gpuOptions = {precision: precision === 'float16' ? 'fp16' : 'fp32'};
    const compiling = performance.now();
    try {
      made.model = await module.loadAndCompile(bytes, options);
    } catch (error) {
      throw new EdgecvError('UnsupportedModelError', `LiteRT.js refuses the file: ${error.message || error}`,
        'edgecv inspect lists its operators and types');
    }
    const end = performance.now();
    // Without JSPI LiteRT.js runs all of a file on wasm when the GPU leaves an operator, and only logs that.
    const onGpu = made.model.options.accelerator === 'webgpu';
    made.full = !isGpu || (onGpu && made.model.isFullyAccelerated);
    if (isGpu && !made.full && !(partial && onGpu)) {
      throw new EdgecvError('PartialAccelerationError',
        onGpu ? 'LiteRT.js leaves operators of the file to the CPU' : 'LiteRT.js runs the file on wasm, since WebGPU leaves operators of it',
        'run it in part (--allow-partial), or leave --accelerator gpu out');
    }
    made.accelerator = isGpu ? 'webgpu' : 'wasm';
    made.adapter = adapterInfo && adapterName(adapterInfo);
    made.software = Boolean(adapterInfo) && isSoftware(adapterInfo);
    made.loadMs = end - start;
    made.compileMs = isGpu ? end - compiling : null;
    const plain = (details) => details.map((d) => ({name: d.name, dtype: d.dtype, shape: [...d.shape]}));
    made.inputs = plain(made.model.getInputDetails());
    made.outputs = plain(made.model.getOutputDetails());
    made.tensors = [];
    made.results = [];
    return made;
  }

  async set(arrays) {
    this.tensors.forEach((tensor) => tensor.delete());
    this.tensors = arrays.map((array, i) => new this.module.Tensor(array, this.inputs[i].shape));
  }

  async invoke() {
    for (const result of this.results) result.delete();
    this.results = await this.model.run(this.tensors);
    if (this.accelerator === 'webgpu') this.answered = await Promise.all(this.results.map((result) => result.data()));
  }

  async read() {
    return this.accelerator === 'webgpu' ? this.answered : Promise.all(this.results.map((result) => result.data()));
  }

  close() {
    for (const tensor of [...this.results, ...this.tensors]) tensor.delete();
    this.results = this.tensors = [];
    this.model.delete();
  }
}

class OnnxRuntime {
  static async open(bytes, {accelerator, threads, versions}) {
    if (accelerator !== 'wasm') {
      throw new EdgecvError('ConfigError', 'onnxruntime-web is used on wasm only: its WebGPU was seen to answer wrongly',
        'leave --accelerator gpu out, or give the .tflite file');
    }
    if (threads > 1 && !self.crossOriginIsolated) {
      throw new EdgecvError('ConfigError', `${threads} threads need a page that is isolated, and this one is not`,
        'open it on localhost or by https: edgecv device serve --browser --host …');
    }
    const start = performance.now();
    const ort = await import(`${here}ort/ort.wasm.min.mjs`);
    ort.env.wasm.wasmPaths = `${here}ort/`;
    ort.env.wasm.numThreads = threads;
    ort.env.logLevel = 'error';
    const opened = new OnnxRuntime();
    opened.ort = ort;
    opened.engine = `onnxruntime-web ${versions['onnxruntime-web']}`;
    try {
      opened.session = await ort.InferenceSession.create(bytes, {executionProviders: ['wasm']});
    } catch (error) {
      throw new EdgecvError('UnsupportedModelError', `onnxruntime-web refuses the file: ${error.message || error}`,
        'it may be damaged, or hold operators that it lacks');
    }
    opened.loadMs = performance.now() - start;
    opened.compileMs = null;
    opened.accelerator = 'wasm';
    opened.adapter = null;
    opened.software = false;
    opened.full = true;
    const plain = (details) => details.map((d) => ({
      name: d.name, dtype: d.type, shape: d.shape.map((size) => (typeof size === 'number' && size > 0 ? size : 1)),
    }));
    opened.inputs = plain(opened.session.inputMetadata);
    opened.outputs = plain(opened.session.outputMetadata);
    return opened;
  }

  async set(arrays) {
    this.feed = {};
    this.inputs.forEach((input, i) => {
      this.feed[input.name] = new this.ort.Tensor(input.dtype, arrays[i], input.shape);
    });
  }

  async invoke() {
    this.results = await this.session.run(this.feed);
  }

  async read() {
    return this.outputs.map((output) => {
      // The answer itself tells the true sizes.
      output.shape = [...this.results[output.name].dims];
      return this.results[output.name].data;
    });
  }

  close() {
    this.session.release();
  }
}

// ---- timing

function clockStep() {
  // The smallest step that the clock takes, in milliseconds: browsers make it coarse on purpose.
  let smallest = Infinity;
  const end = performance.now() + 20;
  for (let last = performance.now(); last < end;) {
    const now = performance.now();
    if (now > last) smallest = Math.min(smallest, now - last);
    last = now;
  }
  return Number(smallest.toPrecision(2));
}

async function block(run, iterations) {
  const start = performance.now();
  for (let i = 0; i < iterations; i++) await run();
  return performance.now() - start;
}

// Browsers run WebAssembly from quickly compiled code first and replace the functions that matter in the background, for
// seconds on a busy machine. So a warm-up is longer than a native one, and compares stretches that are far apart.
const TIERING_MS = 2000;
const MOST_WARMUP_MS = 10000;
const STRETCH_MS = 500;
const STABLE_GAIN = 0.02;

function isStable(stretches) {
  if (stretches.length < 3) return false;
  return Math.min(...stretches.slice(-2)) >= (1 - STABLE_GAIN) * Math.min(...stretches.slice(0, -2));
}

// ---- the agent

const agent = {opened: null, options: null, iterationMs: 0, step: clockStep()};

function opened() {
  if (!agent.opened) throw new EdgecvError('ConfigError', 'no model is loaded', 'send load first');
  return agent.opened;
}

function engineOf(request) {
  const named = request.engine ?? null;
  const isOnnx = request.path.endsWith('.onnx');
  const fitting = isOnnx ? 'onnxruntime' : 'litert';
  if (named !== null && named !== fitting) {
    throw new EdgecvError('ConfigError', `a browser runs this file with ${fitting}, not with ${named}`,
      'leave --engine out');
  }
  return isOnnx ? OnnxRuntime : Litert;
}

const ACCELERATORS = {cpu: 'wasm', gpu: 'webgpu'};

async function fetched(path) {
  const answer = await fetch(`${here}models/${path}`);
  if (!answer.ok) throw new EdgecvError('DeviceError', `the model cannot be fetched: status ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

const COMMANDS = {
  async hello() {
    return {protocol: PROTOCOL, edgecv: '', pid: 0, host: {}};
  },

  async pin() {
    return {cpu: null, cpus: []};
  },

  async load(request) {
    const accelerator = ACCELERATORS[request.accelerator ?? 'cpu'];
    if (!accelerator) {
      throw new EdgecvError('ConfigError', `a browser has no accelerator '${request.accelerator}'`, 'known: cpu, gpu');
    }
    if (agent.opened) agent.opened.close();
    agent.opened = null;
    agent.options = {
      accelerator, threads: request.threads ?? 1, partial: Boolean(request.partial),
      precision: request.precision ?? null, versions: request.versions,
    };
    const made = await engineOf(request).open(await fetched(request.path), agent.options);
    for (const each of [...made.inputs, ...made.outputs]) {
      if (!ARRAYS[each.dtype]) throw new EdgecvError('UnsupportedModelError', `a browser has no array of ${each.dtype}`);
    }
    await made.set(made.inputs.map((input, i) => seeded(input, (request.seed ?? 0) + i)));
    agent.opened = made;
    return {
      load_ms: made.loadMs, engine: made.engine, accelerator: made.accelerator,
      kind: made.software ? 'simulated' : 'measured', adapter: made.adapter, inputs: made.inputs,
      outputs: made.outputs, fully_accelerated: made.full, compile_ms: made.compileMs, from_cache: false,
    };
  },

  async warmup(request) {
    const model = opened(), run = () => model.invoke(), start = performance.now();
    const first = await block(run, 1);
    const blockMs = Math.max(request.block_ms ?? 3, BLOCK_TICKS * agent.step);
    // So short an inference may not move the clock: the first blocks hold more and more of them.
    let iterations = 1, each = 0;
    for (;;) {
      const ms = await block(run, iterations);
      each = ms / iterations;
      if (ms >= 20 * agent.step || performance.now() - start > (request.max_ms ?? 1000)) break;
      iterations *= 2;
    }
    // A plan that allows less than one stretch wants no steady figures: tests of everything else.
    const hasty = (request.max_ms ?? 1000) < STRETCH_MS;
    const least = Math.max(request.min_ms ?? 50, hasty ? 0 : TIERING_MS);
    const most = hasty ? request.max_ms : Math.max(request.max_ms ?? 1000, MOST_WARMUP_MS);
    const stretch = hasty ? most / 4 : STRETCH_MS;
    const stretches = [];  // the fastest inference of each
    let blocks = 1;
    for (;;) {
      const begun = performance.now();
      let fastest = Infinity;
      do {
        iterations = Math.max(1, each > 0 ? Math.ceil(blockMs / each) : 2 * iterations);
        each = await block(run, iterations) / iterations;
        fastest = Math.min(fastest, each);
        blocks++;
      } while (performance.now() - begun < stretch);
      stretches.push(fastest);
      const elapsed = performance.now() - start, stable = isStable(stretches);
      if ((stable && elapsed >= least) || elapsed >= most) {
        agent.iterationMs = Math.min(...stretches.slice(-2));
        return {first_ms: first, iteration_ns: agent.iterationMs * 1e6, blocks, stable, elapsed_ms: elapsed};
      }
    }
  },

  async run(request) {
    const model = opened(), run = () => model.invoke();
    if (request.each) throw new EdgecvError('ConfigError', 'a browser\'s clock is too coarse for single inferences');
    let iterations = request.iterations;
    if (iterations === undefined) {
      if (!agent.iterationMs) throw new EdgecvError('ConfigError', 'run with min_ms needs a warmup first');
      iterations = Math.ceil(request.min_ms / agent.iterationMs);
    }
    const least = agent.iterationMs ? Math.ceil(BLOCK_TICKS * agent.step / agent.iterationMs) : 1;
    iterations = Math.max(1, iterations, least);
    for (let i = 0; i < (request.settle ?? 0); i++) await run();
    const ns = Math.round(await block(run, iterations) * 1e6);
    // A browser tells elapsed times only; nobody uses the CPU's where nothing counts interruptions.
    return {iterations, wall_ns: ns, cpu_ns: ns, switches: null, each_ns: null};
  },

  async predict(request) {
    const model = opened(), samples = [];
    for (const sample of request.samples) {
      if (sample.length !== model.inputs.length) {
        throw new EdgecvError('ConfigError', `a sample must be a list of ${model.inputs.length} tensors`);
      }
      await model.set(sample.map(unpack));
      await model.invoke();
      const read = await model.read();
      samples.push(read.map((array, i) => pack(array, model.outputs[i].dtype, model.outputs[i].shape)));
    }
    return {samples};
  },

  async precision(request) {
    const model = opened();
    if (model.accelerator !== 'webgpu') return {precision: null};
    // A float16 has no 2049: what comes back of it tells which type the accelerator computes in.
    const probe = await Litert.open(unpack({dtype: 'uint8', data: request.probe}), agent.options);
    await probe.set([new Float32Array(4).fill(request.telltale)]);
    await probe.invoke();
    const [read] = await probe.read();
    probe.close();
    return {precision: read.every((value) => value === request.telltale) ? 'float32' : 'float16'};
  },

  async memory() {
    return {peak_rss_bytes: null, rss_before_load_bytes: null};
  },

  async close() {
    return {closed: true};
  },
};

async function answer(line) {
  try {
    const request = JSON.parse(line), command = COMMANDS[request.command];
    if (!command) throw new EdgecvError('ConfigError', `unknown agent command '${request.command}'`);
    return await command(request);
  } catch (error) {
    const type = error instanceof EdgecvError ? error.type : 'DeviceError';
    const message = error instanceof EdgecvError ? error.message : `${error.name || 'Error'}: ${error.message || error}`;
    return {error: {type, message, hint: error.hint || ''}};
  }
}

let turn = Promise.resolve();
self.onmessage = (event) => {
  turn = turn.then(async () => self.postMessage(JSON.stringify(await answer(event.data))));
};
