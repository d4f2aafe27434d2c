/** A training run that is stopped and resumed ends in the same bytes as one that is not; and only that run is resumed. */
import { copyFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { folderStorage, loadModel } from '../../../src/node.ts';
import type { Json } from '../../../src/models/config.ts';
import { readSafetensorsFile, writeSafetensorsFile } from '../../../src/io/files.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import type { LogEvent } from '../../../src/tasks/training/curve.ts';
import { canResume, readState } from '../../../src/tasks/training/state.ts';
import {
  corpusOf,
  differences,
  finalFiles,
  inputError,
  logOf,
  sentencesOf,
  temporaryFolder,
  tinyRun,
  tokenizerOf,
  trainRun,
  type StsnRun,
} from './tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime({ poison: false });

/** Trains and frees the model; `stop` sees every event and ends the run by throwing. */
async function train(options: StsnRun, stop?: (event: LogEvent) => void): Promise<void> {
  try {
    await trainRun(stsn, { ...options, onEvent: stop });
  } finally {
    options.model.parameters.release();
  }
}

/** Throws at the first event that `when` picks. */
const stopAt = (when: (event: LogEvent) => boolean) => (event: LogEvent) => {
  if (when(event)) throw new Error('stopped');
};

const stopped = async (options: StsnRun, when: (event: LogEvent) => boolean): Promise<string> =>
  train(options, stopAt(when)).then(
    () => 'it ran to the end',
    (error: Error) => error.message,
  );

const whole = temporaryFolder();
await train(tinyRun(runtime, whole));
const expected = finalFiles(whole);
/** `out` stopped after the first epoch, for tests that must not be able to resume it. */
const half = temporaryFolder();
await stopped(tinyRun(runtime, half), (e) => e.event === 'epoch');

test('the run that others are compared with', (t) => {
  const log = logOf(whole);
  t.deepEqual(
    log.map((e) => e.event),
    ['start', 'epoch', 'epoch', 'epoch'],
  );
  const [first, , last] = log.slice(1);
  t.ok(Number(last.loss) < Number(first.loss), `the loss falls: ${first.loss} to ${last.loss}`);
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays on the device, of stopped runs either');
  t.end();
});

test('the same seed twice gives the same bytes, another seed does not', async (t) => {
  const again = temporaryFolder();
  await train(tinyRun(runtime, again));
  t.deepEqual(differences(finalFiles(again), expected), []);
  const other = temporaryFolder();
  await train(tinyRun(runtime, other, { seed: 8 }));
  const different = differences(finalFiles(other), expected);
  for (const name of ['model.safetensors', 'last/model.safetensors', 'log'])
    t.ok(different.includes(name), `${name} differs with another seed`);
});

const stops: Record<string, { when: (event: LogEvent) => boolean; saveSeconds?: number }> = {
  'at the start': { when: (e) => e.event === 'step' && e.step === 1 },
  'after epoch 1': { when: (e) => e.event === 'epoch' && e.epoch === 1 },
  'in mid-epoch, not saved there': { when: (e) => e.event === 'step' && e.step === 9 },
  'in mid-epoch, saved there': { when: (e) => e.event === 'step' && e.step === 9, saveSeconds: 1e-9 },
  'in the last step': { when: (e) => e.event === 'step' && e.step === 18, saveSeconds: 1e-9 },
  'at the end': { when: (e) => e.event === 'epoch' && e.epoch === 3 },
};

for (const [name, { when, saveSeconds }] of Object.entries(stops))
  test(`stopped ${name} and resumed: the same bytes`, async (t) => {
    const out = temporaryFolder();
    t.equal(await stopped({ ...tinyRun(runtime, out), saveSeconds }, when), 'stopped');
    t.ok(await canResume(folderStorage(out)));
    const state = JSON.parse(readFileSync(join(out, 'last/trainer.json'), 'utf8')) as { batch: number };
    if (saveSeconds && name === 'in mid-epoch, saved there')
      t.equal(state.batch, 2, 'the save before the stop');
    await train({ ...tinyRun(runtime, out), resume: true });
    t.deepEqual(differences(finalFiles(out), expected), []);
  });

for (const [name, when, saved] of [
  ['in mid-epoch', (e) => e.event === 'step' && e.step === 9, [1, 4]],
  ['before the scoring', (e) => e.event === 'step' && e.step === 12, [1, 6]],
  ['while the last is scored', (e) => e.event === 'evaluate' && e.epoch === 2, [2, 0]],
] as [string, (e: LogEvent) => boolean, number[]][])
  test(`told to stop ${name}: saved, and resumed to the same bytes`, async (t) => {
    const out = temporaryFolder();
    const controller = new AbortController();
    const reason = new Error('told to');
    const end = await train({ ...tinyRun(runtime, out), signal: controller.signal }, (e) => {
      if (when(e)) controller.abort(reason);
    }).catch((error: unknown) => error);
    t.equal(end, reason);
    const { epoch, batch } = JSON.parse(readFileSync(join(out, 'last/trainer.json'), 'utf8')) as Json;
    t.deepEqual([epoch, batch], saved, 'every step that was made');
    await train({ ...tinyRun(runtime, out), resume: true });
    t.deepEqual(differences(finalFiles(out), expected), []);
  });

for (const [name, tear] of Object.entries<(log: Buffer) => Buffer>({
  'ends in zeros': (log) => log.fill(0, log.length - 40),
  'ends in half a line': (log) => log.subarray(0, log.length - 40),
  'is empty': () => Buffer.alloc(0),
}))
  test(`a log that ${name} after a power cut`, async (t) => {
    const out = temporaryFolder();
    await stopped(tinyRun(runtime, out), (e) => e.event === 'epoch' && e.epoch === 2);
    const log = join(out, 'log.jsonl');
    writeFileSync(log, tear(readFileSync(log)));
    const notes: string[] = [];
    await train({ ...tinyRun(runtime, out), resume: true }, (e) => {
      if (e.event === 'resume') notes.push(...(e.notes as string[]));
    });
    t.equal(notes.length, 1);
    t.match(notes[0], /\/log\.jsonl: its last \d+ bytes are lost or torn, and left out; the model is whole$/);
    const logs = ['curve.svg', 'log'];
    t.deepEqual(differences(finalFiles(out), expected), logs, 'all but the log is as it would have been');
    t.deepEqual(logOf(out).at(-1), logOf(whole).at(-1));
  });

test('a log with a line in it that is none', async (t) => {
  const out = temporaryFolder();
  await stopped(tinyRun(runtime, out), (e) => e.event === 'epoch' && e.epoch === 2);
  const log = join(out, 'log.jsonl');
  const [, ...lines] = readFileSync(log, 'utf8').split('\n');
  writeFileSync(log, ['\0\0\0', ...lines].join('\n'));
  const message = await inputError(() => train({ ...tinyRun(runtime, out), resume: true }));
  t.match(message, /\/log\.jsonl: line 1 is not a line of a training's log$/);
});

test('stopped three times, the model loaded from the folder, not made from the seed', async (t) => {
  const out = temporaryFolder();
  await stopped({ ...tinyRun(runtime, out), saveSeconds: 1e-9 }, (e) => e.step === 4);
  for (const step of [8, 13, Infinity]) {
    const options = tinyRun(runtime, out);
    options.model.parameters.release();
    const { model, tokenizer } = await loadModel(runtime, join(out, 'last'), stsn);
    const end = await stopped(
      { ...options, model, tokenizer, resume: true, saveSeconds: 1e-9 },
      (e) => e.event === 'step' && e.step === step,
    );
    t.equal(end, step === Infinity ? 'it ran to the end' : 'stopped');
  }
  t.deepEqual(differences(finalFiles(out), expected), []);
});

test('a finished run resumed changes nothing', async (t) => {
  const out = temporaryFolder();
  cpSync(whole, out, { recursive: true });
  const options = { ...tinyRun(runtime, out), resume: true };
  const report = await trainRun(stsn, options);
  options.model.parameters.release();
  t.deepEqual(differences(finalFiles(out), expected), []);
  t.equal(report.steps, 0);
  t.ok(report.best.epoch >= 1 && report.best.dev === undefined);
});

test('the recipe comes back, its keys in any order', async (t) => {
  const out = temporaryFolder();
  cpSync(half, out, { recursive: true });
  const options = tinyRun(runtime, out);
  t.deepEqual((await readState(stsn, folderStorage(out))).recipe, options.recipe);
  const reversed = Object.fromEntries(
    Object.entries(options.recipe).reverse(),
  ) as unknown as typeof options.recipe;
  await train({ ...options, recipe: reversed, resume: true });
  t.deepEqual(differences(finalFiles(out), expected), []);
});

test('a run is made longer, and not shorter', async (t) => {
  const longer = async (stop?: (event: LogEvent) => boolean) => {
    const out = temporaryFolder();
    cpSync(whole, out, { recursive: true });
    const options = () => ({ ...tinyRun(runtime, out, { epochs: 5 }), resume: true });
    if (stop) await stopped(options(), stop);
    const last = options();
    const report = await trainRun(stsn, last);
    last.model.parameters.release();
    return { out, report };
  };
  const { out, report } = await longer();
  t.ok(report.steps > 0);
  t.match(report.notes.at(-1)!, /^made longer, from 3 epochs to 5: the rate rises/);
  t.deepEqual(
    logOf(out).map((e) => e.event),
    ['start', 'epoch', 'epoch', 'epoch', 'extend', 'epoch', 'epoch'],
  );
  t.equal((await readState(stsn, folderStorage(out))).recipe.epochs, 5);
  t.ok(differences(finalFiles(out), expected).length > 0, 'it has learnt on');
  const broken = await longer((e) => e.event === 'epoch');
  t.deepEqual(differences(finalFiles(broken.out), finalFiles(out)), [], 'bit for bit from there on');

  const shorter = { ...tinyRun(runtime, half, { epochs: 2 }), resume: true };
  t.match(
    await inputError(() => trainRun(stsn, shorter)),
    /trainer\.json: the run is of 3 epochs: it can be made longer, not shorter/,
  );
  shorter.model.parameters.release();
});

test('a run ends once its patience does', async (t) => {
  const out = temporaryFolder();
  const scores = [0, 0, 0, 0.3, 0.3, 0.3, 0.9];
  const asked = () => {
    const options = tinyRun(runtime, out, { epochs: 7 });
    const left = [...scores];
    const evaluate = () => Promise.resolve({ score: left.shift()!, f1: {}, evaluation: undefined as never });
    return { ...options, evaluate };
  };
  const patient = { ...asked(), patience: 2 };
  const report = await trainRun(stsn, patient);
  patient.model.parameters.release();
  t.deepEqual(
    [report.stopped, report.best.epoch, report.best.score],
    [6, 6, 0.3],
    'not while nothing is found; of equal scores the later is kept, and does not count as better',
  );
  const again = { ...asked(), patience: 2, resume: true };
  t.equal((await trainRun(stsn, again)).steps, 0, 'resumed, it is over too');
  again.model.parameters.release();
  const without = { ...asked(), resume: true };
  const rest = await trainRun(stsn, without);
  without.model.parameters.release();
  t.deepEqual([rest.stopped, rest.steps > 0], [undefined, true], 'without patience it goes on');

  const path = join(out, 'last/trainer.json');
  const { risenEpoch, ...older } = JSON.parse(readFileSync(path, 'utf8')) as Json;
  writeFileSync(path, JSON.stringify(older));
  const { risenEpoch: read } = await readState(stsn, folderStorage(out));
  t.deepEqual([read, risenEpoch], [6, 4], 'a run from before it was kept counts from its best epoch');
});

test('only the same run is resumed', async (t) => {
  const path = join(half, 'last/trainer.json');
  const refused = async (
    what: string,
    change: (o: StsnRun) => Partial<StsnRun>,
    given: Json = {},
    overrides = {},
  ) => {
    const options = tinyRun(runtime, half, overrides, given);
    const message = await inputError(() => trainRun(stsn, { ...options, ...change(options), resume: true }));
    options.model.parameters.release();
    t.ok(message.startsWith(`${path}: the run was started with ${what}`), message);
  };
  await refused('other training data', ({ train }) => ({
    train: { ...train, sentences: sentencesOf(0, 23) },
  }));
  await refused('other dev data', () => ({ dev: corpusOf(sentencesOf(24, 29), 'dev.json') }));
  await refused('other dev data', () => ({ dev: undefined }));
  await refused('another model configuration or tokenizer', () => ({}), { maxSpanWidth: 9 });
  await refused('another model configuration or tokenizer', () => ({
    tokenizer: tokenizerOf(sentencesOf(0, 23)),
  }));
  await refused('another recipe', () => ({}), {}, { seed: 8 });
  const empty = temporaryFolder();
  for (const out of [empty, join(empty, 'none')]) {
    const options = tinyRun(runtime, out);
    t.equal(
      await inputError(() => trainRun(stsn, { ...options, resume: true })),
      `${out}: holds no training run to resume (no last/trainer.json)`,
    );
    options.model.parameters.release();
    t.notOk(await canResume(folderStorage(out)));
  }
  t.equal(runtime.memory.report().liveBytes, 0);
});

/** A copy of `half` whose state file is `change`d; what resuming it says. */
async function resumeDamaged(change: (last: string) => void): Promise<string> {
  const out = temporaryFolder();
  cpSync(half, out, { recursive: true });
  change(join(out, 'last'));
  const options = { ...tinyRun(runtime, out), resume: true };
  const message = await inputError(() => trainRun(stsn, options));
  options.model.parameters.release();
  return message.replaceAll(out, 'OUT');
}

test('a damaged trainer.json', async (t) => {
  const original = readFileSync(join(half, 'last/trainer.json'), 'utf8');
  type Tree = { [key: string]: unknown } & Record<
    'recipe' | 'data' | 'sums' | 'counts',
    Record<string, unknown>
  >;
  const texts: [string, string][] = [
    ['empty', ''],
    ['a list', '[]'],
    ['null', 'null'],
    ...[10, 100, original.length - 3].map((n): [string, string] => [`cut to ${n}`, original.slice(0, n)]),
  ];
  const edit = (name: string, change: (state: Tree) => void) => {
    const state = JSON.parse(original) as Tree;
    change(state);
    texts.push([name, JSON.stringify(state)]);
  };
  for (const key of Object.keys(JSON.parse(original) as Tree)) {
    edit(`${key} "x"`, (s) => (s[key] = 'x'));
    // Runs from before it was kept have none.
    if (key === 'risenEpoch') continue;
    edit(`no ${key}`, (s) => delete s[key]);
    edit(`${key} null`, (s) => (s[key] = null));
  }
  edit('a surplus key', (s) => (s.surplus = 1));
  edit('epoch −1', (s) => (s.epoch = -1));
  edit('epoch 1.5', (s) => (s.epoch = 1.5));
  edit('epoch past the recipe', (s) => (s.epoch = 4));
  edit('batch past the epoch', (s) => (s.batch = 6));
  edit('a whole epoch of no losses', (s) => Object.assign(s, { batch: 6, unscored: ['x'] }));
  edit('best epoch in the future', (s) => (s.bestEpoch = 2));
  edit('risen after the best', (s) => (s.risenEpoch = 2));
  edit('recipe without lr', (s) => delete s.recipe.lr);
  edit('recipe with batch 0', (s) => (s.recipe.batch = 0));
  edit('recipe with dropout 1', (s) => (s.recipe.dropout = 1));
  edit('recipe with seed 2^32', (s) => (s.recipe.seed = 2 ** 32));
  edit('recipe with a surplus key', (s) => (s.recipe.momentum = 0.9));
  edit('sums without tag', (s) => delete s.sums.tag);
  edit('sums.loss "x"', (s) => (s.sums.loss = 'x'));
  edit('counts −1', (s) => (s.counts.positivePairs = -1));
  edit('a short hash', (s) => (s.data.train = 'abc'));
  for (const [name, text] of texts) {
    const message = await resumeDamaged((last) => writeFileSync(join(last, 'trainer.json'), text));
    t.ok(message.includes('OUT/last/trainer.json: ') && !message.includes('\n'), `${name}: ${message}`);
  }
});

test('damaged weights and moments beside a whole trainer.json', async (t) => {
  const rewrite = (
    file: string,
    change: (tensors: ReturnType<typeof readSafetensorsFile>['tensors']) => void,
  ) =>
    resumeDamaged((last) => {
      const { tensors } = readSafetensorsFile(join(last, file));
      change(tensors);
      writeSafetensorsFile(join(last, file), tensors);
    });
  const zeros = { shape: [2], dtype: 'f32' as const, data: new Float32Array(2) };
  const cases: [string, string, () => Promise<string>][] = [
    [
      'model.safetensors',
      'missing',
      () => rewrite('model.safetensors', (x) => void x.delete('span_head.bias')),
    ],
    [
      'model.safetensors',
      'is [2]',
      () => rewrite('model.safetensors', (x) => void x.set('span_head.bias', zeros)),
    ],
    ['model.safetensors', 'surplus', () => rewrite('model.safetensors', (x) => void x.set('more', zeros))],
    [
      'optimizer.safetensors',
      'missing v.',
      () => rewrite('optimizer.safetensors', (x) => void x.delete('v.span_head.bias')),
    ],
    [
      'optimizer.safetensors',
      'is [2]',
      () => rewrite('optimizer.safetensors', (x) => void x.set('m.span_head.bias', zeros)),
    ],
    [
      'optimizer.safetensors',
      'step.',
      () => rewrite('optimizer.safetensors', (x) => void x.set('step.span_head.bias', zeros)),
    ],
    [
      'optimizer.safetensors',
      'surplus',
      () => rewrite('optimizer.safetensors', (x) => void x.set('m.more', zeros)),
    ],
    ...['model.safetensors', 'optimizer.safetensors'].flatMap(
      (file): [string, string, () => Promise<string>][] => [
        [
          file,
          '',
          () =>
            resumeDamaged((last) =>
              writeFileSync(join(last, file), readFileSync(join(last, file)).subarray(0, 5000)),
            ),
        ],
        [file, 'no such file', () => resumeDamaged((last) => rmSync(join(last, file)))],
        [file, '', () => resumeDamaged((last) => copyFileSync(join(last, 'vocab.txt'), join(last, file)))],
      ],
    ),
  ];
  for (const [file, part, message] of cases) {
    const text = await message();
    t.ok(text.startsWith(`OUT/last/${file}: `) && text.includes(part), text);
  }
});
