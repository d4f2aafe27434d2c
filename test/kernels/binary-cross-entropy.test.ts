import test from 'tape';
import { binaryCrossEntropy } from '../../kernels/binary-cross-entropy.ts';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, sizeOf, type Shape } from '../../kernels/plan.ts';
import { ints, random, testKernel, type Case } from './harness.ts';

const every = (shape: Shape, k: number) =>
  ints(
    shape,
    Array.from({ length: sizeOf(shape) }, (_, i) => Number(i % k === 0)),
  );
const shapes: Shape[] = [[], [0], [1], [15], [16], [17], [5, 7], [2, 3, 43], [1023], [1024], [1025], [16500]];
const cases: Case[] = shapes.map((shape) => ({
  name: `logits [${shape}]`,
  inputs: { logits: random(shape, 4), targets: every(shape, 3) },
}));

/** Only every second element counts; the others hold NaN, and targets that are no classes. */
const holes = random([6, 11], 3);
const strange = every([6, 11], 4);
for (let i = 1; i < 66; i += 2) {
  holes.data[i] = NaN;
  strange.data[i] = -7;
}
/** ±1e3 and 0, of either label. */
const extremes = {
  logits: { shape: [6], data: Float64Array.of(1e3, 1e3, -1e3, -1e3, 0, 0) },
  targets: ints([6], [1, 0, 1, 0, 1, 0]),
};
/** Right by 9: each loss is about 1e-4. */
const certain = random([40], 0.5);
const certainTargets = every([40], 2);
certainTargets.data.forEach((target, i) => (certain.data[i] += target ? 9 : -9));

cases.push(
  { name: 'masked elements hold NaN', inputs: { logits: holes, targets: strange, mask: every([6, 11], 2) } },
  { name: 'a mask of ones', inputs: { logits: random([19]), targets: every([19], 2), mask: every([19], 1) } },
  {
    name: 'nothing counts',
    inputs: { logits: random([9]), targets: every([9], 2), mask: ints([9], new Int32Array(9)) },
  },
  { name: 'magnitude 1e3', inputs: extremes },
  { name: 'almost certain', inputs: { logits: certain, targets: certainTargets } },
);

testKernel('binary-cross-entropy', cases);

const request = (targets: number[], mask?: number[]) => ({
  shapes: { logits: [3], targets: [targets.length], ...(mask && { mask: [mask.length] }) },
  params: {},
  caps: defaultCaps,
  host: { targets: Int32Array.from(targets), ...(mask && { mask: Int32Array.from(mask) }) },
});

test('binary-cross-entropy: a target that is no label is an InputError that names the element', (t) => {
  t.throws(() => binaryCrossEntropy.plan(request([0, 2, 1])), InputError);
  t.throws(
    () => binaryCrossEntropy.plan(request([0, 2, 1])),
    /binary-cross-entropy: targets element 1 is 2, not 0 or 1/,
  );
  t.doesNotThrow(() => binaryCrossEntropy.plan(request([0, 2, 1], [1, 0, 1])), 'where it counts');
  t.throws(
    () => binaryCrossEntropy.plan(request([0, 1])),
    /input "targets" must have shape \[3\], got \[2\]/,
  );
  t.throws(() => binaryCrossEntropy.plan(request([0, 1, 1], [1])), /input "mask" must have shape \[3\]/);
  t.end();
});

test('binary-cross-entropy: costs are the stated formulas, masked elements cost no arithmetic', (t) => {
  const [runs, sum] = binaryCrossEntropy.plan(request([0, 1, 1], [1, 0, 1])).dispatches;
  t.deepEqual([runs.macs, runs.flops, sum.flops], [0, 2 * 23 + 1, 1]);
  t.deepEqual([runs.bytesRead, runs.bytesWritten], [4 * (2 + 3), 4]);
  t.end();
});
