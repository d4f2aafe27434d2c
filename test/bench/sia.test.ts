import test from 'tape';
import { costOf, runComposition, type Composition } from '../../bench/sia.composition.ts';
import { longInputChecks, memoryTable } from '../../bench/sia.bench.ts';
import { checkOutputs, exactBlocks, siaInputs } from '../../bench/sia.expected.ts';
import { naiveSide, otherForms, SCALES, segmentSide } from '../../bench/sia.sides.ts';
import { add, scale } from '../../kernels/shared/elementwise.ts';
import { defaultCaps } from '../../kernels/plan.ts';
import { openRuntime } from '../../src/node.ts';

// First of all: without a GPU the process starts again on the software device.
const runtime = await openRuntime();
test.onFinish(() => runtime.close());

/** out = (2x + x) + 3x: `double` is dead after the first sum, `sum` after the second, `triple` meanwhile lives. */
const composition: Composition = {
  steps: [
    { kernel: scale, params: { factor: 2 }, inputs: { x: 'x' }, outputs: { out: 'double' } },
    { kernel: add, inputs: { a: 'double', b: 'x' }, outputs: { out: 'sum' } },
    { kernel: scale, params: { factor: 3 }, inputs: { x: 'x' }, outputs: { out: 'triple' } },
    { kernel: add, inputs: { a: 'sum', b: 'triple' }, outputs: { out: 'out' } },
  ],
  results: ['out'],
};

test('a composition has the cost of its plans', (t) => {
  const { flops, scratchBytes, shapes } = costOf(composition, { x: [100] }, defaultCaps);
  t.equal(flops, 400);
  t.equal(scratchBytes, 800, 'two tensors at once, the result left out');
  t.deepEqual(shapes.out, [100]);
  t.end();
});

test('a composition runs, and leaves nothing but its results', async (t) => {
  const x = runtime.upload(Float32Array.of(1, 2, 3), [3]);
  const before = runtime.memory.report().liveBytes;
  const { out } = runComposition(runtime, composition, { x });
  t.deepEqual([...(await out.read())], [6, 12, 18]);
  out.release();
  t.equal(runtime.memory.report().liveBytes, before);
});

test('every side of bench sia is checked against float64', async (t) => {
  const tokens = 24;
  const side = naiveSide(tokens, SCALES);
  const { columns, values } = siaInputs(tokens, side);
  const expected = { blocks: exactBlocks('forward', side, { tokens, columns, values }) };
  const tensors = Object.fromEntries(
    Object.entries(values).map(([name, data]) => [
      name,
      runtime.upload(data, name === 'weights' ? [SCALES.length] : [1, tokens, columns]),
    ]),
  );
  const out = await runComposition(runtime, side.forward, tensors).out.read();
  t.ok(checkOutputs('naive', { out }, columns, expected) < 1e-5);
  const ours = segmentSide('sia', tokens, SCALES).forward;
  t.ok(
    checkOutputs('sia', { out: await runComposition(runtime, ours, tensors).out.read() }, columns, expected) <
      1e-5,
  );
  out[5 * columns + 700] += 1;
  t.throws(() => checkOutputs('naive', { out }, columns, expected), /naive out, float64: wrong result/);
  t.throws(
    () => checkOutputs('naive', { out }, columns, { blocks: [], whole: { out: values.q } }),
    /wrong result/,
  );
});

test('one scale that is not a single token is learned like five', (t) => {
  for (const scales of [[2], SCALES]) {
    const [ours, naive] = [segmentSide('sia', 24, scales), naiveSide(24, scales)];
    t.deepEqual([...ours.backward.results].sort(), [...naive.backward.results].sort(), `scales ${scales}`);
    t.ok(ours.backward.results.includes('grad_weights'));
  }
  t.notOk(segmentSide('self', 24, [1]).backward.results.includes('grad_weights'), 'self-attention has none');
  t.end();
});

test('scratch of long inputs, from the plans', (t) => {
  for (const caps of [defaultCaps, { ...defaultCaps, software: true }])
    for (const row of memoryTable(caps, [4096])) {
      const what = `${row.pass} L=${row.L}, software ${caps.software}`;
      t.ok(row.sia < 2 * 2 ** 20, `${what}: under 2 MiB`);
      t.ok(row.naive > 5 * 4 * row.L * 768, `${what}: scale by scale holds five outputs`);
    }
  for (const caps of [defaultCaps, { ...defaultCaps, software: true }])
    for (const form of ['chosen', 'flash'])
      t.deepEqual(
        longInputChecks(caps).filter(({ claim, holds }) => holds && claim.includes(`${form} form`)).length,
        2,
        `${form} form, software ${caps.software}: forward and backward are asserted`,
      );
  t.deepEqual(Object.keys(otherForms(256, SCALES, defaultCaps)), ['flash', 'strips', 'wide']);
  t.end();
});
