/** Readers of a model's files: tensors, configurations, vocabularies, schemas, tunings, the state of a training. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCaps } from '../../src/cli/manifests.ts';
import { parseTuning } from '../../src/gpu/tuning.ts';
import { readSafetensorsFile } from '../../src/io/files.ts';
import { parseObject } from '../../src/io/json.ts';
import { parseSafetensors, type Safetensors } from '../../src/io/safetensors.ts';
import { readWeights } from '../../src/io/weights.ts';
import { decodeUtf8 } from '../../src/io/utf8.ts';
import { parseBertConfig } from '../../src/models/bert-config.ts';
import { mapBertNames } from '../../src/models/encoder-names.ts';
import { packageRoot } from '../../src/cli/package-root.ts';
import { parseSchema, schemaJson } from '../../src/tasks/prompts/schema.ts';
import { definitions } from '../../src/tasks/registry.ts';
import { curveSvg, parseLog, wholeLines } from '../../src/tasks/training/curve.ts';
import { defaultRecipe } from '../../src/tasks/training/recipe.ts';
import { readState } from '../../src/tasks/training/state.ts';
import { memoryStorage } from '../../src/tasks/training/storage.ts';
import { expectThat, type Target } from './campaign.ts';
import {
  joinBytes,
  jsonText,
  mutateJson,
  mutateLines,
  mutateSafetensors,
  mutateText,
  safetensorsBytes,
  utf8,
  type SafetensorsParts,
} from './mutations.ts';

const fixture = (path: string): string => join(packageRoot(), 'test', 'fixtures', path);
const jsonOf = (path: string): Record<string, unknown> =>
  JSON.parse(readFileSync(fixture(path), 'utf8')) as Record<string, unknown>;

/** A value that is made when it is first asked for. */
function lazy<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

// ---- tensors ---------------------------------------------------------------------------------------------------------

const entry = (dtype: string, shape: number[], begin: number, end: number) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

const tensorFiles = lazy((): SafetensorsParts[] => {
  const stored = new Uint8Array(readFileSync(fixture('safetensors/stored.safetensors')));
  const length = Number(new DataView(stored.buffer, stored.byteOffset).getBigUint64(0, true));
  return [
    {
      header: JSON.parse(decodeUtf8(stored.subarray(8, 8 + length), 'stored')) as Record<string, unknown>,
      data: stored.subarray(8 + length),
    },
    { header: { x: entry('F32', [2, 2], 0, 16), ids: entry('I64', [2], 16, 32) }, data: new Uint8Array(32) },
    {
      header: {
        __metadata__: { format: 'pt' },
        'embeddings.word_embeddings.weight': entry('F16', [3, 2], 0, 12),
        'bert.encoder.layer.0.attention.self.query.weight': entry('BF16', [2, 2], 12, 20),
        'cls.predictions.bias': entry('I32', [0, 4], 20, 20),
        scalar: entry('F32', [], 20, 24),
      },
      data: Uint8Array.from({ length: 24 }, (_, i) => 37 * i),
    },
    { header: {}, data: new Uint8Array(0) },
  ];
});

function checkTensors({ tensors, metadata }: Safetensors): void {
  for (const [name, { shape, data }] of tensors)
    expectThat(
      shape.reduce((a, b) => a * b, 1) === data.length,
      `tensor ${name}: [${shape}] of ${data.length} values`,
    );
  expectThat(
    Object.values(metadata).every((value) => typeof value === 'string'),
    'metadata that are no texts',
  );
}

const safetensors: Target<Uint8Array> = {
  name: 'safetensors',
  make: (dice) => mutateSafetensors(dice.pick(tensorFiles()), dice),
  read(bytes) {
    const read = parseSafetensors(bytes, 'model.safetensors');
    checkTensors(read);
    mapBertNames(new Map(read.tensors), 'encoder.');
  },
};

/** A file of this process's own, which each input replaces. */
const scratch = lazy(() => {
  const path = join(tmpdir(), `spanwise-fuzz-${process.pid}`);
  process.on('exit', () => rmSync(path, { force: true }));
  return path;
});

const safetensorsFile: Target<Uint8Array> = {
  name: 'safetensors-file',
  make: (dice) => mutateSafetensors(dice.pick(tensorFiles()), dice),
  read(bytes) {
    writeFileSync(scratch(), bytes);
    checkTensors(readSafetensorsFile(scratch()));
  },
};

