/** `linear` with what it reads, writes and keeps in f16: what float32 gives for the same values, rounded once. */
import test from 'tape';
import { linear } from '../../kernels/linear.ts';
import {
  defaultCaps,
  type Kernel,
  type Params,
  type Plan,
  type PlanRequest,
  type Shape,
} from '../../kernels/plan.ts';
import { references } from '../../kernels/reference/index.ts';
import { exportKernel } from '../../kernels/manifest/export.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { matmulForms, type MatmulForm } from '../../kernels/shared/matmul-form.ts';
import { narrowToHalves, widenHalves } from '../../src/io/half.ts';
import { hostTensor, widened, type HostTensor } from '../../src/io/safetensors.ts';
import * as ops from '../../src/ops/index.ts';
import { prepareKernelRun, runKernel } from '../../src/ops/run-kernel.ts';
import { record, type Tensor } from '../../src/node.ts';
import { random, relativeError, runtime, withCaps } from './harness.ts';

interface Given {
  data: Float32Array | Uint16Array;
  shape: Shape;
}
type Inputs = Readonly<Record<string, Given>>;
type Results = Record<string, Float32Array>;

const backward = linear.backward as Kernel;

const rounded = (data: ArrayLike<number>): Float32Array =>
  widenHalves(narrowToHalves(Float32Array.from(data)));
/** Whole numbers up to 16, whose products and sums no float32 rounds, in whatever order. */
const whole = (factor: number, ...shape: number[]): Given => ({
  shape,
  data: Float32Array.from(random(shape, 16).data, (x) => factor * Math.round(x)),
});
const half = ({ data, shape }: Given): Given => ({ shape, data: narrowToHalves(data as Float32Array) });
const wide = ({ data, shape }: Given): Given =>
  data instanceof Uint16Array ? { shape, data: widenHalves(data) } : { data, shape };

/** Runs a kernel, forward or backward, at once for all that is given; f16 come back widened. */
const run = (
  kernel: Kernel,
  given: Inputs,
  params: Params,
  options: { wanted?: string[] } = {},
): Promise<Results> =>
  runtime.scope(async () => {
    const inputs = Object.fromEntries(
      Object.entries(given).map(([name, { data, shape }]) => [name, runtime.upload(data, shape)]),
    );
    const outputs = Object.entries(runtime.kernel(kernel, inputs, { params, ...options }));
    const read = await runtime.readAll(outputs.map(([, tensor]) => tensor));
    return Object.fromEntries(outputs.map(([name], i) => [name, read[i].slice() as Float32Array]));
  });

const gradients = ['grad_x', 'grad_weight', 'grad_bias'];
const relu = { activation: 'relu', dtype: 'f16' };

/** One of each shader; with `--gpu-forms`, which may take minutes, all of them. */
const forms: readonly MatmulForm[] =
  process.env.SPANWISE_TEST_FORMS === 'gpu'
    ? matmulForms.filter((form) => form !== 'default')
    : ['direct-8', 'quads-16', 'tiled-32'];

for (const form of forms)
  test(`linear stored as f16, ${form}: exact sums, rounded once`, async (t) => {
    // Rows and columns past a tile; then f16 read one by one.
    const shapes = [
      [33, 72, 68],
      [7, 37, 36],
    ];
    for (const [rows, k, n] of shapes)
      await withCaps({ tuning: new Proxy({}, { get: () => form }) }, async () => {
        const inputs = {
          x: half(whole(1, rows, k)),
          weight: half(whole(8, n, k)),
          bias: whole(1, n),
        };
        const grad_out = half(whole(8, rows, n));
        const wanted = k % 4 === 0 ? gradients : gradients.slice(1);
        const both = async (): Promise<Results> => {
          const { out } = await run(linear, inputs, relu);
          const kept = { ...inputs, out: half({ data: out, shape: grad_out.shape }), grad_out };
          const { bias: _, ...given } = kept;
          return { out, ...(await run(backward, given, relu, { wanted })) };
        };
        const of = (given: Given): RefTensor => ({ ...given, data: Float64Array.from(wide(given).data) });
        const exact = Object.fromEntries(Object.entries(inputs).map(([name, given]) => [name, of(given)]));
        const expected = {
          ...references.linear.forward(exact, relu),
          ...references.linear.backward?.(exact, relu, { grad_out: of(grad_out) }),
        };
        const first = await both();
        t.deepEqual(Object.keys(first), ['out', ...wanted]);
        for (const [name, data] of Object.entries(first)) {
          const stored = name === 'out' || name === 'grad_x' ? rounded : Float32Array.from;
          t.deepEqual(data, stored.call(Float32Array, expected[name].data), `${name} of ${k}`);
        }
        t.deepEqual(await both(), first, 'again');
      });
  });

