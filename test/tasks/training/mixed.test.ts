/** Training in f16: what it learns, steps that are skipped, and that a run goes on bit for bit across them. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { Runtime } from '../../../src/gpu/runtime.ts';
import { AdamW, folderStorage, GradScaler, loadModel, scale, train } from '../../../src/node.ts';
import { newModel } from '../../../src/tasks/checkpoint.ts';
import { stsn } from '../../../src/tasks/spans/stsn.ts';
import { trainStep } from '../../../src/tasks/training/step.ts';
import { planResume } from '../../../src/tasks/training/train.ts';
import type { TrainingState } from '../../../src/tasks/training/state.ts';
import {
  differences,
  finalFiles,
  inputError,
  logOf,
  temporaryFolder,
  tinyRun,
  trainRun,
  type StsnRun,
} from '../spans/tiny.ts';
import { sharedRuntime } from '../../runtime.ts';

const runtime = sharedRuntime({ poison: false });

/** `tinyRun` in mixed precision. */
function mixedRun(of: Runtime, out: string, overrides: Parameters<typeof tinyRun>[2] = {}): StsnRun {
  const run = tinyRun(of, out, { epochs: 2, ...overrides });
  const { config, parameters } = run.model;
  parameters.release();
  return { ...run, model: newModel(of, stsn, config, run.recipe, undefined, undefined, 'mixed') };
}

/** Trains and frees the model: losses and gradient norms by step, and the report. */
async function trained(run: StsnRun, stopAt = Infinity) {
  const losses: number[] = [];
  const norms: number[] = [];
  try {
    const report = await trainRun(stsn, {
      ...run,
      onEvent(e) {
        if (e.event !== 'step') return;
        losses.push(Number(e.loss));
        norms.push(Number(e.gradNorm));
        if (e.step === stopAt) throw new Error('stopped');
      },
    });
    return { losses, norms, report };
  } finally {
    run.model.parameters.release();
  }
}

const stateOf = (out: string) =>
  JSON.parse(readFileSync(join(out, 'last/trainer.json'), 'utf8')) as TrainingState;

