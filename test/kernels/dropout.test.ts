import test from 'tape';
import { dropout } from '../../kernels/dropout.ts';
import { defaultCaps, sizeOf, type Params, type Plan } from '../../kernels/plan.ts';
import { philox4x32 } from '../../kernels/shared/philox.ts';
import { random, runtime, testKernel, type Case } from './harness.ts';

const MAX = 2 ** 32 - 1;
const shapes = [[], [0], [1], [3], [4], [5], [2, 13], [255], [256], [257], [3, 0, 2], [8, 128]];
const cases: Case[] = shapes.map((shape) => ({
  name: `x [${shape}]`,
  inputs: { x: random(shape) },
  params: { p: 0.3, seed: 42, offset: 7 },
}));
for (const [p, seed, offset] of [
  [0, 1, 2],
  [1, 1, 2],
  [0.5, MAX, MAX],
  [0.1, 0, 0],
  [1 - 2 ** -20, 3, 3],
])
  cases.push({
    name: `p ${p}, seed ${seed}, offset ${offset}`,
    inputs: { x: random([7, 33]) },
    params: { p, seed, offset },
  });
testKernel('dropout', cases);

/** Dropout of ones on the device. */
const masked = (shape: readonly number[], params: Params): Promise<ArrayLike<number>> =>
  runtime.scope(() => {
    const x = runtime.upload(new Float32Array(sizeOf(shape)).fill(1), shape);
    return runtime.read(runtime.kernel(dropout, { x }, { params }).out);
  });

test('dropout: the published Philox 4x32-10 vectors decide what is kept', async (t) => {
  // Random123's known answers for counter 0 and key 0; the device draws this block for seed 0, offset 0.
  const words = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8];
  t.deepEqual([...philox4x32([0, 0, 0, 0], [0, 0])], words, 'the reference agrees with them');
  for (const word of words) {
    const at = await masked([4], { p: word / 2 ** 32, seed: 0, offset: 0 });
    const above = await masked([4], { p: (word + 1) / 2 ** 32, seed: 0, offset: 0 });
    const kept = (values: ArrayLike<number>) => Array.from(values, (v) => v > 0);
    t.deepEqual(
      kept(at),
      words.map((w) => w >= word),
      `threshold ${word}: exact at the word`,
    );
    t.deepEqual(
      kept(above),
      words.map((w) => w > word),
      `threshold ${word + 1}: exact just above it`,
    );
  }
});

test('dropout: p 0 is the identity to the bit', async (t) => {
  const x = Float32Array.from(random([37]).data);
  const out = await runtime.scope(() =>
    runtime.read(
      runtime.kernel(dropout, { x: runtime.upload(x, [37]) }, { params: { p: 0, seed: 9, offset: 9 } }).out,
    ),
  );
  t.deepEqual([...out], [...x]);
});

test('dropout: the share of dropped elements is p, and another offset drops others', async (t) => {
  const size = 100_000;
  const first = await masked([size], { p: 0.1, seed: 5, offset: 1 });
  const second = await masked([size], { p: 0.1, seed: 5, offset: 2 });
  let dropped = 0;
  let both = 0;
  for (let i = 0; i < size; i++) {
    dropped += Number(first[i] === 0);
    both += Number(first[i] === 0 && second[i] === 0);
  }
  // Five standard deviations of a binomial: 95 and 31 each.
  t.ok(Math.abs(dropped - 10_000) < 475, `${dropped} of ${size} dropped`);
  t.ok(Math.abs(both - 1000) < 160, `${both} dropped by both offsets`);
});

test('dropout: parameters out of range', (t) => {
  const plan = (params: Params): Plan =>
    dropout.plan({ shapes: { x: [4] }, params, caps: defaultCaps, host: {} });
  t.throws(
    () => plan({ p: 1.5, seed: 1, offset: 1 }),
    /^InputError: dropout: parameter "p" must be from 0 to 1/,
  );
  t.throws(() => plan({ p: -0.1, seed: 1, offset: 1 }), /"p" must be from 0 to 1, got -0\.1/);
  t.throws(() => plan({ seed: 1, offset: 1 }), /"p" must be a finite number/);
  t.throws(() => plan({ p: 0.1, seed: MAX + 1, offset: 1 }), /"seed" must be below 2\^32, got 4294967296/);
  t.throws(() => plan({ p: 0.1, seed: 1, offset: -1 }), /"offset" must be an integer of at least 0/);
  t.throws(() => plan({ p: 0.1, seed: 1, offset: 0.5 }), /"offset" must be an integer/);
  t.end();
});