test('linear stored as f16 on a GPU: parts of the rows of a gradient, and that of the bias alone', async (t) => {
  const [rows, k, n] = [1030, 8, 12];
  const [x, out, grad_out] = [whole(1, rows, k), whole(1, rows, n), whole(1, rows, n)].map(half);
  const given = { x, weight: half(whole(1, n, k)), out, grad_out };
  const params = { dtype: 'f16' };
  const [left, right] = [wide(grad_out).data, wide(x).data];
  const weight = new Float32Array(n * k);
  const bias = new Float32Array(n);
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < n; i++) {
      bias[i] += left[row * n + i];
      for (let j = 0; j < k; j++) weight[i * k + j] += left[row * n + i] * right[row * k + j];
    }
  await withCaps({ software: false }, async () => {
    const wanted = gradients.slice(1);
    t.deepEqual(await run(backward, given, params, { wanted }), { grad_weight: weight, grad_bias: bias });
    t.deepEqual(await run(backward, given, params, { wanted: ['grad_bias'] }), { grad_bias: bias });
  });
});

/** Every f16, what lies between two of them, and what f16 has not. */
function numbers(): Float32Array {
  const all = widenHalves(Uint16Array.from({ length: 0x8000 }, (_, i) => 2 * i)); // every other one, of both signs
  const next = widenHalves(Uint16Array.from({ length: 0x8000 }, (_, i) => 2 * i + 1));
  const beyond = [
    65504,
    65519.99,
    65520,
    65536,
    3e38,
    Infinity,
    NaN,
    2 ** -24,
    2 ** -25,
    2 ** -26,
    3 * 2 ** -26,
    1e-30,
  ];
  const least = 1 + 2 ** -20;
  return Float32Array.from([
    ...Array.from(all, (x, i) => (x + next[i]) / 2), // ties
    ...Array.from(all, (x, i) => ((x + next[i]) / 2) * least),
    ...Array.from(next, (x, i) => (x + all[i]) / 2 / least),
    ...all,
    ...next,
    ...[...beyond, ...beyond.map((x) => -x)],
  ]);
}

test('numbers are rounded to the nearest f16, of two to the even one; those beyond are infinite, and NaN stays', async (t) => {
  const bias = numbers();
  const n = bias.length;
  const given = {
    x: { shape: [1, 1], data: new Float32Array(1) },
    weight: { shape: [n, 1], data: new Float32Array(n) },
    bias: { shape: [n], data: bias },
  };
  const { out } = await run(linear, given, { dtype: 'f16' });
  const expected = rounded(bias);
  const wrong = Array.from(out.keys()).filter((i) => !Object.is(out[i] + 0, expected[i] + 0));
  t.deepEqual(
    wrong.slice(0, 9).map((i) => [bias[i], out[i], expected[i]]),
    [],
    `${n} numbers`,
  );
});

/** The largest relative error of what was rounded to f16 so many times on its way, each time by up to 2^-11. */
const rounding = (times: number): number => times * 2 ** -11;