interface Shards {
  index: string;
  shards: Record<string, Uint8Array>;
}

const weightsIndex: Target<Shards> = {
  name: 'weights-index',
  make(dice) {
    const [first, second] = [tensorFiles()[1], tensorFiles()[2]];
    const index = {
      metadata: { total_size: 56 },
      weight_map: { x: 'a.safetensors', ids: 'a.safetensors', scalar: 'b.safetensors' },
    };
    const bytesOf = (parts: SafetensorsParts): Uint8Array =>
      dice.chance(0.2)
        ? mutateSafetensors(parts, dice)
        : safetensorsBytes(JSON.stringify(parts.header), parts.data);
    return {
      index: jsonText(mutateJson(index, dice), dice),
      shards: { 'a.safetensors': bytesOf(first), 'b.safetensors': bytesOf(second) },
    };
  },
  async read({ index, shards }) {
    const files = new Map(Object.entries(shards)).set('model.safetensors.index.json', utf8(index));
    const { tensors } = await readWeights((name) => Promise.resolve(files.get(name)), 'model');
    checkTensors({ tensors: new Map(tensors), metadata: {} });
  },
};

// ---- configurations --------------------------------------------------------------------------------------------------

const encoderConfigs = lazy(() => [
  jsonOf('stsn/both/config.json').encoder as Record<string, unknown>,
  jsonOf('albert/cerem/config.json').encoder as Record<string, unknown>,
  ...['distilbert', 'electra', 'roberta'].map((name) => jsonOf(`encoders/${name}/config.json`)),
]);

/** By model: configurations that are read, every optional part in one of them. */
const modelConfigs = lazy((): Record<string, Record<string, unknown>[]> => {
  const words = { rule: 'penn', whole: ['U.S.', 'a/b'], escaped: true };
  const spans = jsonOf('stsn/both/config.json');
  return {
    stsn: [
      { ...spans, words },
      jsonOf('stsn-segments/shared-gated/config.json'),
      { ...spans, symmetric: ['Founded'] },
    ],
    iser: ['full', 'span-gru', 'relation-local-bert'].map((name) => jsonOf(`iser/${name}/config.json`)),
    lai: ['entities', 'relations-runs'].map((name) => ({ ...jsonOf(`lai/${name}/config.json`), words })),
    cerem: ['shared-gated', 'no-sia', 'no-branches', 'per-scale']
      .map((name): Record<string, unknown> => jsonOf(`cerem/${name}/config.json`))
      .map((config, i) =>
        i > 0 ? config : { ...config, answers: { entities: { A: 3 }, relations: { R: 4 } } },
      ),
  };
});

/** Whether every number of a configuration is one. */
function checkNumbers(value: unknown, where: string): void {
  if (typeof value === 'number') expectThat(Number.isFinite(value), `${where} is ${value}`);
  if (typeof value === 'object' && value !== null)
    for (const [key, part] of Object.entries(value))
      if (key !== 'json') checkNumbers(part, `${where}.${key}`);
}

const configs = definitions.map(({ name, parseConfig }): Target<string> => ({
  name: `config-${name}`,
  make: (dice) => jsonText(mutateJson(dice.pick(modelConfigs()[name]), dice), dice),
  read: (text) => checkNumbers(parseConfig(parseObject(text, 'config.json'), 'config.json'), name),
}));

const encoderConfig: Target<string> = {
  name: 'config-encoder',
  make: (dice) => jsonText(mutateJson(dice.pick(encoderConfigs()), dice), dice),
  read: (text) => checkNumbers(parseBertConfig(parseObject(text, 'config.json'), 'config.json'), 'encoder'),
};

// ---- what stands beside models ---------------------------------------------------------------------------------------

const schemas = [
  {
    entities: { Person: 'person', Place: 'place' },
    relations: { Person: { lives_in: { name: 'home', object: 'Place' }, knows: 'friend', Tolm: {} } },
    templates: { relation: '{relation} of {subject}' },
  },
  {
    entities: { 作物: '作物' },
    events: { Flood: { prompt: 'flood', arguments: { cause: {}, where: { object: '作物' } } }, Storm: {} },
    relations: { Storm: { causes: { object: 'Flood' } } },
  },
];

const schema: Target<string> = {
  name: 'schema',
  make: (dice) => jsonText(mutateJson(dice.pick(schemas), dice), dice),
  read(text) {
    const read = parseSchema(parseObject(text, 'schema.json'), 'schema.json');
    const again = parseSchema(
      JSON.parse(JSON.stringify(schemaJson(read))) as Record<string, unknown>,
      'written',
    );
    expectThat(again.entities.length === read.entities.length, 'a schema that is written as another');
  },
};

