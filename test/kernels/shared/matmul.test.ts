import test from 'tape';
import { defaultCaps, spec, type Plan } from '../../../kernels/plan.ts';
import { activations } from '../../../kernels/reference/math.ts';
import type { Activation } from '../../../kernels/shared/activation.ts';
import { matmul, shapeOfProduct, type MatmulSpec } from '../../../kernels/shared/matmul.ts';
import {
  chooseMatmul,
  directVariant,
  largeVariant,
  quadVariant,
  tiledVariant,
  type MatmulShape,
  type MatmulVariant,
} from '../../../kernels/shared/matmul-variant.ts';
import { limitProblems, random, relativeError, runtime, TOLERANCE } from '../harness.ts';

const software = { ...defaultCaps, software: true };
const quads = { ...software, subgroupMinSize: 4, subgroupMaxSize: 4 };
const gpu = { ...defaultCaps, software: false };
const variants: Readonly<Record<string, (shape: MatmulShape) => MatmulVariant>> = {
  direct: (shape) => directVariant(shape, software),
  'direct, blocks of 16': largeVariant,
  'quads, tile of 16': (shape) => quadVariant(shape, 16),
  'quads, tile of 32': (shape) => quadVariant(shape, 32),
  'tile of 32': (shape) => tiledVariant(shape, 32),
  'tile of 32, k split': (shape) => tiledVariant(shape, 32, 4),
  'tile of 64': (shape) => tiledVariant(shape, 64),
  'tile of 128': (shape) => tiledVariant(shape, 128),
};

interface Product {
  m: number;
  n: number;
  k: number;
  /** Elements between rows that belong to no matrix, and before the first: 0 where absent. */
  gap?: number;
  outer?: number;
  inner?: number;
  limits?: number[];
  alpha?: number;
  accumulate?: boolean;
  bias?: boolean;
  pre?: boolean;
  sums?: boolean;
  activation?: Activation;
}

/** The layouts of A and B: N as stored, T transposed. */
type Layout = 'NT' | 'NN' | 'TN';
const all: readonly Layout[] = ['NT', 'NN', 'TN'];

/** Operands with NaN wherever no product may look, C with 7 wherever none may write, and C in float64. */
function problem(product: Product, layout: Layout) {
  const { m, n, k, gap = 0, outer = 1, inner = 1, limits, alpha, accumulate = false } = product;
  const transA = layout[0] === 'T';
  const transB = layout[1] === 'T';
  const matrix = (tensor: string, rows: number, columns: number) => {
    const row = columns + gap;
    return { tensor, row, offset: gap, outer: inner * rows * row, inner: rows * row };
  };
  const a = transA ? matrix('a', k, m) : matrix('a', m, k);
  const b = transB ? matrix('b', n, k) : matrix('b', k, n);
  const c = matrix('c', m, n);
  const size = (x: typeof a) => gap + outer * x.outer;
  const values = {
    a: new Float32Array(size(a)).fill(NaN),
    b: new Float32Array(size(b)).fill(NaN),
    c: new Float32Array(size(c)).fill(7),
    bias: Float32Array.from(random([n]).data),
  };
  const expected = Float64Array.from(values.c);
  const expectedPre = new Float64Array(size(c));
  const expectedSums = new Float64Array(outer * m);
  const total = (limits ?? new Array<number>(outer).fill(k)).reduce(
    (sum, limit) => sum + Math.min(k, limit),
    0,
  );
  const activation = product.activation ?? 'none';
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const end = Math.min(k, limits?.[o] ?? k);
      const at = (x: typeof a, row: number, column: number) =>
        x.offset + o * x.outer + i * x.inner + row * x.row + column;
      const atA = (r: number, s: number) => (transA ? at(a, s, r) : at(a, r, s));
      const atB = (s: number, q: number) => (transB ? at(b, q, s) : at(b, s, q));
      const left = random([m, end]).data;
      const right = random([end, n]).data;
      for (let s = 0; s < end; s++) {
        for (let r = 0; r < m; r++) values.a[atA(r, s)] = left[r * end + s];
        for (let q = 0; q < n; q++) values.b[atB(s, q)] = right[s * n + q];
      }
      left.forEach((value, j) => (expectedSums[o * m + Math.floor(j / end)] += value));
      for (let r = 0; r < m; r++)
        for (let q = 0; q < n; q++) {
          let sum = 0;
          for (let s = 0; s < end; s++) sum += left[r * end + s] * right[s * n + q];
          const before = (alpha ?? 1) * sum + (accumulate ? 7 : 0) + (product.bias ? values.bias[q] : 0);
          expectedPre[at(c, r, q)] = before;
          expected[at(c, r, q)] = activations[activation].value(before);
        }
    }
  const given: MatmulSpec = {
    label: 'matmul',
    ...{ m, n, k, a, b, c, transA, transB, outer, inner, alpha, accumulate, activation },
    ...(product.bias ? { bias: 'bias' } : {}),
    ...(product.pre ? { pre: 'pre' } : {}),
    ...(product.sums ? { sums: 'sums' } : {}),
    ...(limits ? { limit: { tensor: 'limits', total } } : {}),
  };
  return { given, values, expected, expectedPre, expectedSums };
}

