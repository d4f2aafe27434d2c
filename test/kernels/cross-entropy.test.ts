import test from 'tape';
import { crossEntropy } from '../../kernels/cross-entropy.ts';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps } from '../../kernels/plan.ts';
import { ints, random, testKernel, type Case } from './harness.ts';

/** Targets that visit every class; every fourth row is `ignored` where that is given. */
const labels = (n: number, c: number, ignored?: number) =>
  ints(
    [n],
    Array.from({ length: n }, (_, row) => (ignored !== undefined && row % 4 === 1 ? ignored : (7 * row) % c)),
  );
const sizes: [n: number, c: number][] = [
  [0, 3],
  [1, 1],
  [1, 2],
  [7, 5],
  [63, 16],
  [64, 17],
  [65, 31],
  [3, 64],
  [2, 1023],
  [2, 1025],
  [4200, 3],
];
const cases: Case[] = sizes.map(([n, c]) => ({
  name: `logits [${n},${c}]`,
  inputs: { logits: random([n, c], 3), targets: labels(n, c) },
}));

/** Rows 1, 5, … are ignored, and hold NaN. */
const holes = random([10, 6], 2);
for (let row = 1; row < 10; row += 4) (holes.data as Float64Array).fill(NaN, 6 * row, 6 * row + 6);
/** The target leads by 9: the loss is about 1e-4 a row. */
const certain = random([33, 5], 0.5);
const certainTargets = labels(33, 5);
certainTargets.data.forEach((target, row) => (certain.data[5 * row + target] += 9));

cases.push(
  { name: 'ignored rows hold NaN', inputs: { logits: holes, targets: labels(10, 6, -100) } },
  {
    name: 'ignoreIndex is a class',
    inputs: { logits: random([9, 20]), targets: labels(9, 20, 3) },
    params: { ignoreIndex: 3 },
  },
  { name: 'no row counts', inputs: { logits: random([3, 4]), targets: ints([3], [-100, -100, -100]) } },
  { name: 'no class, no row counts', inputs: { logits: random([2, 0]), targets: ints([2], [-100, -100]) } },
  { name: 'almost certain', inputs: { logits: certain, targets: certainTargets } },
  { name: 'magnitude 1e5', inputs: { logits: random([9, 12], 1e5), targets: labels(9, 12) } },
);

testKernel('cross-entropy', cases);

const request = (n: number, c: number, targets: number[]) => ({
  shapes: { logits: [n, c], targets: [n] },
  params: {},
  caps: defaultCaps,
  host: { targets: Int32Array.from(targets) },
});

test('cross-entropy: a target out of range is an InputError that names the row', (t) => {
  t.throws(() => crossEntropy.plan(request(3, 4, [0, 3, 4])), InputError);
  t.throws(
    () => crossEntropy.plan(request(3, 4, [0, 3, 4])),
    /cross-entropy: targets row 2 is 4, not in 0..3/,
  );
  t.throws(() => crossEntropy.plan(request(2, 4, [0, -1])), /targets row 1 is -1/);
  t.throws(() => crossEntropy.plan(request(2, 4, [0])), /targets row 1 is undefined/);
  const other = { ...request(2, 4, [0, 0]), shapes: { logits: [2, 4], targets: [2, 1] } };
  t.throws(() => crossEntropy.plan(other), /input "targets" must have shape \[2\], got \[2,1\]/);
  t.throws(() => crossEntropy.plan({ ...request(1, 4, [0]), params: { ignoreIndex: 0.5 } }), /"ignoreIndex"/);
  t.end();
});

test('cross-entropy: costs are the stated formulas, ignored rows cost nothing', (t) => {
  const [rows, sum] = crossEntropy.plan(request(3, 4, [0, -100, 1])).dispatches;
  t.deepEqual([rows.macs, rows.flops, sum.flops], [0, 2 * (8 + 6 + 25), 3]);
  t.deepEqual([rows.bytesRead, rows.bytesWritten], [4 * (8 + 3), 12]);
  t.end();
});