const tuningJson = {
  version: '0.1.0',
  device: { name: 'a device', vendor: 'v', architecture: 'a', driver: '1' },
  products: [
    {
      m: 64,
      n: 768,
      k: 768,
      batches: 1,
      transA: false,
      transB: true,
      form: 'tiled-64',
      ms: { 'tiled-64': 1.5 },
    },
    { m: 8, n: 8, k: 8, batches: 2, transA: true, transB: false, form: 'direct-4', ms: {} },
  ],
};

const tuning: Target<string> = {
  name: 'tuning',
  make: (dice) => jsonText(mutateJson(tuningJson, dice), dice),
  read: (text) => parseTuning(text, 'tuning.json'),
};

const caps: Target<string> = {
  name: 'capabilities',
  make: (dice) =>
    jsonText(
      mutateJson(
        { caps: { maxBufferSize: 268435456, software: false, vendor: 'v', subgroupMinSize: 32, f16: true } },
        dice,
      ),
      dice,
    ),
  read: (text) => parseCaps(text, 'caps.json'),
};

const hash = 'ab'.repeat(32);

const states = lazy(() =>
  definitions.map((definition) => ({
    definition,
    json: {
      recipe: { ...defaultRecipe(definition.recipe), epochs: 4 },
      data: { train: hash, dev: hash, model: hash },
      ...{ epoch: 2, batch: 1, best: 0.5, bestEpoch: 2, logBytes: 400 },
      sums: Object.fromEntries(['loss', ...definition.parts, 'gradNorm'].map((part) => [part, 0.25])),
      counts: Object.fromEntries(definition.counted.map((name) => [name, 3])),
    },
  })),
);

const state: Target<{ model: number; text: string }> = {
  name: 'training-state',
  make(dice) {
    const model = dice.integer(definitions.length);
    return { model, text: jsonText(mutateJson(states()[model].json, dice), dice) };
  },
  async read({ model, text }) {
    const storage = memoryStorage(new Map([['last/trainer.json', utf8(text)]]));
    checkNumbers(await readState(states()[model].definition, storage), 'state');
  },
};

const logLines = [
  { event: 'start', parameters: 100, notes: [], batches: 3 },
  {
    event: 'epoch',
    epoch: 1,
    loss: 2.5,
    ner: 1.5,
    dev: { ner: 0.25, rePlus: 0 },
    best: true,
    frozen: true,
    seconds: 1.25,
  },
  { event: 'extend', from: 1, to: 3 },
  {
    event: 'epoch',
    epoch: 2,
    loss: 1.5,
    ner: 0.5,
    dev: { ner: 0.5, rePlus: 0.125 },
    best: false,
    seconds: 1,
  },
];

const log: Target<{ bytes: Uint8Array; drawn: boolean }> = {
  name: 'log.jsonl',
  make(dice) {
    const lines = mutateJson(logLines, dice);
    const all = Array.isArray(lines) ? (lines as unknown[]) : [lines];
    const text = all.map((line) => `${JSON.stringify(line)}\n`).join('');
    const whole = utf8(
      dice.chance(0.3) ? mutateLines(text, dice) : dice.chance(0.1) ? mutateText(text, dice) : text,
    );
    const torn = dice.chance(0.2) ? whole.subarray(0, dice.integer(whole.length + 1)) : whole;
    const bytes = dice.chance(0.2) ? joinBytes(torn, new Uint8Array(dice.pick([1, 512, 4096]))) : torn;
    return { bytes, drawn: dice.chance(0.1) };
  },
  read({ bytes, drawn }) {
    const events = parseLog(wholeLines(new TextDecoder().decode(bytes), 'log.jsonl'));
    if (!drawn) return;
    // A run that goes on draws what it read and its own next epoch.
    const svg = curveSvg([...events, { ...logLines[3], epoch: 3 }], ['loss', 'ner'], { ner: 'NER' });
    expectThat(!/="[^"]*(NaN|Infinity|undefined)/.test(svg), 'a curve of what is no number');
  },
};

export const fileTargets: readonly Target[] = [
  ...[safetensors, safetensorsFile, weightsIndex, ...configs, encoderConfig],
  ...[schema, tuning, caps, state, log],
];