const bytes = ({ buffer, byteOffset, byteLength }: Float32Array | Int32Array) =>
  Buffer.from(buffer, byteOffset, byteLength);

/** Every pipeline of these costs a compilation: layouts and features are spread over the sizes. */
const products: [product: Product, layouts: readonly Layout[]][] = [
  [{ m: 1, n: 1, k: 1 }, all],
  [{ m: 31, n: 33, k: 7 }, all],
  [{ m: 65, n: 63, k: 33, gap: 2 }, all],
  [{ m: 130, n: 70, k: 50, gap: 2 }, all],
  [{ m: 32, n: 32, k: 96 }, all],
  [{ m: 64, n: 64, k: 16 }, all],
  [{ m: 68, n: 36, k: 44 }, ['NN', 'NT']], // vec4 loads in every layout
  [{ m: 68, n: 36, k: 44, gap: 4 }, ['TN']],
  [{ m: 33, n: 36, k: 30 }, ['NN']], // vec4 loads of B alone
  [{ m: 36, n: 35, k: 36, sums: true }, ['TN']], // of A alone
  [{ m: 133, n: 70, k: 30, gap: 1, outer: 3, limits: [30, 0, 13], sums: true }, ['TN']],
  [{ m: 70, n: 34, k: 20, bias: true, pre: true, activation: 'gelu' }, ['NT']],
  [
    { m: 20, n: 33, k: 40, gap: 2, outer: 3, inner: 2, limits: [40, 0, 13], alpha: 0.5, accumulate: true },
    ['TN'],
  ],
  // limits within a vec4
  [{ m: 68, n: 36, k: 48, gap: 4, outer: 3, inner: 2, limits: [18, 48, 0], alpha: -2 }, ['NN', 'NT']],
];

/** What is left to show of those whose WGSL a smaller tile has shown: rows and columns past those of the smaller one. */
const few: typeof products = [
  ...products.filter(([{ gap }]) => gap !== undefined),
  // no end of k to mask, and tiles behind the first in both directions
  [{ m: 132, n: 140, k: 40, bias: true, pre: true, activation: 'gelu' }, ['NT']],
  [{ m: 132, n: 140, k: 40 }, ['NN', 'TN']],
];
/** Where k is split, which compiles longest: the sums that are exchanged, in rounds with and without an end of k to mask. */
const rounds: typeof products = [
  [{ m: 1, n: 1, k: 1 }, all],
  [{ m: 31, n: 33, k: 7 }, all],
  ...products.filter(([{ gap }]) => gap !== undefined),
  [{ m: 97, n: 33, k: 65, gap: 2 }, all],
  [{ m: 33, n: 97, k: 130, gap: 2 }, ['NN', 'TN']],
  [{ m: 132, n: 140, k: 96, bias: true, pre: true, activation: 'gelu' }, ['NT']],
  [{ m: 68, n: 36, k: 192, bias: true, pre: true, activation: 'gelu' }, ['NT']],
  [{ m: 32, n: 32, k: 96 }, ['NN', 'TN']],
  [{ m: 64, n: 64, k: 192 }, ['NN', 'TN']],
];
const others: Readonly<Record<string, typeof products>> = {
  ...{ 'quads, tile of 32': few, 'tile of 64': few, 'tile of 128': few },
  'tile of 32, k split': rounds,
};

