/** `linear` with what it reads, writes and keeps in f16: what float32 gives for the same values, rounded once. */
import test from 'tape';
import { linear } from '../../kernels/linear.ts';
import type { Kernel, Params, Shape } from '../../kernels/plan.ts';
import { references } from '../../kernels/reference/index.ts';
import type { RefTensor } from '../../kernels/reference/types.ts';
import { matmulForms, type MatmulForm } from '../../kernels/shared/matmul-form.ts';
import { narrowToHalves, widenHalves } from '../../src/io/half.ts';
import { random, runtime, withCaps } from './harness.ts';

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
    : ['direct-8', 'quads-16', 'split-32'];

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
