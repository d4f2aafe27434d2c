/** Models from any source of files, trained into any storage: no folder, and the same for every definition. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { FileContent } from '../../src/io/files.ts';
import { parseSafetensors, serializeSafetensors } from '../../src/io/safetensors.ts';
import type { Source } from '../../src/io/source.ts';
import type { Json } from '../../src/models/config.ts';
import { loadModel } from '../../src/node.ts';
import type { Definition } from '../../src/tasks/definition.ts';
import { folderSource, folderStorage } from '../../src/tasks/folder.ts';
import { loadModel as loadFrom } from '../../src/tasks/model.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import { checkValues } from '../../src/tasks/options.ts';
import { definitionNamed, definitions } from '../../src/tasks/registry.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';
import type { LogEvent } from '../../src/tasks/training/curve.ts';
import { memoryStorage, type Storage } from '../../src/tasks/training/storage.ts';
import { train } from '../../src/tasks/training/train.ts';
import { documentsOf } from './prompts/tiny.ts';
import { inputError, temporaryFolder } from './runs.ts';
import { sentencesOf, tinyEncoder } from './spans/tiny.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

/** The files of a folder in memory. */
const filesOf = (dir: string): Map<string, Uint8Array> =>
  new Map(readdirSync(dir).map((name) => [name, new Uint8Array(readFileSync(join(dir, name)))]));

const fromMap =
  (files: ReadonlyMap<string, Uint8Array>): Source =>
  (name) =>
    Promise.resolve(files.get(name));

/** Rejects for what is not there: with 404, as a fetch that checks the status does, unless told otherwise. */
const rejecting =
  (files: ReadonlyMap<string, Uint8Array>, how: object = { status: 404 }): Source =>
  (name) =>
    files.has(name)
      ? Promise.resolve(files.get(name))
      : Promise.reject(Object.assign(new Error('the server says'), how));

const texts = {
  stsn: 'Ida Lorn of Ostra met Bo.',
  cerem: '小林昨天从青岛港出发，去北岸看海。',
};
const fixtures = [
  { dir: 'test/fixtures/stsn/both', definition: stsn as Definition, text: texts.stsn },
  { dir: 'test/fixtures/cerem/per-scale', definition: cerem as unknown as Definition, text: texts.cerem },
];

const schema = JSON.stringify({ entities: { 人物: '人物', 地点: '地点' } });