for (const [name, choose] of Object.entries(variants))
  test(`matmul: ${name}`, async (t) => {
    const cases = (others[name] ?? products).flatMap(([product, layouts]) =>
      layouts.map((layout) => {
        const { m, n, k } = product;
        return { what: `${layout} ${m} x ${n} x ${k}`, product, ...problem(product, layout) };
      }),
    );
    // All at once: the device compiles what they need side by side.
    const run = () =>
      runtime.scope(() =>
        runtime.readAll(
          cases
            .map(({ what, product, given, values: { c, bias, ...operands } }) => {
              const dispatch = matmul(given, runtime.caps, choose(shapeOfProduct(given)));
              const plan: Plan = {
                dispatches: [dispatch],
                scratch: {},
                outputs: {
                  c: spec([c.length]),
                  ...(product.pre ? { pre: spec([c.length]) } : {}),
                  ...(product.sums ? { sums: spec([(product.outer ?? 1) * product.m]) } : {}),
                },
                data: product.limits ? { limits: Int32Array.from(product.limits) } : {},
                inPlace: { c: 'c' },
              };
              t.deepEqual(limitProblems(plan, runtime.caps), [], `${what}: within the default limits`);
              const present = { ...operands, c, ...(product.bias ? { bias } : {}) };
              const tensors = Object.entries(present).map(
                ([key, data]) => [key, runtime.upload(data, [data.length])] as const,
              );
              const outputs = runtime.run(plan, Object.fromEntries(tensors));
              return Object.values(outputs);
            })
            .flat(),
        ),
      );
    const results = await run();
    const again = await run();
    const wanted = cases.flatMap(({ what, product, expected, expectedPre, expectedSums }) => [
      { what, values: expected },
      ...(product.pre ? [{ what: `${what}, before the activation`, values: expectedPre }] : []),
      ...(product.sums ? [{ what: `${what}, sums of rows`, values: expectedSums }] : []),
    ]);
    wanted.forEach(({ what, values }, i) => {
      const error = relativeError(results[i], values);
      t.ok(error <= TOLERANCE, `${what}: relative error ${error.toExponential(1)}`);
      t.ok(bytes(again[i]).equals(bytes(results[i])), `${what}: the same bits on a second run`);
    });
  });

