// The page of a browser that is a device: it polls for messages, gives each process of a benchmark a worker of its own,
// and shows what they do. What is done is kept by the server, so that a reload shows it again.
const $ = (id) => document.getElementById(id);
const random = () => [...crypto.getRandomValues(new Uint8Array(9))].map((b) => b.toString(16).padStart(2, '0')).join('');
const tab = sessionStorage.getItem('edgecv-tab') || random();
sessionStorage.setItem('edgecv-tab', tab);
const page = random();  // another one after each reload: what ran before it is gone
const sessions = new Map();
const RETRY_MS = 1000;
const ADAPTER_MS = 15000;

// ---- what this browser is

async function supports(bytes) {
  try {
    return WebAssembly.validate(new Uint8Array(bytes));
  } catch (error) {
    return false;
  }
}

// A module with i8x16.relaxed_swizzle: LiteRT.js has a build with relaxed SIMD, which may round differently.
const RELAXED = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2,
  253, 15, 253, 128, 2, 11];

function clockStepUs() {
  let smallest = Infinity;
  const end = performance.now() + 50;
  for (let last = performance.now(); last < end;) {
    const now = performance.now();
    if (now > last) smallest = Math.min(smallest, now - last);
    last = now;
  }
  return Number((smallest * 1000).toPrecision(1));
}

function called() {
  const agent = navigator.userAgent;
  const known = [['Firefox', /Firefox\/([\d.]+)/], ['Edge', /Edg(?:A|iOS)?\/([\d.]+)/], ['Opera', /OPR\/([\d.]+)/],
    ['Samsung Internet', /SamsungBrowser\/([\d.]+)/], ['Chrome', /(?:Chrome|CriOS)\/([\d.]+)/],
    ['Safari', /Version\/([\d.]+).*Safari/]];
  let [name, version] = ['browser', ''];
  for (const [title, pattern] of known) {
    const found = agent.match(pattern);
    if (found) { [name, version] = [title, found[1]]; break; }
  }
  const brands = (navigator.userAgentData?.brands || []).map((brand) => brand.brand);
  if (name === 'Chrome' && brands.includes('Chromium') && !brands.includes('Google Chrome')) name = 'Chromium';
  const systems = [['Android', /Android/], ['iOS', /iPhone|iPad/], ['Windows', /Windows/], ['macOS', /Mac OS X/],
    ['ChromeOS', /CrOS/], ['Linux', /Linux/]];
  return {browser: name, version, os: (systems.find(([, pattern]) => pattern.test(agent)) || ['unknown'])[0]};
}

async function adapter() {
  try {
    // A driver that hangs must not keep the page from connecting.
    const found = navigator.gpu && await Promise.race([
      navigator.gpu.requestAdapter({powerPreference: 'high-performance'}),
      new Promise((done) => setTimeout(done, ADAPTER_MS, null))]);
    if (!found) return {kind: 'none', adapter: null};
    const {vendor, architecture, device, description, isFallbackAdapter} = found.info;
    const name = description || [vendor, architecture, device].filter(Boolean).join(' ') || 'unnamed';
    const software = isFallbackAdapter || /swiftshader|llvmpipe|lavapipe|basic render|software/i.test(`${name} ${architecture}`);
    return {kind: software ? 'software' : 'real', adapter: name};
  } catch (error) {
    return {kind: 'none', adapter: null};
  }
}

async function facts() {
  return {
    ...called(), user_agent: navigator.userAgent, cpus: navigator.hardwareConcurrency || null,
    secure: isSecureContext, isolated: Boolean(self.crossOriginIsolated), clock_resolution_us: clockStepUs(),
    relaxed_simd: await supports(RELAXED), gpu: await adapter(),
  };
}

// ---- talking to the server; addresses are relative, and hold the token

async function post(what, body) {
  const answer = await fetch(what, {method: 'POST', body: JSON.stringify({tab, page, ...body})});
  if (!answer.ok) throw Object.assign(new Error(`${what}: status ${answer.status}`), {status: answer.status});
  return answer.json();
}

