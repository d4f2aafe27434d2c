/** Products by the matrices of subgroups: emulated on any device, and as they are where one has them. */
import test from 'tape';
import { linear } from '../../../kernels/linear.ts';
import { defaultCaps, spec, type Caps, type Plan, type SubgroupMatrix } from '../../../kernels/plan.ts';
import { activations } from '../../../kernels/reference/math.ts';
import { matmul, shapeOfProduct, type MatmulSpec } from '../../../kernels/shared/matmul.ts';
import {
  chooseMatmul,
  subgroupMatrixVariant,
  type MatmulShape,
} from '../../../kernels/shared/matmul-variant.ts';
import { narrowToHalves, widenHalves } from '../../../src/io/half.ts';
import { InputError, openRuntime, type Runtime } from '../../../src/node.ts';
import { random, relativeError } from '../harness.ts';
import { planProblems } from '../plan-problems.ts';
import { emulated } from './matmul-subgroup-matrix-emulated.ts';

/** Sums of products that f16 and f32 hold: only the order of additions differs. */
const TOLERANCE = 1e-6;

interface Product {
  m: number;
  n: number;
  k: number;
  tile: 64 | 128;
  /** Elements between rows of whole quads, NaN in A and B, and before the first. */
  gap?: number;
  /** Alpha, what C held, a bias, gelu and the value before it. */
  store?: boolean;
  /** A and B are stored as f16. */
  f16?: boolean;
}

const products: readonly Product[] = [
  { m: 64, n: 64, k: 32, tile: 64 },
  { m: 65, n: 68, k: 70, tile: 64, gap: 4, store: true },
  { m: 130, n: 196, k: 50, tile: 128, gap: 8, f16: true },
];

/** The product, its operands, and C and what precedes it in float64, by tensor. */
function problem({ m, n, k, gap = 0, store = false, f16 = false }: Product) {
  const pitch = 4 * Math.ceil(k / 4) + gap;
  const matrix = (tensor: string, row: number) => ({ tensor, row, offset: gap });
  const [a, b, c] = [{ ...matrix('a', pitch), f16 }, { ...matrix('b', pitch), f16 }, matrix('c', n + gap)];
  const held = (size: number) => widenHalves(narrowToHalves(Float32Array.from(random([size]).data)));
  const rows = (count: number) => {
    const values = new Float32Array(gap + count * pitch).fill(NaN);
    for (let row = 0; row < count; row++) values.set(held(k), gap + row * pitch);
    return values;
  };
  const values = { a: rows(m), b: rows(n), c: new Float32Array(gap + m * (n + gap)).fill(7), bias: held(n) };
  const expected = { c: Float64Array.from(values.c), pre: new Float64Array(values.c.length) };
  for (let r = 0; r < m; r++)
    for (let q = 0; q < n; q++) {
      let sum = 0;
      for (let s = 0; s < k; s++) sum += values.a[gap + r * pitch + s] * values.b[gap + q * pitch + s];
      const at = gap + r * (n + gap) + q;
      const before = store ? 0.5 * sum + 7 + values.bias[q] : sum;
      expected.pre[at] = before;
      expected.c[at] = store ? activations.gelu.value(before) : before;
    }
  const given: MatmulSpec = {
    label: 'matmul',
    ...{ m, n, k, a, b, c, transB: true, rounds: true },
    ...(store ? { alpha: 0.5, accumulate: true, bias: 'bias', pre: 'pre', activation: 'gelu' } : {}),
  };
  return { given, values, expected };
}

/** Computes the products on a device, twice, with `caps`. */
async function check(
  t: test.Test,
  on: Runtime,
  caps: Caps,
  emulate: boolean,
  chosen: readonly Product[],
): Promise<void> {
  const matrix = caps.subgroupMatrix as SubgroupMatrix;
  const problems = chosen.map((product) => ({ product, ...problem(product) }));
  const run = () =>
    on.scope(() =>
      on.readAll(
        problems.flatMap(({ product: { tile, store, f16 }, given, values: { bias, ...values } }) => {
          const variant = subgroupMatrixVariant(shapeOfProduct(given), tile, matrix, caps.subgroupMaxSize);
          const dispatch = matmul(given, caps, variant);
          const plan: Plan = {
            dispatches: [dispatch],
            scratch: {},
            outputs: {
              c: spec([values.c.length]),
              ...(store ? { pre: spec([values.c.length]) } : {}),
            },
            data: {},
            inPlace: { c: 'c' },
          };
          t.deepEqual(planProblems(plan, caps), [], 'within what the device grants');
          const stored = (x: Float32Array) => (f16 ? narrowToHalves(x) : x);
          const operands = { a: stored(values.a), b: stored(values.b), c: values.c };
          const tensors = Object.entries({ ...operands, ...(store ? { bias } : {}) }).map(
            ([name, data]) => [name, on.upload(data, [data.length])] as const,
          );
          const dispatches = emulate ? [{ ...dispatch, shader: emulated(dispatch.shader) }] : [dispatch];
          return Object.values(on.run({ ...plan, dispatches }, Object.fromEntries(tensors)));
        }),
      ),
    );
  const results = await run();
  const again = await run();
  const wanted = problems.flatMap(({ product: { m, n, k, tile, store }, expected }) => {
    const what = `${m} x ${n} x ${k} in tiles of ${tile}`;
    return [
      { what, values: expected.c },
      ...(store ? [{ what: `${what}, before the activation`, values: expected.pre }] : []),
    ];
  });
  wanted.forEach(({ what, values }, i) => {
    const error = relativeError(results[i], values);
    t.ok(error <= TOLERANCE, `${what}: relative error ${error.toExponential(1)}`);
    t.deepEqual(again[i], results[i], `${what}: the same bits on a second run`);
  });
}

