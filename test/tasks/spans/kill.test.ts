/**
 * Training that is killed at any moment leaves a folder from which the same run goes on: at chosen file operations (in
 * this process: from one operation on, all fail, as after a kill), and by SIGKILL.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'tape';
import { recoverFolder } from '../../../src/io/files.ts';
import { folderStorage, loadModel, openRuntime } from '../../../src/node.ts';
import { canResume } from '../../../src/tasks/training/state.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { differences, finalFiles, temporaryFolder, tinyRun, trainRun, type StsnRun } from './tiny.ts';

const runtime = await openRuntime({ defaultLimits: true });

async function train(options: StsnRun): Promise<void> {
  try {
    await trainRun(stsn, options);
  } finally {
    options.model.parameters.release();
  }
}

/** Two epochs of one step on four sentences: much writing, little computing. */
function shortRun(out: string): StsnRun {
  const options = tinyRun(runtime, out, { epochs: 2 });
  const sentences = options.train.sentences.slice(0, 4);
  return { ...options, train: { ...options.train, sentences }, dev: undefined };
}

const operations = [
  ...['mkdirSync', 'openSync', 'writeSync', 'fsyncSync', 'renameSync', 'rmdirSync'],
  ...['rmSync', 'unlinkSync', 'appendFileSync', 'truncateSync'],
] as const;

/** Runs `body` with every file operation reported to `before`, which may throw; `halve` then does half of a write. */
async function watchingFiles(
  before: (name: string, halve: () => void) => void,
  body: () => Promise<void>,
): Promise<void> {
  const table = fs as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = operations.map((name) => [name, table[name]] as const);
  for (const [name, original] of originals)
    table[name] = (...args) => {
      before(name, () => {
        if (name === 'writeSync') original(args[0], args[1], args[2], Math.floor(Number(args[3]) / 2));
        if (name === 'appendFileSync') original(args[0], String(args[1]).slice(0, 20));
      });
      return original(...args);
    };
  syncBuiltinESMExports();
  try {
    await body();
  } finally {
    for (const [name, original] of originals) table[name] = original;
    syncBuiltinESMExports();
  }
}

function cutShort(): void {
  test('cut short at file operations of every kind', async (t) => {
    const whole = temporaryFolder();
    const seen: string[] = [];
    await watchingFiles(
      (name) => seen.push(name),
      () => train(shortRun(whole)),
    );
    const expected = finalFiles(whole);
    // Every fourth operation that changes a name, all on the log, and every 97th of the rest, which are mostly writes.
    const renames = seen.flatMap((name, i) => (name === 'renameSync' ? [i] : []));
    const places = seen.flatMap((name, i) =>
      name === 'appendFileSync' || renames.indexOf(i) % 4 === 1 || i % 97 === 0 ? [i] : [],
    );
    const outcomes = { nothing: 0, resumable: 0, usable: 0 };
    for (const place of places) {
      const out = temporaryFolder();
      let at = -1;
      await watchingFiles(
        (_, halve) => {
          if (++at < place) return;
          if (at === place) halve();
          throw new Error('cut');
        },
        () =>
          train(shortRun(out)).then(
            () => t.fail('it ran to the end'),
            (error: Error) => {
              if (error.message !== 'cut') t.fail(error.stack);
            },
          ),
      );
      const what = `operation ${place} (${seen[place]})`;
      recoverFolder(out);
      const usable = fs.existsSync(join(out, 'config.json'));
      const resumable = await canResume(folderStorage(out));
      outcomes[usable ? 'usable' : resumable ? 'resumable' : 'nothing']++;
      if (usable) (await loadModel(runtime, out, stsn)).release();
      if (usable && !resumable) t.fail(`${what}: a model that can neither be resumed nor started anew`);
      await train({ ...shortRun(out), resume: resumable });
      const different = differences(finalFiles(out), expected);
      if (different.length > 0) t.fail(`${what}: other bytes in ${different.join(', ')}`);
    }
    t.ok(Math.min(...Object.values(outcomes)) > 0, `${seen.length} operations, ${JSON.stringify(outcomes)}`);
    t.equal(runtime.memory.report().liveBytes, 0);
  });
}

/** Milliseconds after the given event at which the child is killed; the run has 18 steps and saves after each. */
const kills = [
  { event: 'start', after: 0 },
  { event: 'step 1', after: 10 },
  { event: 'epoch 1', after: 0 },
  { event: 'epoch 2', after: 40 },
];

/** Trains in a child process until `event` was told and `after` ms have passed, then kills it. */
function trainAndKill(out: string, { event, after }: (typeof kills)[number]): Promise<NodeJS.Signals | null> {
  return new Promise((done) => {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url), 'child', out], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let told = '';
    child.stdout.on('data', (chunk: Buffer) => {
      const before = told;
      told += chunk.toString();
      if (told.includes(`${event}\n`) && !before.includes(`${event}\n`))
        setTimeout(() => child.kill('SIGKILL'), after);
    });
    child.on('close', (_, signal) => done(signal));
  });
}

function killed(): void {
  test('killed by SIGKILL again and again', async (t) => {
    const whole = temporaryFolder();
    await train(tinyRun(runtime, whole));
    const out = temporaryFolder();
    for (const kill of kills) {
      t.equal(await trainAndKill(out, kill), 'SIGKILL', `killed ${kill.after} ms after ${kill.event}`);
      recoverFolder(out);
      if (!fs.existsSync(join(out, 'config.json'))) {
        t.equal(kill.event, 'start', 'without a model only where the run had just begun');
        continue;
      }
      (await loadModel(runtime, out, stsn)).release();
      (await loadModel(runtime, join(out, 'last'), stsn)).release();
      t.ok(await canResume(folderStorage(out)), 'loads, and can be resumed');
    }
    await train({ ...tinyRun(runtime, out), resume: true });
    t.deepEqual(differences(finalFiles(out), finalFiles(whole)), [], 'the same bytes in the end');
  });
}

if (process.argv[2] === 'child') {
  const out = process.argv[3];
  await train({
    ...tinyRun(runtime, out),
    resume: await canResume(folderStorage(out)),
    saveSeconds: 1e-9,
    onEvent: (e) => process.stdout.write(`${e.event} ${String(e.step ?? e.epoch ?? '')}`.trimEnd() + '\n'),
  });
  process.exit(0);
} else {
  test.onFinish(() => runtime.close());
  cutShort();
  killed();
}