test('two layers with f16 between them: gradients through the tape, added where it is used twice', async (t) => {
  const [rows, d, inner] = [9, 20, 36];
  const shapes = {
    ...{ x: [rows, d], weight1: [inner, d], bias1: [inner] },
    ...{ weight2: [d, inner], bias2: [d], weight3: [7, inner] },
  };
  const given = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, random(shape)] as const),
  ) as Record<keyof typeof shapes, RefTensor>;
  const { x, weight1, bias1, weight2, bias2, weight3 } = given;
  const [up2, up3] = [random([rows, d]), random([rows, 7])];

  const { forward, backward } = references.linear;
  const gelu = { activation: 'gelu' };
  const first = { x, weight: weight1, bias: bias1 };
  const { out: hidden } = forward(first, gelu);
  const second = backward?.({ x: hidden, weight: weight2, bias: bias2 }, {}, { grad_out: up2 }) ?? {};
  const third = backward?.({ x: hidden, weight: weight3 }, {}, { grad_out: up3 }) ?? {};
  const sums = Float64Array.from(second.grad_x.data, (g, i) => g + third.grad_x.data[i]);
  const inside = backward?.(first, gelu, { grad_out: { ...hidden, data: sums } }) ?? {};
  const expected: Record<keyof typeof shapes, RefTensor> = {
    ...{ x: inside.grad_x, weight1: inside.grad_weight, bias1: inside.grad_bias },
    ...{ weight2: second.grad_weight, bias2: second.grad_bias, weight3: third.grad_weight },
  };

  /** With the loss multiplied by `scale`. */
  const taped = (scale: number) =>
    runtime.scope(async () => {
      const upload = ({ shape, data }: RefTensor, factor = 1) =>
        runtime.upload(
          Float32Array.from(data, (value) => factor * value),
          shape,
        );
      const leaves = Object.fromEntries(Object.entries(given).map(([name, one]) => [name, upload(one)]));
      for (const leaf of Object.values(leaves)) leaf.requiresGrad = true;
      const { result: loss, tape } = await record(runtime, () => {
        const between = ops.linear(leaves.x, leaves.weight1, leaves.bias1, 'gelu', 'f16');
        t.equal(between.dtype, 'f16');
        const left = ops.linear(between, leaves.weight2, leaves.bias2);
        const right = ops.linear(between, leaves.weight3);
        const parts = [ops.mul(left, upload(up2, scale)), ops.mul(right, upload(up3, scale))].map(ops.sum);
        return ops.add(parts[0], parts[1]);
      });
      tape.backward(loss);
      const grads = Object.values(leaves).map(({ grad }) => grad as Tensor);
      const read = await runtime.readAll(grads);
      return Object.fromEntries(Object.keys(leaves).map((name, i) => [name, read[i].slice()]));
    });

  const actual = await taped(1);
  // The layer's result, its value before gelu, two gradients of it and their sum, and the gradient before gelu.
  for (const [name, { data }] of Object.entries(expected)) {
    const error = relativeError(actual[name], data);
    t.ok(error <= rounding(6), `${name}: relative error ${error.toExponential(1)}`);
    t.ok(error > 0, `${name}: of f16`);
  }
  t.deepEqual(await taped(1), actual, 'again');
  const large = await taped(2 ** 20);
  t.notOk(large.weight1.every(Number.isFinite), 'gradients beyond f16 are seen');
  t.ok(large.weight2.every(Number.isFinite), 'and those of float32 are not among them');
});

test('an input in f16 has a gradient in f16, which is added up', async (t) => {
  const weight = whole(1, 5, 8);
  await runtime.scope(async () => {
    const x = runtime.upload(half(whole(1, 3, 8)).data, [3, 8]);
    x.requiresGrad = true;
    const grad = new Float64Array(24);
    for (let time = 0; time < 2; time++) {
      const { result, tape } = await record(runtime, () =>
        ops.sum(ops.linear(x, runtime.upload(weight.data, weight.shape))),
      );
      tape.backward(result);
      grad.forEach((_, i) => {
        for (let row = 0; row < 5; row++) grad[i] += weight.data[8 * row + (i % 8)];
      });
      t.equal(x.grad?.dtype, 'f16');
      t.deepEqual(await x.grad?.read(), Float32Array.from(grad));
    }
  });
});