/** Capabilities of a device with such matrices. */
const having = (subgroupMatrix: SubgroupMatrix, lanes: number, software = false): Caps => ({
  ...defaultCaps,
  ...{ subgroupMatrix, software, f16: true, subgroupMinSize: Math.min(lanes, 32), subgroupMaxSize: lanes },
});

// With all of its workgroup memory: emulated, what is staged takes twice as much.
const plain = await openRuntime();
test.onFinish(() => plain.close());
/** Where the largest subgroup has more lanes than those there are, there are more of them than four, which only stage. */
const emulations: [matrix: SubgroupMatrix, lanes: number, product: Product][] = [
  [{ m: 32, n: 8, k: 16 }, 64, products[1]],
  [{ m: 16, n: 16, k: 16 }, 64, products[2]],
];
for (const [matrix, lanes, product] of emulations)
  test(`matrices of ${matrix.m} x ${matrix.n} x ${matrix.k}, emulated`, (t) =>
    check(t, plain, having(matrix, lanes), true, [product]));

const device = await openRuntime({ defaultLimits: true, subgroupMatrix: true }).catch((error: unknown) => {
  if (error instanceof InputError) return error;
  throw error;
});
const skip = device instanceof InputError ? `no subgroup matrices here: ${device.message}` : undefined;

test('matrices of subgroups', { skip }, async (t) => {
  const on = device as Runtime;
  t.comment(
    `${on.info.name}: ${JSON.stringify(on.caps.subgroupMatrix)}, subgroups of ${on.caps.subgroupMaxSize}`,
  );
  await check(t, on, on.caps, false, products);
  // Operands that f16 does not hold: each is rounded to one of its neighbours, and no more.
  const [x, weight] = [random([70, 96]), random([260, 96])];
  const { out } = on.kernel(linear, {
    x: on.upload(Float32Array.from(x.data), x.shape),
    weight: on.upload(Float32Array.from(weight.data), weight.shape),
  });
  const expected = Float64Array.from({ length: 70 * 260 }, (_, i) => {
    let sum = 0;
    for (let s = 0; s < 96; s++)
      sum += x.data[Math.floor(i / 260) * 96 + s] * weight.data[(i % 260) * 96 + s];
    return sum;
  });
  const error = relativeError(await out.read(), expected);
  t.ok(error > 1e-5 && error < 2 ** -10, `linear is rounded: relative error ${error.toExponential(1)}`);
  on.close();
});

test('matrices of subgroups are taken where they were asked for, and pay', (t) => {
  const quads = { batches: 1, alignedA: true, alignedB: true, alignedC: true, transB: true };
  const large: MatmulShape = { m: 256, n: 768, k: 768, ...quads, rounds: true };
  const [matrix, caps] = [{ m: 16, n: 16, k: 16 }, having({ m: 16, n: 16, k: 16 }, 64)];
  const taken = (shape: Partial<MatmulShape>, on: Caps = caps): number | false => {
    const { shader, constants } = chooseMatmul({ ...large, ...shape }, on);
    return shader.name === 'matmul-subgroup-matrix' && constants.TILE;
  };
  t.equal(taken({}), 64);
  t.equal(taken({ m: 2048, n: 3072 }), 128, 'as many tiles as a large GPU has cores');
  t.equal(taken({ m: 16384, n: 64 }), 64, 'half of a tile of 128 would be of no use');
  t.equal(taken({}, { ...caps, tuning: { 'NT 256x1024x1024x1': 'tiled-64' } }), 64, 'whatever was measured');
  t.equal(taken({}, having(matrix, 32, true)), 64, 'on a software device too');
  t.equal(taken({}, { ...caps, subgroupMatrix: undefined }), false, 'not asked for');
  t.equal(taken({ rounds: undefined }), false, 'a product that may not be rounded');
  for (const name of ['alignedA', 'alignedB', 'alignedC'])
    t.equal(taken({ [name]: false }), false, `not in quads: ${name}`);
  for (const size of [{ m: 63 }, { n: 60 }, { n: 770 }, { k: 28 }, { m: 64, n: 448 }])
    t.equal(taken(size), false, JSON.stringify(size));
  for (const other of [
    { m: 32, n: 16, k: 16 },
    { m: 4, n: 16, k: 16 },
    { m: 16, n: 16, k: 32 },
  ])
    t.equal(taken({}, having(other, 64)), false, `matrices of ${Object.values(other)}`);
  t.equal(taken({}, having(matrix, 128)), false, 'subgroups too large');
  t.end();
});

test('linear alone is rounded, and costs the same', (t) => {
  const shapes = { x: [256, 768], weight: [768, 768], bias: [768], out: [256, 768], grad_out: [256, 768] };
  const [caps, params] = [having({ m: 16, n: 16, k: 16 }, 64), {}];
  const costs = (on: Caps) =>
    linear
      .plan({ shapes, params, caps: on, host: {} })
      .dispatches.map(({ macs, flops, bytesRead, bytesWritten }) => [macs, flops, bytesRead, bytesWritten]);
  t.deepEqual(costs(caps), costs(defaultCaps));
  const backward = linear.backward?.plan({ shapes, params, caps, host: {} });
  t.ok(backward?.dispatches.every(({ shader }) => shader.name !== 'matmul-subgroup-matrix'));
  const plan = linear.plan({ shapes, params, caps, host: {} });
  t.deepEqual(planProblems(plan, caps), []);
  t.match(
    planProblems(plan, { ...caps, subgroupMatrix: undefined }).join(),
    /enable chromium_experimental_subgroup_matrix/,
  );
  t.end();
});