test('a run in f16 learns what one in f32 does, and leaves f32 behind', async (t) => {
  const [out, wide] = [temporaryFolder(), temporaryFolder()];
  const { losses, norms, report } = await trained(mixedRun(runtime, out));
  const exact = await trained(tinyRun(runtime, wide, { epochs: 2 }));
  t.equal(losses.length, 12);
  // Weights are off by up to 2^-11 of themselves, a sum of many products by less, and the steps lead on from there.
  for (const [name, own, other] of [
    ['losses', losses, exact.losses],
    ['norms', norms, exact.norms],
  ] as const) {
    const apart = Math.max(...own.map((x, i) => Math.abs(x / other[i] - 1)));
    t.ok(apart > 0 && apart < 2e-2, `${name} at most ${apart.toExponential(1)} apart`);
  }
  t.ok(losses[11] < 0.8 * losses[0], `${losses[0]} to ${losses[11]}`);
  t.equal(report.skipped, 0);
  const [start, ...epochs] = logOf(out);
  t.equal(start.precision, 'f16');
  t.deepEqual(
    epochs.map(({ skipped }) => skipped),
    [0, 0],
  );
  t.deepEqual(Object.keys(exact.report).includes('skipped'), false);
  t.equal(readFileSync(join(wide, 'log.jsonl'), 'utf8').includes('precision'), false);
  const model = await loadModel(runtime, out);
  t.ok([...model.model.parameters.all.values()].every(({ tensor }) => tensor.dtype === 'f32'));
  model.release();
  t.deepEqual(stateOf(out).scaler, {
    scale: 65536,
    good: 11,
    skipped: 0,
    last: { scale: 65536, skipped: [] },
  });
  t.equal('scaler' in stateOf(wide), false);
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

/** A run after its first step, the next scale far too large. */
const far = temporaryFolder();
await trained({ ...mixedRun(runtime, far), saveSeconds: 1e-9 }, 2).catch(() => undefined);
const state = stateOf(far);
writeFileSync(
  join(far, 'last/trainer.json'),
  JSON.stringify({ ...state, scaler: { ...state.scaler, scale: 2 ** 24 } }),
);

/** A copy of it, with such a scaler. */
function copied(scaler: object = {}): string {
  const out = temporaryFolder();
  cpSync(far, out, { recursive: true });
  const saved = stateOf(out);
  writeFileSync(
    join(out, 'last/trainer.json'),
    JSON.stringify({ ...saved, scaler: { ...saved.scaler, ...scaler } }),
  );
  return out;
}

/** Goes on with a copy of it. */
async function resumed(stops: readonly number[]) {
  const out = copied();
  for (const stop of stops)
    await trained({ ...mixedRun(runtime, out), resume: true, saveSeconds: 1e-9 }, stop).catch(
      () => undefined,
    );
  return { out, ...(await trained({ ...mixedRun(runtime, out), resume: true })) };
}

test('steps that are not finite are skipped until the scale fits; stopped among them a run ends in the same bytes', async (t) => {
  t.equal(state.batch, 1, 'saved after the first step');
  const { out, losses, norms, report } = await resumed([]);
  const skipped = norms.flatMap((norm, i) => (Number.isFinite(norm) ? [] : [i]));
  t.ok(skipped[0] === 0 && skipped.length >= 3 && skipped.length <= 6, `skipped: ${skipped}`);
  t.equal(report.skipped, skipped.length);
  t.ok(losses.every(Number.isFinite), 'their losses are there all the same');
  t.ok(losses[10] < losses[0], 'what follows learns');
  const [, first, second] = logOf(out);
  t.equal(Number(first.skipped) + Number(second.skipped), skipped.length);
  t.ok([first, second].every(({ loss, gradNorm }) => Number(loss) > 0 && Number(gradNorm) > 0));
  const exponent = Math.log2(stateOf(out).scaler!.scale);
  t.ok(Math.abs(24 - exponent - skipped.length / 2) <= 1, `2^${exponent}: once for two that were skipped`);

  const stops = await resumed([3, 5, 6]);
  t.deepEqual(differences(finalFiles(stops.out), finalFiles(out)), [], 'stopped at steps 3, 5 and 6');
});

test('a skipped step moves nothing', async (t) => {
  const out = copied();
  await trained({ ...mixedRun(runtime, out), resume: true, saveSeconds: 1e-9 }, 4).catch(() => undefined);
  const { batch, scaler } = stateOf(out);
  t.deepEqual([batch, scaler?.skipped], [3, 2]);
  const weights = (folder: string) => readFileSync(join(folder, 'last/model.safetensors')).toString('base64');
  t.equal(weights(out), weights(far));
  t.ok(scaler!.last!.skipped.length > 20, 'the parameters whose steps are to be taken back');
});

test('an epoch without a step has no loss', async (t) => {
  const out = copied({ scale: 2 ** 60 });
  await trained({ ...mixedRun(runtime, out), resume: true });
  const [, first, second] = logOf(out);
  t.ok(Number(first.loss) > 0, 'that of its first step');
  t.deepEqual([second.loss, second.gradNorm], [null, null]);
});

test('weights that f16 does not hold are an error, and are not saved', async (t) => {
  const out = temporaryFolder();
  const error = await trained(mixedRun(runtime, out, { lr: 1e6 })).catch((error: Error) => error.message);
  t.match(String(error), /^training diverged at step \d+ \(.* holds -?[\d.]+, beyond f16\); try a lower lr$/);
  const { epoch, batch } = stateOf(out);
  t.deepEqual([epoch, batch], [0, 0], 'what is saved is from before');
});

test('what no scale helps is an error', async (t) => {
  const run = mixedRun(runtime, temporaryFolder());
  const { model, recipe } = run;
  const optimizer = new AdamW(model.parameters, { lr: recipe.lr });
  const scaler = new GradScaler(optimizer);
  scaler.load({ scale: 2, good: 0, skipped: 0 });
  const definition = {
    parts: [],
    losses: async (...of: Parameters<typeof stsn.losses>) => {
      const all = await stsn.losses(...of);
      return { ...all, loss: scale(scale(all.loss, 1e30), 1e30) };
    },
  };
  const batch = stsn.epochs(run).epoch(0, -1).batch(0, 0);
  const step = (step: number) =>
    trainStep(definition, model, optimizer, batch, { step, lr: 1, clip: 1, scaler });
  for (const at of [0, 1]) t.equal(Number.isFinite((await step(at)).gradNorm), false, 'skipped');
  const error = await step(2).catch((error: Error) => error.message);
  t.equal(error, 'training diverged at step 3 (loss Infinity, gradNorm NaN); try a lower lr');
  optimizer.release();
  model.parameters.release();
});

test('a run goes on in its own precision', async (t) => {
  const name = (out: string) => `${out}/last/trainer.json`;
  const wide = temporaryFolder();
  await trained({ ...tinyRun(runtime, wide, { epochs: 2 }), saveSeconds: 1e-9 }, 2).catch(() => undefined);
  t.equal(
    await inputError(() => trained({ ...tinyRun(runtime, far, { epochs: 2 }), resume: true })),
    `${name(far)}: the run was started with precision f16`,
  );
  t.equal(
    await inputError(() => trained({ ...mixedRun(runtime, wide), resume: true })),
    `${name(wide)}: the run was started with precision f32`,
  );
  const { train: data } = tinyRun(runtime, wide);
  const plan = async (out: string) => (await planResume(stsn, folderStorage(out), { train: data })).precision;
  t.deepEqual([await plan(far), await plan(wide)], ['f16', 'f32'], 'where nothing is said');
  const options = { runtime, storage: folderStorage(temporaryFolder()), precision: 'f8' as never };
  t.equal(
    await inputError(() => train(stsn, data, options)),
    'option "precision" must be one of f32, f16, got "f8"',
  );
  const broken = (scaler: object) =>
    inputError(() => trained({ ...mixedRun(runtime, copied(scaler)), resume: true }));
  t.match(await broken({ scale: 3 }), /scaler: "scale" must be a power of two from 1 to 2\^126; it is 3/);
  t.match(await broken({ good: -1 }), /scaler: "good"/);
  t.match(
    await broken({ last: { scale: 2, skipped: ['w'] } }),
    /scaler: last: "skipped" names "w", which has had no step/,
  );
});