test('matmul: the variant follows from shape and device', (t) => {
  const chosen = (m: number, n: number, k: number, caps = gpu, batches = 1): string => {
    const aligned = { alignedA: true, alignedB: true, alignedC: true };
    const variant = chooseMatmul({ m, n, k, batches, ...aligned }, caps);
    const { TM, TN, WG_X, WG_Y, TILE, SPLIT } = variant.constants;
    if (TILE === undefined) return `direct ${TM}x${TN}, ${WG_X}x${WG_Y}`;
    if (variant.shader.name === 'matmul-quads') return `quads ${TILE}`;
    return `tile ${TILE}${SPLIT > 1 ? `, k in ${SPLIT}` : ''}`;
  };
  const table: [m: number, n: number, k: number, software: string, gpu: string, batches?: number][] = [
    [512, 512, 512, 'direct 16x16, 2x2', 'tile 32, k in 4'],
    [2048, 1024, 512, 'direct 16x16, 2x2', 'tile 128'],
    [2048, 512, 512, 'direct 16x16, 2x2', 'tile 64'],
    [256, 64, 96, 'direct 8x8, 8x4', 'tile 32, k in 4'],
    [256, 256, 96, 'direct 16x16, 2x2', 'tile 128', 64],
    [2048, 1024, 31, 'direct 16x16, 2x2', 'direct 8x8, 8x8'], // less than a tile's steps of k
    [4096, 10, 768, 'direct 16x16, 1x4', 'direct 4x4, 4x16'], // fewer columns than a tile
    [64, 64, 32, 'direct 8x8, 8x1', 'direct 4x4, 8x4'], // the operands stay in the cache
    [16384, 64, 64, 'direct 16x16, 2x2', 'tile 64'], // half of a tile of 128 would be of no use
    [16384, 32, 256, 'direct 16x16, 2x2', 'tile 32'],
    [32, 32, 512, 'direct 16x16, 2x2', 'tile 32, k in 4', 128],
    [64, 64, 33, 'direct 8x8, 8x1', 'tile 32'], // too few steps to split
    [512, 512, 16, 'direct 16x16, 2x2', 'direct 4x4, 8x8'], // as large as it takes
    [512, 511, 16, 'direct 8x8, 8x8', 'direct 4x4, 8x8'],
    [44, 16, 44, 'direct 16x16, 1x4', 'direct 8x8, 2x16', 2560], // 64 x 16 elements of C for 44 x 16
    [40, 32, 36, 'direct 8x8, 4x8', 'direct 8x8, 4x8', 2560], // 64 x 32 would be no gain; 4x16 lanes: half idle
    [3, 4, 4096, 'direct 4x4, 1x8', 'direct 4x4, 1x32'],
  ];
  for (const [m, n, k, onSoftware, onGpu, batches] of table) {
    t.equal(chosen(m, n, k, software, batches), onSoftware, `${m} x ${n} x ${k} on a software device`);
    t.equal(chosen(m, n, k, gpu, batches), onGpu, `${m} x ${n} x ${k} on a GPU`);
  }
  const onQuads: [m: number, n: number, k: number, form: string][] = [
    [512, 512, 512, 'quads 32'],
    [512, 512, 96, 'quads 16'], // too few multiply-adds for the longer compilation
    [552, 64, 64, 'quads 16'],
    [9, 64, 552, 'quads 16'],
    [552, 5, 64, 'direct 8x8, 1x8'], // of 16 columns 11 would be of no use
    [69, 1, 64, 'direct 8x4, 1x8'],
  ];
  for (const [m, n, k, form] of onQuads)
    t.equal(chosen(m, n, k, quads), form, `${m} x ${n} x ${k} where a quad is the vector`);
  for (const alignedA of [false, true]) {
    const shape = { m: 64, n: 64, k: 64, batches: 1, alignedA, alignedB: !alignedA, alignedC: alignedA };
    for (const caps of [software, gpu]) {
      const { VEC_A, VEC_B } = chooseMatmul(shape, caps).constants;
      t.deepEqual([VEC_A, VEC_B], [Number(alignedA), Number(!alignedA)], 'vec4 loads where aligned');
    }
    for (const n of [62, 64]) {
      const { VEC_C } = directVariant({ ...shape, n }, software).constants;
      t.equal(VEC_C, Number(alignedA && n === 64), 'vec4 stores where aligned and whole');
    }
  }
  t.end();
});

test('matmul: every variant costs the same, and has workgroups enough', (t) => {
  const { given } = problem({ m: 65, n: 33, k: 20, outer: 2, limits: [20, 3], bias: true }, 'NT');
  for (const choose of Object.values(variants)) {
    const variant = choose(shapeOfProduct(given));
    const { macs, flops, bytesRead, bytesWritten, workgroups } = matmul(given, gpu, variant);
    t.deepEqual([macs, flops], [65 * 33 * 23, 2 * 65 * 33 * 23 + 2 * 65 * 33]);
    t.deepEqual([bytesRead, bytesWritten], [4 * ((65 + 33) * 23 + 33 + 2), 4 * 2 * 65 * 33]);
    t.equal(workgroups[0], 2 * Math.ceil(65 / variant.rows) * Math.ceil(33 / variant.columns));
  }
  t.end();
});
