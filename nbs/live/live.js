// Samples in the page: the networks are ONNX graphs of x̂(z, t), and Python has written the two numbers of each DDIM step into live.json.
const here = new URL('.', import.meta.url), runtime = new URL('../site_libs/onnxruntime-web/dist/', here);
const $ = id => document.getElementById(id);
let loaded;

async function get(name, how) {
  say(`Fetching ${name} …`);
  const answer = await fetch(new URL(name, here)).catch(() => { throw new Error(`${name} could not be fetched: is the server of this page within reach?`); });
  if (!answer.ok) throw new Error(`${name} is missing (${answer.status}): build the site with "make site"`);
  return answer[how]();
}

async function load() {
  if (typeof WebAssembly !== 'object') throw new Error('this browser has no WebAssembly, which the networks need');
  say('Fetching the runtime …');
  const ort = await import(new URL('ort.wasm.min.mjs', runtime)).catch(() => { throw new Error('the runtime could not be fetched: is the server of this page within reach?'); });
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = runtime.href;
  const recipe = await get('live.json', 'json'), sessions = {};
  for (const name of recipe.networks) sessions[name] = await ort.InferenceSession.create(new Uint8Array(await get(`${name}.onnx`, 'arrayBuffer')));
  return { ort, recipe, sessions };
}

function ready() {
  loaded ??= load().catch(error => { loaded = undefined; throw error; });
  return loaded;
}

// DDIM as two numbers a step: z = c_x x̂ + c_z z, with x̂ clamped to [-1, 1]. Answers { images, milliseconds }, the network's and the arithmetic's time alone.
async function walk(name, steps, noise, onStep) {
  const { ort, recipe, sessions } = await ready();
  const [c, h, w] = recipe.shape, n = noise.length / (c * h * w), z = Float32Array.from(noise);
  let milliseconds = 0, shown = performance.now();
  for (const [k, [t, c_x, c_z]] of recipe.walks[steps].entries()) {
    const began = performance.now();
    const { x_hat } = await sessions[name].run({ z: new ort.Tensor('float32', z, [n, c, h, w]), t: new ort.Tensor('float32', new Float32Array(n).fill(t), [n]) });
    for (let i = 0; i < z.length; i++) z[i] = c_x * Math.min(1, Math.max(-1, x_hat.data[i])) + c_z * z[i];
    milliseconds += performance.now() - began;
    if (performance.now() - shown > 50) { // let the page breathe
      onStep?.(k + 1);
      await new Promise(go => setTimeout(go));
      shown = performance.now();
    }
  }
  return { images: z, milliseconds };
}

// Normal numbers from a seed: a 32-bit generator (mulberry32) and Box and Muller's transform
function makeNoise(length, seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6D2B79F5) >>> 0;
    let o = Math.imul(state ^ (state >>> 15), state | 1);
    o ^= o + Math.imul(o ^ (o >>> 7), o | 61);
    return ((o ^ (o >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length }, () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()));
}

function draw(canvas, images, [, h, w], columns) {
  const n = images.length / (h * w);
  canvas.width = columns * (w + 1) + 1;
  canvas.height = Math.ceil(n / columns) * (h + 1) + 1;
  const context = canvas.getContext('2d'), picture = context.createImageData(canvas.width, canvas.height);
  new Uint32Array(picture.data.buffer).fill(0xff808080); // grey between the images, which noise and digits both stand out from
  images.forEach((value, i) => {
    const image = Math.floor(i / (h * w)), y = Math.floor(i / w) % h, x = i % w;
    const at = 4 * (((Math.floor(image / columns) * (h + 1)) + y + 1) * canvas.width + (image % columns) * (w + 1) + x + 1);
    picture.data.fill(Math.round(127.5 * (Math.min(1, Math.max(-1, value)) + 1)), at, at + 3);
  });
  context.putImageData(picture, 0, 0);
}

const time = ms => ms < 10 ? ms.toFixed(1) : Math.round(ms).toLocaleString('en');

const count = () => Number($('live-count').value), seed = () => Number($('live-seed').value);

