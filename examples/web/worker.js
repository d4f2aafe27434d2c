/** The page's worker: it has the device and the model, and answers one request after the other. */
import {
  cerem,
  defaultRecipe,
  kernels,
  loadModel,
  newModel,
  openDevice,
  Runtime,
  VERIFY_TOLERANCE,
  verifyKernel,
} from 'spanwise';
// As bytes: see build.mjs.
import config from './model/config.json';
import weights from './model/model.safetensors';
import schema from './model/schema.json';
import tokenizer from './model/tokenizer_config.json';
import vocab from './model/vocab.txt';

const bundled = {
  'config.json': config,
  'model.safetensors': weights,
  'schema.json': schema,
  'tokenizer_config.json': tokenizer,
  'vocab.txt': vocab,
};

/** Passes that a time is the least of. */
const ROUNDS = 3;

let runtime;
let model;
/** Requests that the page no longer wants. */
const stopped = new Set();

/** Opens the device, once. */
async function device() {
  runtime ??= new Runtime(await openDevice(navigator.gpu));
  return runtime;
}

/** The bytes of a chosen file, telling how far they are. */
async function bytesOf(file, tell) {
  const bytes = new Uint8Array(file.size);
  let at = 0;
  for (const reader = file.stream().getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) return bytes;
    bytes.set(value, at);
    at += value.length;
    tell(`reading ${file.name}`, at, file.size);
  }
}

const requests = {
  /** What the adapter is. Errors: DeviceUnavailableError. */
  async open() {
    return (await device()).info;
  },

  /** Loads the files that a person chose, by name, or the bundled model. */
  async load({ files, what }, tell) {
    const chosen = files && new Map(files);
    const source = async (name) =>
      chosen ? chosen.has(name) && bytesOf(chosen.get(name), tell) : bundled[name];
    tell('loading the weights');
    const loaded = await loadModel(
      await device(),
      async (name) => (await source(name)) || undefined,
      undefined,
      {},
      what,
    );
    model?.release();
    model = loaded;
    return {
      title: model.definition.title,
      parameters: model.model.parameters.count(),
      draws: model.definition.attention !== undefined,
      questions: model.extra?.entities?.map(({ type, prompt }) => ({ type, prompt })) ?? [],
    };
  },

  /** Entities and relations of a text, and what they cost. */
  async extract({ text }, tell) {
    runtime.meter.reset();
    tell('extracting');
    const started = performance.now();
    const found = await model.extract(text, { progress: tell });
    const ms = performance.now() - started;
    const { pipelines } = runtime.meter;
    const { flops, dispatches } = runtime.meter.total();
    return { found, cost: { ms, flops, dispatches, pipelines, tokens: model.tokenizer.encode(text).length } };
  },

  /** The attention to a text: a picture, figures, and the cost of a pass with segments and without. */
  async attend({ text, prompt }, tell) {
    tell('reading the attention');
    const { svg, table: figures } = await model.definition.attention(
      { model: model.model, tokenizer: model.tokenizer, extra: model.extra, what: 'text' },
      { text, prompt },
    );
    const passes = model.definition === cerem ? await passCosts({ text, prompt, spans: [] }, tell) : [];
    return { svg, figures, passes };
  },

  /** Every kernel against its reference; tells each result as it comes, and at last the error that is allowed. */
  async verify({ id }, tell) {
    const names = Object.keys(kernels);
    const onDevice = await device();
    for (const [i, name] of names.entries()) {
      if (stopped.delete(id)) break;
      tell(`verifying ${name}`, i, names.length);
      const result = await verifyKernel(onDevice, name);
      if (result) tell(`verified ${name}`, i + 1, names.length, result);
    }
    return VERIFY_TOLERANCE;
  },
};

/** One forward pass of the model and, where it has segments, of the same without. */
async function passCosts(row, tell) {
  const { batch } = cerem.traceBatch(model, JSON.stringify([row]), 'text');
  const tokens = batch.ids.length;
  const cost = async (name, of) => {
    const times = [];
    // The first round compiles.
    for (let round = 0; round <= ROUNDS; round++) {
      tell(`a forward pass ${name}`, round, ROUNDS + 1);
      runtime.meter.reset();
      const started = performance.now();
      await runtime.scope(() =>
        Promise.all(Object.values(cerem.forward(of, batch)).map((logits) => logits.read())),
      );
      if (round > 0) times.push(performance.now() - started);
    }
    const { flops, dispatches } = runtime.meter.total();
    return { name, flops, dispatches, tokens, ms: Math.min(...times) };
  };
  if (!model.config.sia) return [await cost('without segments', model.model)];
  const plain = newModel(runtime, cerem, { ...model.config, sia: false }, defaultRecipe(cerem.recipe));
  try {
    return [await cost('with segments', model.model), await cost('without segments', plain)];
  } finally {
    plain.parameters.release();
  }
}

let last = Promise.resolve();
addEventListener('message', ({ data: { id, request, stop, ...given } }) => {
  if (stop) stopped.add(id);
  else
    last = last.then(async () => {
      const tell = (what, done, total, result) =>
        postMessage({ id, progress: { what, done, total, result } });
      try {
        postMessage({ id, answer: await requests[request]({ id, ...given }, tell) });
      } catch ({ name, message }) {
        postMessage({ id, error: { name, message } });
      }
    });
});
