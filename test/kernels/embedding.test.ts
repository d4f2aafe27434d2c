import test from 'tape';
import { embedding } from '../../kernels/embedding.ts';
import { defaultCaps, type Kernel, type Params, type Plan } from '../../kernels/plan.ts';
import { ints, random, runtime, testKernel, type Case } from './harness.ts';

/** ids that repeat and leave rows out, in no order. */
const scattered = (count: number, v: number): number[] =>
  Array.from({ length: count }, (_, i) => (i * i * 7 + 3 * i) % v);

const shapes: [idShape: number[], v: number, d: number][] = [
  [[], 1, 1],
  [[0], 3, 4],
  [[5], 3, 0],
  [[2, 0], 0, 4],
  [[2, 3], 11, 4],
  [[7], 13, 5],
  [[63], 5, 8],
  [[65], 2, 12],
  [[3, 31], 97, 61],
  [[2, 5], 80, 4], // a table that most rows of have no id
  [[3], 1000, 5],
];
const cases: Case[] = shapes.map(([idShape, v, d]) => ({
  name: `ids [${idShape}], table [${v},${d}]`,
  inputs: {
    ids: ints(
      idShape,
      scattered(
        idShape.reduce((a, b) => a * b, 1),
        Math.max(1, v),
      ),
    ),
    table: random([v, d]),
  },
}));
cases.push({
  name: 'one id 4,200 times: two levels of slabs beside short segments',
  inputs: {
    ids: ints([4211], [...new Array<number>(4200).fill(1), ...scattered(11, 4)]),
    table: random([4, 3]),
  },
});
cases.push({
  name: 'one id 70 times in a table of 600 rows',
  inputs: { ids: ints([72], [599, ...new Array<number>(70).fill(3), 0]), table: random([600, 3]) },
});
for (const [ids, d] of [
  [[], 4],
  [[-1, 2, -1], 2],
  [[-1], 3],
  [[-1, 2, -1, 0, 2, 2, -1], 8],
  [scattered(131, 12).map((id) => id - 1), 61],
] as const)
  cases.push({
    name: `padding among ${ids.length} ids, width ${d}`,
    inputs: { ids: ints([ids.length], [...ids]), table: random([11, d]) },
    params: { padding: true },
  });
testKernel('embedding', cases);

test('embedding: a gradient of more than 65,535 workgroups', async (t) => {
  const [v, d] = [70_000, 61];
  const ids = { data: Int32Array.of(v - 1, 0, v - 1), shape: [3] };
  const gradTable = await runtime.scope(async () => {
    const tensors = {
      table: runtime.empty([v, d]),
      grad_out: runtime.upload(
        Float32Array.from({ length: 3 * d }, (_, i) => i),
        [3, d],
      ),
    };
    const result = runtime.kernel(embedding.backward as Kernel, tensors, { host: { ids } });
    return runtime.read(result.grad_table);
  });
  const expected = new Float32Array(v * d);
  for (let j = 0; j < d; j++) {
    expected[j] = d + j;
    expected[(v - 1) * d + j] = 2 * d + 2 * j;
  }
  t.equal(
    gradTable.findIndex((value, i) => value !== expected[i]),
    -1,
    'every row is written, referenced ones with their sum',
  );
});

const planOf = (ids: readonly number[], shape: readonly number[] = [ids.length], params: Params = {}): Plan =>
  embedding.plan({
    shapes: { ids: shape, table: [3, 2] },
    params,
    caps: defaultCaps,
    host: { ids: Int32Array.from(ids) },
  });

test('embedding: an id outside the table names its row', (t) => {
  t.throws(() => planOf([0, 3]), /^InputError: embedding: ids row 1 is 3, not in 0\.\.2$/);
  t.throws(() => planOf([-1]), /ids row 0 is -1/);
  t.throws(() => planOf([-2], [1], { padding: true }), /ids row 0 is -2, not in -1\.\.2/);
  t.throws(() => planOf([0], [1], { padding: 1 }), /"padding" must be true or false, got 1/);
  t.throws(() => planOf([0, 1], [3]), /"ids" has 2 values for shape \[3\]/);
  t.end();
});

test('embedding: the gradient reads the referenced rows of grad_out alone, its tables are as long as the ids', (t) => {
  const [count, v] = [1000, 50_000];
  const plan = embedding.backward?.plan({
    shapes: { ids: [count], table: [v, 8], grad_out: [count, 8] },
    params: {},
    caps: defaultCaps,
    host: { ids: Int32Array.from(scattered(count, v)) },
  }) as Plan;
  const added = plan.dispatches.reduce((sum, d) => sum + d.flops, 0);
  t.equal(added, count * 8, 'one addition per element of grad_out');
  t.equal(plan.dispatches.length, 2, 'all cleared, then the sums');
  const integers = Object.values(plan.data).reduce((sum, table) => sum + table.length, 0);
  t.ok(integers <= 4 * count, `${integers} integers for ${count} ids`);
  t.end();
});