function say(text) { $('live-status').textContent = text; }

function isNoise(how = 'checkValidity') {
  const good = $('live-seed')[how]();
  $('live-seed').setAttribute('aria-invalid', !good);
  if (!good) say(`The noise number must be a whole number from 0 to 999,999, got ${$('live-seed').value || 'none'}.`);
  return good;
}

// Before the first step, and whenever other noise is chosen: what both start from
function showNoise() {
  if (!isNoise()) return;
  say('Both start from this noise: press Sample.');
  const noise = makeNoise(count() * 64, seed());
  for (const side of ['student', 'teacher']) {
    draw($(`live-${side}-picture`), noise, [1, 8, 8], Math.sqrt(count()));
    $(`live-${side}-picture`).setAttribute('aria-label', `the noise that the ${side} starts from`);
    $(`live-${side}-words`).textContent = `${side}: noise so far`;
  }
}

// A single short walk is over before a clock can measure it: walk again until 200 ms or nine walks have gone by, and take the median
async function timed(name, steps, noise, onStep) {
  const all = [];
  let images, spent = 0;
  do {
    const walked = await walk(name, steps, noise, onStep);
    images = walked.images;
    all.push(walked.milliseconds);
    spent += walked.milliseconds;
  } while (spent < 200 && all.length < 9);
  return { images, milliseconds: all.sort((a, b) => a - b)[all.length >> 1] };
}

let running = false;
function run(on) { // what is chosen stays as it is while it runs; the buttons keep the focus
  running = on;
  for (const id of ['live-steps', 'live-student', 'live-count', 'live-seed']) $(id).disabled = on;
  for (const id of ['live-sample', 'live-new']) $(id).setAttribute('aria-disabled', on);
  $('live-progress').textContent = '';
}

async function sample() {
  if (running || !isNoise('reportValidity')) return;
  showNoise();
  run(true);
  try {
    say('Sampling …');
    const { recipe } = await ready();
    const n = count(), pixels = recipe.shape.reduce((a, b) => a * b), noise = makeNoise(n * pixels, seed());
    const teacherSteps = Number($('live-steps').value), studentSteps = Number($('live-student').value);
    const student = `student-${String(studentSteps).padStart(2, '0')}`, times = {};
    say('Sampling …');
    for (const name of [student, 'teacher']) await walk(name, 1, noise); // the first call of a session is slow
    for (const [side, name, steps] of [['student', student, studentSteps], ['teacher', 'teacher', teacherSteps]]) {
      const { images, milliseconds } = await timed(name, steps, noise, done => { $('live-progress').textContent = `${side}: step ${done} of ${steps}`; });
      draw($(`live-${side}-picture`), images, recipe.shape, Math.sqrt(n));
      const words = `${side}, ${steps} step${steps > 1 ? 's' : ''}: ${time(milliseconds)} ms for ${n} digits`;
      $(`live-${side}-words`).textContent = words;
      $(`live-${side}-picture`).setAttribute('aria-label', `${n} digits drawn by the ${words}`);
      times[side] = milliseconds;
    }
    const ratio = times.teacher / times.student;
    say(`From the same noise, the student took ${time(times.student)} ms and the teacher ${time(times.teacher)} ms, ${ratio.toFixed(ratio < 10 ? 1 : 0)} times as long.`);
  } catch (error) {
    say(`It did not work: ${error.message}`);
  } finally {
    run(false);
  }
}

for (const name of ['live-count', 'live-seed']) $(name).addEventListener('change', showNoise);
$('live-sample').addEventListener('click', sample);
$('live-seed').addEventListener('keydown', event => { if (event.key === 'Enter') sample(); });
$('live-new').addEventListener('click', () => { if (!running) { $('live-seed').value = Math.floor(Math.random() * 1e6); sample(); } });
showNoise();
Object.assign(window, { liveNoise: makeNoise, liveSample: async (name, steps, noise) => Array.from((await walk(name, steps, noise)).images) }); // for the test that compares them with Python's
