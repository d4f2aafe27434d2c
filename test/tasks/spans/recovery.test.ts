/** A training whose device is lost goes on once on another one, to the bytes of a run that kept its own; then it gives up. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import { DeviceLostError, folderStorage, openRuntime, train, type Runtime } from '../../../src/node.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import type { LogEvent } from '../../../src/tasks/training/curve.ts';
import type { Storage } from '../../../src/tasks/training/storage.ts';
import {
  corpusOf,
  differences,
  finalFiles,
  sentencesOf,
  temporaryFolder,
  tinyEncoder,
  tinyRecipe,
  tokenizerOf,
} from './tiny.ts';

const open = () => openRuntime({ defaultLimits: true });
/** Stays, and has its pipelines. */
const kept = await open();
const corpus = corpusOf(sentencesOf(0, 24), 'train.json');
const dev = corpusOf(sentencesOf(24, 30), 'dev.json');

interface Run {
  /** Sees every event, with what destroys the device. */
  onEvent?: (event: LogEvent, runtime: Runtime) => void;
  /** Sees what is about to be written. */
  onWrite?: (part: string, names: readonly string[], runtime: Runtime) => void;
  reopen?: () => Promise<Runtime>;
  resume?: boolean;
  signal?: AbortSignal;
}

/** Two epochs of six steps, saved at every step. */
function run(runtime: Runtime, out: string, { onEvent, onWrite, ...rest }: Run = {}) {
  const folder = folderStorage(out);
  const storage: Storage = {
    ...folder,
    write: (part, files) => {
      onWrite?.(part, Object.keys(files), runtime);
      return folder.write(part, files);
    },
  };
  return train(stsn, corpus, {
    ...{ runtime, storage, dev, saveSeconds: 1e-9, ...rest },
    recipe: { ...tinyRecipe, epochs: 2 },
    ...(!rest.resume && {
      config: { encoder: tinyEncoder, layers: 1, heads: 2, widthEmbeddingSize: 4 },
      tokenizer: tokenizerOf(corpus.sentences),
    }),
    onEvent: (event) => onEvent?.(event, runtime),
  });
}

const whole = temporaryFolder();
await run(kept, whole);
const expected = finalFiles(whole);
test.onFinish(() => kept.close());

/** Devices that were lost. */
const gone: Runtime[] = [];

/** What `action` rejects with. */
const rejection = (action: Promise<unknown>): Promise<unknown> =>
  action.then(
    () => 'it ran to the end',
    (error: unknown) => error,
  );

/** When a device is destroyed. */
const losses: Record<string, { saved: boolean; lose: (lost: Runtime) => Run }> = {
  'before anything is saved': {
    saved: false,
    lose: (lost) => ({ onWrite: (part) => part === 'last' && lost.device.destroy() }),
  },
  'in mid-step, with its losses being read': {
    saved: true,
    lose: (lost) => ({ onEvent: (e) => e.event === 'step' && e.step === 3 && lost.device.destroy() }),
  },
  'in mid-save, its log line and best model written': {
    saved: true,
    // The curve is the last before the state.
    lose: (lost) => ({ onWrite: (_, names) => names.includes('curve.svg') && lost.device.destroy() }),
  },
};

for (const [name, { saved, lose }] of Object.entries(losses))
  test(`a device lost ${name}`, async (t) => {
    const out = temporaryFolder();
    const lost = await open();
    const notes: unknown[] = [];
    const { onEvent, onWrite } = lose(lost);
    const report = await run(lost, out, {
      onWrite,
      onEvent(event, runtime) {
        if (event.event === 'recover') notes.push(event.note);
        onEvent?.(event, runtime);
      },
      reopen: () => {
        t.equal(
          existsSync(join(out, 'last/trainer.json')),
          saved,
          saved ? 'there is a state' : 'there is none',
        );
        return Promise.resolve(kept);
      },
    });
    gone.push(lost);
    t.deepEqual(differences(finalFiles(out), expected), [], 'the same bytes');
    t.equal(notes.length, 1, 'told');
    t.match(
      String(notes[0]),
      saved ? /^the device was lost .*; the run went on from what was saved/ : /from the start/,
    );
    t.deepEqual(report.notes.at(-1), notes[0], 'and in the report');
  });

test('a second loss ends the run, and without another device the first: resumed, the same bytes', async (t) => {
  const out = temporaryFolder();
  const reason = new Error('told to');
  const stop = new AbortController();
  const stopped = run(kept, out, {
    signal: stop.signal,
    onEvent: (e) => void (e.event === 'step' && e.step === 7 && stop.abort(reason)),
  });
  t.equal(await rejection(stopped), reason, 'stopped in mid-run');
  const [first, second] = [
    await rejection(run(gone[0], out, { resume: true })),
    await rejection(run(gone[0], out, { resume: true, reopen: () => Promise.resolve(gone[1]) })),
  ];
  t.ok(first instanceof DeviceLostError && !/second/.test(first.message), String(first));
  t.ok(second instanceof DeviceLostError, String(second));
  t.match(
    (second as Error).message,
    /^the device was lost .*, for the second time; .* keeps what was saved, and the run can be resumed$/,
  );
  gone.forEach((runtime) => runtime.close());
  await run(kept, out, { resume: true });
  t.deepEqual(differences(finalFiles(out), expected), []);
});