for (const { dir, definition, text } of fixtures)
  test(`${definition.name} from a folder, a map, and a source that rejects`, async (t) => {
    const files = filesOf(dir);
    if (definition.extra) files.set(definition.extra.file, new TextEncoder().encode(schema));
    const expected = await loadModel(runtime, fromMap(files));
    t.equal(expected.definition.name, definition.name, 'says itself which model it is');
    const found = await expected.extract(text);
    t.equal(found.text, text);
    t.ok(
      found.entities.every((e) => e.text === text.slice(e.start, e.end)),
      `${found.entities.length} entities`,
    );
    t.deepEqual(await expected.extract([text, '', text]), [
      found,
      { text: '', entities: [], relations: [] },
      found,
    ]);
    for (const source of [rejecting(files), fromMap(files)]) {
      const model = await loadModel(runtime, source, definition);
      t.deepEqual(await model.extract(text), found, 'the same');
      model.release();
    }
    const own = Object.entries(await expected.files()).map(
      ([name, content]) => [name, bytesOf(content)] as const,
    );
    const again = await loadModel(runtime, fromMap(new Map(own)));
    t.deepEqual(await again.extract(text), found, 'its files make the same model');
    again.release();
    t.equal(
      await inputError(() => expected.extract(text, { batchSize: 0 })),
      'option "batchSize" must be a whole number of at least 1, got 0',
    );
    const misspelt = { thresold: 0.99 } as object;
    for (const use of [() => expected.extract(text, misspelt), () => expected.evaluate('[]', misspelt)])
      t.match(await inputError(use), /^there is no option "thresold" \(there are: batchSize, .*threshold/);
    for (const odd of [undefined, null, 5, {}, Buffer.from(text), { tokens: text }, { tokens: [1] }])
      t.match(
        await inputError(() => expected.extract([text, odd] as string[])),
        /^text 2: must be a string, or \{ tokens \} with a list of strings$/,
      );
    for (const odd of [null, {}])
      t.match(
        await inputError(() => expected.evaluate(odd as unknown as string)),
        /^evaluate: takes the text of a corpus/,
      );
    expected.release();

    for (const [given, said] of [
      ['{}', 'a string'],
      [new ArrayBuffer(8), 'what is ArrayBuffer'],
    ] as const)
      t.equal(
        await inputError(() => loadModel(runtime, () => Promise.resolve(given as unknown as Uint8Array))),
        `model/config.json: its source gave ${said}, not a Uint8Array`,
      );
    const weights = parseSafetensors(files.get('model.safetensors')!, 'model').tensors;
    const [[first, { shape, data }]] = weights;
    for (const value of [NaN, Infinity]) {
      const damaged = Float32Array.from(data, (v, i) => (i === 1 ? value : v));
      const file = serializeSafetensors([
        [first, { shape, dtype: 'f32', data: damaged }],
        ...[...weights].slice(1),
      ]);
      t.equal(
        await inputError(() => loadModel(runtime, fromMap(new Map([...files, ['model.safetensors', file]])))),
        `model/model.safetensors: ${first} holds ${value} (element 1)`,
      );
    }

    const without = (name: string) => new Map([...files].filter(([each]) => each !== name));
    for (const name of ['config.json', 'model.safetensors', 'vocab.txt']) {
      const [absent, rejected] = await Promise.all(
        [fromMap, rejecting].map((of) => inputError(() => loadModel(runtime, of(without(name))))),
      );
      t.ok(absent.startsWith(`model/${name}: no such file`), absent);
      t.equal(rejected, absent);
    }
    for (const how of [{ code: 'ENOENT' }, { name: 'NotFoundError' }])
      (await loadModel(runtime, rejecting(files, how))).release();
    for (const how of [{}, { status: 503 }])
      t.match(
        await inputError(() => loadModel(runtime, rejecting(files, how))),
        /^model\/(schema|tokenizer)\.json: cannot be read: the server says$/,
        'another rejection is not taken for a file that is not there',
      );
    const other = fixtures.find((fixture) => fixture.definition !== definition)!.definition;
    t.equal(
      await inputError(() => loadModel(runtime, fromMap(files), other)),
      `model/config.json: "model" must be one of ${other.name}; it is "${definition.name}"`,
    );
    t.match(
      await inputError(() =>
        loadModel(runtime, fromMap(new Map([...files, ['config.json', Uint8Array.of(0xff)]]))),
      ),
      /^model\/config\.json: not UTF-8 at byte 0/,
    );
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

function bytesOf(content: FileContent): Uint8Array {
  if (typeof content === 'string') return new TextEncoder().encode(content);
  return content instanceof Uint8Array ? content : new Uint8Array(Buffer.concat(content));
}

test('what is no definition, no option of a load or of a trace', async (t) => {
  const source = 'test/fixtures/stsn/both';
  for (const given of [{ foo: 1 }, null, 'stsn', [stsn]])
    t.equal(
      await inputError(() => loadModel(runtime, source, given as unknown as typeof stsn)),
      'loadModel: takes a definition after the source, stsn for one, or undefined',
    );
  const load = (source: Source | string, options: unknown) =>
    inputError(() => loadModel(runtime, source as string, undefined, options as object));
  const one = 'loadModel: there is no option "foo" (there is: precision)';
  t.equal(await load(source, { foo: 1 }), one);
  t.equal(await load(folderSource(source), { foo: 1 }), one);
  t.equal(
    await inputError(() => loadFrom(runtime, folderSource(source), undefined, 'a name' as unknown as object)),
    'loadModel: options must be an object, got "a name"',
    'in the browser-safe interface too',
  );
  const model = await loadModel(runtime, source, stsn);
  t.equal(
    await inputError(() => model.trace('', 'file', { batchSize: 0 } as object)),
    'trace: there is no option "batchSize" (there are: steps, lr, weightDecay)',
  );
  model.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('a folder that is not there, and a model without what it needs', async (t) => {
  t.match(await inputError(() => loadModel(runtime, 'nowhere')), /^nowhere: no such model folder$/);
  const model = await loadModel(runtime, 'test/fixtures/cerem/per-scale', cerem);
  t.match(
    await inputError(() => model.extract(texts.cerem)),
    /per-scale: holds no schema\.json, and no schema is given$/,
  );
  t.match(await inputError(() => model.evaluate('[{]')), /^evaluation data: line 1: not JSON/);
  model.release();
});

/** What each definition is trained on here, a text that it has not seen, and a configuration of a tiny model. */
const sentences = { data: sentencesOf(0, 6), text: sentencesOf(6, 7)[0].tokens.join(' ') };
const documents = { data: documentsOf(0, 6), text: documentsOf(6, 7)[0].text };
const trainings: Record<string, { data: unknown[]; text: string; config: Json }> = {
  stsn: { ...sentences, config: { heads: 2 } },
  iser: { ...sentences, config: { heads: 2 } },
  lai: { ...sentences, config: { stage: 'entities' } },
  cerem: { ...documents, config: { scales: [2, 3], heads: 2, headSize: 8 } },
};

/** A short training of a definition; `more` are further options. */
function trainTiny(definition: Definition, storage: Storage, more: object = {}) {
  const { data, config } = trainings[definition.name];
  return train(definition, JSON.stringify(data), {
    ...{ runtime, storage },
    config: { ...definition.small, encoder: tinyEncoder, ...config },
    recipe: { epochs: 2, lr: 3e-3, batch: 4, seed: 3 },
    ...more,
  });
}

/** What a storage's run leaves, but for times. */
const outcome = (read: (name: string) => Uint8Array | undefined): (string | undefined)[] =>
  [
    'config.json',
    'model.safetensors',
    'vocab.txt',
    'last/model.safetensors',
    'last/optimizer.safetensors',
    'curve.svg',
  ].map((name) => read(name) && Buffer.from(read(name)!).toString('base64'));

for (const definition of definitions)
  test(`${definition.name} is trained in memory, resumed, loaded and asked`, async (t) => {
    const whole = new Map<string, Uint8Array>();
    const report = await trainTiny(definition, memoryStorage(whole));
    t.ok(report.steps >= 2 && Number.isFinite(report.loss.loss), `${report.steps} steps`);
    const log = new TextDecoder().decode(whole.get('log.jsonl')).trimEnd().split('\n');
    t.deepEqual(
      log.map((line) => (JSON.parse(line) as LogEvent).event),
      ['start', 'epoch', 'epoch'],
    );
    const inMemory = outcome((name) => whole.get(name));
    t.ok(
      inMemory.every((file) => file !== undefined),
      [...whole.keys()].join(' '),
    );

    const cut = memoryStorage(new Map(), 'browser');
    const stopped = await trainTiny(definition, cut, {
      onEvent: ({ event, epoch }: LogEvent) => {
        if (event === 'epoch' && epoch === 1) throw new Error('closed');
      },
    }).catch((error: Error) => error.message);
    t.equal(stopped, 'closed');
    t.equal(
      await inputError(() => trainTiny(definition, cut)),
      'browser: already holds a model; choose another storage, or set resume',
    );
    await trainTiny(definition, cut, { resume: true, config: undefined });
    const rest = await Promise.all(
      [...whole.keys()].map(async (name) => [name, await cut.source(name)] as const),
    );
    t.deepEqual(
      outcome((name) => new Map(rest).get(name)),
      inMemory,
      'the same bytes',
    );

    const storage = memoryStorage(whole);
    const model = await loadModel(runtime, storage.source);
    const { data, text } = trainings[definition.name];
    const found = await model.extract(text);
    t.deepEqual([found.text, typeof found.entities.length], [text, 'number']);
    const evaluation = await model.evaluate(JSON.stringify(data));
    t.ok(
      Object.keys(definition.scores).some((score) => score in evaluation),
      'scores',
    );
    model.release();
    t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
  });

test('what train is given in place of what it takes', async (t) => {
  const options = { runtime, storage: memoryStorage(new Map(), 'a') };
  const data = JSON.stringify(trainings.stsn.data);
  const refused = async (line: RegExp, more: object, of: unknown = stsn, from: unknown = data) =>
    t.match(await inputError(() => train(of as typeof stsn, from as string, { ...options, ...more })), line);
  await refused(/^recipe: unknown key "epoch" \(known: epochs, lr, /, { recipe: { epoch: 1 } });
  await refused(/^train: there is no option "epochs" \(there are: runtime, /, { epochs: 1 });
  await refused(/^train: option "storage" must be a Storage/, { storage: undefined });
  await refused(/^train: option "runtime" must be a Runtime/, { runtime: {} });
  await refused(/^train: the first argument must be a definition/, {}, 'stsn');
  for (const from of [null, trainings.stsn.data, Buffer.from(data)])
    await refused(/^train: the data must be the text of a corpus/, {}, stsn, from);
  for (const patience of [0, NaN, 1.5])
    await refused(/^option "patience" must be a whole number of at least 1/, { patience, dev: data });
  await refused(/^option "patience" needs dev data/, { patience: 1 });
  await refused(/^option "saveSeconds" must be at least 0, got NaN/, { saveSeconds: NaN });
  const unlock = options.storage.lock!();
  await refused(/^a: another training is writing there$/, {});
  unlock();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('a storage in memory and a folder hold the same', async (t) => {
  const files = new Map<string, Uint8Array>();
  await trainTiny(stsn as Definition, memoryStorage(files));
  const out = temporaryFolder();
  await trainTiny(stsn as Definition, folderStorage(out));
  t.deepEqual(
    [...files.keys()].sort(),
    readdirSync(out, { recursive: true, encoding: 'utf8' })
      .filter((name) => name !== 'last')
      .sort(),
  );
  t.deepEqual(
    outcome((name) => new Uint8Array(readFileSync(join(out, name)))),
    outcome((name) => files.get(name)),
  );
});

test('a model is asked while another is trained: they take turns', async (t) => {
  const model = await loadModel(runtime, 'test/fixtures/stsn/both', stsn);
  const alone = await model.extract(texts.stsn);
  const dev = stsn.read(JSON.stringify(sentences.data), 'dev');
  const run = async (onEvent?: (event: LogEvent) => void) => {
    const files = new Map<string, Uint8Array>();
    await trainTiny(stsn as Definition, memoryStorage(files), { dev, onEvent });
    return outcome((name) => files.get(name));
  };
  const undisturbed = await run();
  const asked: Promise<unknown>[] = [];
  const disturbed = await run(({ event }) => {
    if (event === 'step') asked.push(model.extract(texts.stsn), model.extract(texts.stsn));
  });
  t.deepEqual(disturbed, undisturbed, 'the training is the same');
  t.ok(asked.length >= 4, `${asked.length} requests`);
  t.deepEqual(
    await Promise.all(asked),
    asked.map(() => alone),
    'and so are the answers',
  );
  model.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device');
});

test('options that no model takes', async (t) => {
  const model = await loadModel(runtime, 'test/fixtures/stsn/both', stsn);
  for (const [options, complaint] of [
    [{ threshold: 2 }, 'option "threshold" must be a number from 0 to 1, got 2'],
    [{ threshold: NaN }, 'option "threshold" must be a number from 0 to 1, got null'],
    [{ policy: 'Flat' }, 'option "policy" must be one of all, flat, got "Flat"'],
    [{ overlap: -1 }, 'option "overlap" must be a whole number of at least 0, got -1'],
    [{ onBad: 'drop' }, 'option "onBad" must be one of stop, skip, got "drop"'],
    [{ pairChunk: 0 }, 'option "pairChunk" must be a whole number of at least 1, got 0'],
    [{ progress: 1 }, 'option "progress" must be a function, got 1'],
  ] as [object, string][])
    t.equal(await inputError(() => model.extract(texts.stsn, options)), complaint);
  t.match(await inputError(() => model.trace('no rows', 'a file')), /a file/);
  model.release();

  const asked = (name: string, given: object) => () => checkValues(definitionNamed(name).options, given);
  t.throws(
    asked('lai', { relations: 'a-folder' }),
    /option "relations" must be a loaded model, got "a-folder"/,
  );
  t.throws(asked('cerem', { bootstrap: 5 }), /option "bootstrap" must be an object, got 5/);
  t.doesNotThrow(asked('cerem', { bootstrap: { draws: 10 } }));
  for (const [name, key] of [
    ['lai', 'pairChunk'],
    ['stsn', 'bootstrap'],
    ['stsn', 'refused'],
    ['cerem', 'seen'],
  ])
    t.throws(
      asked(name, { [key]: 1 }),
      new RegExp(`^InputError: there is no option "${key}"`),
      `${name}: ${key}`,
    );
});

test('a training of another model is not gone on with', async (t) => {
  const files = new Map<string, Uint8Array>();
  await trainTiny(stsn as Definition, memoryStorage(files));
  t.match(
    await inputError(() =>
      trainTiny(definitionNamed('iser'), memoryStorage(files), { resume: true, config: undefined }),
    ),
    /^memory\/last\/config.json: "model" must be one of iser; it is "stsn"/,
  );
});

test('a training without a run to go on with', async (t) => {
  t.equal(
    await inputError(() => trainTiny(stsn as Definition, memoryStorage(), { resume: true })),
    'memory: holds no training run to resume (no last/trainer.json)',
  );
});