test('linear in f16 from host tensors: rounded results, of a rounded gradient', async (t) => {
  const tensors = new Map<string, HostTensor>();
  const given = { x: whole(1, 3, 8), weight: whole(1, 4, 8), grad_out: whole(1, 3, 4) };
  // 1.00049 is 1 in f16.
  given.grad_out.data.forEach((value, i, all) => (all[i] = value * (1 + 2 ** -11)));
  for (const [name, { shape, data }] of Object.entries(given))
    tensors.set(name, hostTensor(shape, data as Float32Array));
  const prepared = prepareKernelRun(linear, tensors, { dtype: 'f16' }, true, 'file');
  const results = await runKernel(runtime, prepared);
  const reference: RefTensors = {};
  for (const [name, { shape, data }] of Object.entries(given))
    reference[name] = { shape, data: Float64Array.from(name === 'grad_out' ? rounded(data) : data) };
  const { grad_out, ...inputs } = reference;
  const expected = {
    ...references.linear.forward(inputs, {}),
    ...references.linear.backward?.(inputs, {}, { grad_out }),
  };
  t.deepEqual([...results.keys()], ['out', 'grad_x', 'grad_weight']);
  for (const [name, tensor] of results) {
    t.equal(tensor.dtype, name === 'out' ? 'f16' : 'f32', name);
    t.deepEqual(widened(tensor).data, Float32Array.from(expected[name].data), name);
  }
});

test('linear in f16: what it takes, and what it says of what it does not take', (t) => {
  const shapes = { x: [6, 12], weight: [8, 12], bias: [8] };
  const request = (dtype: unknown, f16: string[], more: Partial<PlanRequest> = {}): PlanRequest => ({
    ...{ shapes, params: { activation: 'gelu', dtype }, caps: defaultCaps, host: {}, f16 },
    ...more,
  });
  const costs = ({ dispatches }: Plan) =>
    dispatches.map(({ macs, flops, bytesRead, bytesWritten }) => [macs, flops, bytesRead, bytesWritten]);
  const [wide] = costs(linear.plan(request('f32', [])));
  const [narrow] = costs(linear.plan(request('f16', ['x'])));
  t.deepEqual(narrow, [wide[0], wide[1], wide[2] - 2 * 6 * 12, wide[3] / 2], 'forward');
  const given = { ...shapes, out: [6, 8], pre: [6, 8], grad_out: [6, 8] };
  const stored = ['out', 'pre', 'grad_out'];
  const both = [request('f32', []), request('f16', ['x', ...stored])].map((one) =>
    backward.plan({ ...one, shapes: given, wanted: gradients }),
  );
  const [before, after] = both.map(costs);
  t.deepEqual(
    after,
    [
      before[0].with(2, before[0][2] / 2).with(3, before[0][3] / 2),
      before[1].with(2, before[1][2] - 2 * 6 * 8).with(3, before[1][3] / 2),
      before[2].with(2, before[2][2] - 2 * 6 * (8 + 12)),
    ],
    'backward: grad_x is written in f16, the other gradients are not',
  );
  t.equal(both[1].scratch.grad_pre.dtype, 'f16');

  const fails = (what: string, kernel: Kernel, asked: PlanRequest) =>
    t.throws(() => kernel.plan(asked), new RegExp(`^InputError: ${what}$`));
  fails('linear: parameter "dtype" must be f32 or f16, got "f64"', linear, request('f64', []));
  const odd = { ...shapes, weight: [6, 12], bias: [6] };
  const rows = 'in f16 must have rows of a multiple of 4 elements, got';
  fails(`linear: "out" ${rows} 6; f32 may have any`, linear, request('f16', [], { shapes: odd }));
  const narrowRows = { x: [6, 10], weight: [8, 10], out: [6, 8], grad_out: [6, 8] };
  const plain = { params: {}, shapes: narrowRows };
  fails(`linear-backward: "grad_x" ${rows} 10; f32 may have any`, backward, request('', ['x'], plain));
  t.throws(
    () => exportKernel(linear, request('f16', [])),
    /^InputError: linear: "out" is f16, and a manifest has none but f32 and i32$/,
  );
  const one = ['out', 'pre'];
  const message = 'linear-backward: input "grad_out" must be f16, as the parameter "dtype"';
  fails(message, backward, request('f16', one, { shapes: given }));
  t.end();
});
