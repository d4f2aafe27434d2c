import test from 'tape';
import { defaultCaps, type Plan } from '../../kernels/plan.ts';
import { spanEnumerate } from '../../kernels/span-enumerate.ts';
import { ints, runtime, testKernel, type Case } from './harness.ts';
import { allSpans } from './spans.ts';

const lists: [lengths: number[], maxWidth: number][] = [
  [[], 3],
  [[0], 3],
  [[0, 0, 0], 1],
  [[1], 1],
  [[1, 0, 2], 5],
  [[7], 3],
  [[3, 7, 2, 8], 4],
  [[8, 64, 13], 8],
  [[5, 4, 3], 1],
  [[9, 10, 11], 10],
  [[63, 64, 65], 64],
  [[6], 1_000_000],
];
const cases: Case[] = lists.map(([lengths, maxWidth]) => ({
  name: `lengths [${lengths}], maxWidth ${maxWidth}`,
  inputs: { lengths: ints([lengths.length], lengths) },
  params: { maxWidth },
  forwardOnly: true,
}));
testKernel('span-enumerate', cases);

test('span-enumerate: a grid of more than 65,535 workgroups', async (t) => {
  const lengths = new Array<number>(1400).fill(1);
  lengths[1399] = 3000;
  const spans = await runtime.scope(() => {
    const host = { lengths: { data: Int32Array.from(lengths), shape: [1400] } };
    return runtime.read(runtime.kernel(spanEnumerate, {}, { params: { maxWidth: 1 }, host }).spans);
  });
  const expected = allSpans(lengths, 1).flat();
  t.equal(spans.length, expected.length);
  t.equal(
    spans.findIndex((value, i) => value !== expected[i]),
    -1,
  );
});

test('span-enumerate: a negative length and a width of 0', (t) => {
  const plan = (lengths: readonly number[], maxWidth: number, shape = [lengths.length]): Plan =>
    spanEnumerate.plan({
      shapes: { lengths: shape },
      params: { maxWidth },
      caps: defaultCaps,
      host: { lengths: Int32Array.from(lengths) },
    });
  t.throws(() => plan([3, -1], 2), /^InputError: span-enumerate: lengths row 1 is -1, not 0 or more$/);
  t.throws(() => plan([3], 0), /"maxWidth" must be an integer of at least 1, got 0/);
  t.throws(() => plan([3, 3], 2, [2, 1]), /input "lengths" must have shape \[2\]/);
  t.end();
});