async function delivered(what, body) {
  // Answers carry numbers, so that one which arrives twice counts once.
  for (;;) {
    try {
      return await post(what, body);
    } catch (error) {
      if (error.status) return null;  // the server does not want it any more
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

// ---- sessions: a worker each

function begin(id) {
  const worker = new Worker('worker.js');
  const session = {id, worker, sent: 0, model: '', what: 'starting', times: [], answered: 0, asked: null};
  worker.onmessage = (event) => {
    watch(session, event.data);
    delivered('reply', {session: id, number: ++session.sent, line: event.data});
  };
  worker.onerror = (event) => {
    session.what = 'failed';
    delivered('reply', {session: id, number: ++session.sent, died: event.message || 'its worker could not go on'});
    show();
  };
  sessions.set(id, session);
  wake();
}

function tell(id, line) {
  const session = sessions.get(id);
  if (!session) return;
  session.asked = JSON.parse(line);
  session.what = {load: 'loading', warmup: 'warming up', run: 'measuring', predict: 'answering'}[session.asked.command]
    || session.what;
  if (session.asked.command === 'load') session.model = session.asked.name || session.asked.path;
  session.worker.postMessage(line);
  show();
}

function finish(id) {
  const session = sessions.get(id);
  if (!session) return;
  session.worker.terminate();
  sessions.delete(id);
  const done = summary(session);
  if (done) { remember(done); delivered('result', {result: done}); }
  if (!sessions.size) sleep();
  show();
}

function watch(session, line) {
  const answer = JSON.parse(line), command = session.asked?.command;
  if (answer.error) session.error = answer.error.message;
  else if (command === 'load') {
    session.on = `${answer.engine}, ${answer.accelerator}${session.asked.threads > 1 ? `, ${session.asked.threads} threads` : ''}`;
    session.kind = answer.kind;
  } else if (command === 'run') session.times.push(answer.wall_ns / answer.iterations / 1e6);
  else if (command === 'predict') session.answered += answer.samples.length;
  show();
}

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const milliseconds = (ms) => (ms < 1 ? `${ms.toFixed(3)} ms` : `${ms.toPrecision(3)} ms`);

function summary(session) {
  if (!session.model) return null;
  const parts = [];
  if (session.times.length) parts.push(`${milliseconds(median(session.times))}, median of ${session.times.length} blocks`);
  if (session.answered) parts.push(`${session.answered} samples answered`);
  if (session.error) parts.push(`failed: ${session.error}`);
  if (!parts.length) return null;
  return {model: session.model, on: session.on || '', kind: session.kind || '', told: parts.join('; '), at: Date.now()};
}

// ---- what is shown

const history = [];

function remember(result) {
  history.unshift(result);
  history.length = Math.min(history.length, 50);
}

function row(cells, kind = 'td') {
  const line = document.createElement('tr');
  for (const text of cells) {
    const cell = document.createElement(kind);
    cell.textContent = text;
    line.append(cell);
  }
  return line;
}

function show() {
  const running = [...sessions.values()].map((session) => row([
    session.model || '…', session.on || '',
    session.times.length ? `${session.what}: ${milliseconds(median(session.times))} after ${session.times.length} blocks`
      : session.answered ? `${session.what}: ${session.answered} samples` : session.what]));
  $('running').replaceChildren(...running);
  $('idle').hidden = running.length > 0;
  $('busy').hidden = !running.length;
  $('done').replaceChildren(...history.map((result) => row([
    result.model, result.kind ? `${result.on} (${result.kind})` : result.on, result.told,
    new Date(result.at).toLocaleTimeString()])));
  $('past').hidden = !history.length;
  document.title = running.length ? 'measuring · edgecv' : 'edgecv';
}

function say(text, good = true) {
  $('state').textContent = text;
  $('state').className = good ? 'good' : 'bad';
}

// A phone whose screen goes dark stops the page; while something runs, the screen is kept on where that is allowed.
let lock = null;

async function wake() {
  try {
    lock = lock || await navigator.wakeLock?.request('screen');
  } catch (error) {
    lock = null;
  }
}

function sleep() {
  lock?.release?.();
  lock = null;
}

// ---- the life of the page

async function attach(found) {
  const wanted = localStorage.getItem('edgecv-name') || '';
  const joined = await post('attach', {wanted, facts: found});
  for (const id of [...sessions.keys()]) { sessions.get(id).worker.terminate(); sessions.delete(id); }
  history.splice(0, history.length, ...joined.history);
  $('name').textContent = joined.name;
  $('device').textContent = `--device browser:${joined.name}`;
  show();
}

async function live() {
  const found = await facts();
  const fast = found.isolated ? 'isolated: threads can be used' : 'not isolated: one thread, a coarse clock';
  $('facts').textContent = `${found.browser} ${found.version} on ${found.os} · ${fast} · clock ${found.clock_resolution_us} µs`
    + ` · GPU: ${found.gpu.kind === 'none' ? 'none' : `${found.gpu.adapter} (${found.gpu.kind === 'software' ? 'simulated' : 'real'})`}`;
  let after = 0, attached = false;
  for (;;) {
    try {
      if (!attached) { await attach(found); attached = true; after = 0; say('connected'); }
      const answer = await fetch(`next?tab=${tab}&page=${page}&after=${after}`);
      if (answer.status === 409) { attached = false; continue; }
      if (answer.status === 410) { say('another copy of this tab took over', false); return; }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const {messages, ended} = await answer.json();
      say('connected');
      for (const message of messages) {
        after = message.number;
        if (message.kind === 'open') begin(message.session);
        else if (message.kind === 'line') tell(message.session, message.line);
        else finish(message.session);
      }
      if (ended) { say('the server has ended: this tab can be closed', false); return; }
    } catch (error) {
      say('no connection; trying again …', false);
      await new Promise((done) => setTimeout(done, RETRY_MS));
    }
  }
}

addEventListener('pagehide', () => navigator.sendBeacon('leave', JSON.stringify({tab, page})));
addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
document.addEventListener('visibilitychange', () => { if (!document.hidden && sessions.size) wake(); });
$('rename').addEventListener('submit', async (event) => {
  event.preventDefault();
  localStorage.setItem('edgecv-name', $('wanted').value);
  location.reload();
});
live();
