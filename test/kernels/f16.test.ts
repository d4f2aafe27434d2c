import test from 'tape';
import { backwardRequest } from '../../kernels/backward-request.ts';
import { defaultCaps, type Shape } from '../../kernels/plan.ts';
import { embedding } from '../../kernels/embedding.ts';
import { linear } from '../../kernels/linear.ts';
import { references } from '../../kernels/reference/index.ts';
import type { MatmulForm } from '../../kernels/shared/matmul-form.ts';
import { shapeClass } from '../../kernels/shared/matmul-variant.ts';
import { narrowToHalves, widenHalves } from '../../src/io/half.ts';
import type { Tensor } from '../../src/node.ts';
import { random, relativeError, runtime, TOLERANCE, withCaps } from './harness.ts';

/** Rows, k, n: four f16 of a row of weights at once, and one by one. */
const shapes: [rows: number, k: number, n: number][] = [
  [67, 72, 36],
  [9, 37, 35],
];
/** One of each shader; that all of them compute the same is their own tests' matter. */
const forms = ['direct-8', 'quads-16', 'split-32'] as const;
const values = (shape: Shape): Float32Array => Float32Array.from(random(shape).data);

/** The output and the gradient of x. */
async function run(
  [rows, k, n]: (typeof shapes)[number],
  weight: Float32Array | Uint16Array,
  [x, bias, grad]: readonly Float32Array[],
): Promise<Record<string, Float32Array>> {
  return runtime.scope(async () => {
    const inputs = {
      x: runtime.upload(x, [rows, k]),
      weight: runtime.upload(weight, [n, k]),
      bias: runtime.upload(bias, [n]),
    };
    const params = { activation: 'relu' };
    const outputs = runtime.kernel(linear, inputs, { params });
    const request = backwardRequest<Tensor, never>(
      linear,
      { inputs, host: {}, outputs, params },
      () => runtime.upload(grad, [rows, n]),
      ['x'], // that of the weight does not read it
    );
    const gradients = runtime.kernel(request.kernel, request.inputs, request);
    const all = Object.entries({ out: outputs.out, ...gradients });
    const read = await runtime.readAll(all.map(([, tensor]) => tensor));
    return Object.fromEntries(all.map(([name], i) => [name, read[i] as Float32Array]));
  });
}

/** The tuning that takes `form` for every product of a shape, whatever it is aligned to. */
function always(form: MatmulForm, [rows, k, n]: (typeof shapes)[number]): Record<string, MatmulForm> {
  const product = (m: number, n: number, k: number, transA: boolean, transB: boolean) =>
    [true, false].map((aligned) =>
      shapeClass({
        ...{ m, n, k, batches: 1, transA, transB },
        alignedA: aligned,
        alignedB: aligned,
        alignedC: aligned,
      }),
    );
  const classes = [...product(rows, n, k, false, true), ...product(rows, k, n, false, false)];
  return Object.fromEntries(classes.map((one) => [one, form]));
}

for (const form of forms)
  for (const shape of shapes)
    test(`linear in f16 [${shape}], ${form}: the same bits as of the f32 that the f16 are`, async (t) => {
      const [rows, k, n] = shape;
      const halves = narrowToHalves(values([n, k]));
      const others = [values([rows, k]), values([n]), values([rows, n])];
      const rounded = widenHalves(halves);
      await withCaps({ tuning: always(form, shape) }, async () => {
        const [narrow, wide, again] = [
          await run(shape, halves, others),
          await run(shape, rounded, others),
          await run(shape, halves, others),
        ];
        t.deepEqual(narrow, wide);
        t.deepEqual(again, narrow, 'again');
        const of = (shape: Shape, data: Float32Array) => ({ shape, data: Float64Array.from(data) });
        const inputs = { x: of([rows, k], others[0]), weight: of([n, k], rounded), bias: of([n], others[1]) };
        const { out } = references.linear.forward(inputs, { activation: 'relu' });
        const error = relativeError(narrow.out, out.data);
        t.ok(error <= TOLERANCE, `relative error ${error.toExponential(1)}`);
      });
    });

test('linear in f16: half the bytes of its weight are read, and no other cost differs', (t) => {
  const shapes = { x: [7, 12], weight: [5, 12], bias: [5] };
  const plan = (f16: string[]) =>
    linear.plan({ shapes, params: {}, caps: defaultCaps, host: {}, f16 }).dispatches[0];
  const { bytesRead, ...wide } = plan([]);
  const narrow = plan(['weight']);
  t.equal(narrow.bytesRead, bytesRead - 2 * 5 * 12);
  for (const cost of ['macs', 'flops', 'bytesWritten'] as const) t.equal(narrow[cost], wide[cost], cost);
  t.end();
});

test('embedding in f16: rows as they are, of even and of odd length', async (t) => {
  const ids = { ids: { data: Int32Array.of(2, -1, 4, 0, 2), shape: [5] } };
  for (const d of [8, 7]) {
    const halves = narrowToHalves(values([5, d]));
    const rows = (table: Float32Array | Uint16Array) =>
      runtime.scope(async () => {
        const given = { table: runtime.upload(table, [5, d]) };
        return (
          await runtime.kernel(embedding, given, { params: { padding: true }, host: ids }).out.read()
        ).slice();
      });
    t.deepEqual(await rows(halves), await rows(widenHalves(halves)), `of ${d}`);
  }
  const plan = (f16: string[]) =>
    embedding.plan({
      ...{ shapes: { ids: [5], table: [5, 7] }, params: { padding: true }, caps: defaultCaps, f16 },
      host: { ids: ids.ids.data },
    }).dispatches[0].bytesRead;
  t.equal(plan(['table']), plan([]) - 2 * 4 * 7, 'half the bytes of the rows');
});

test('tensors of f16: their bits go up, their values come back', async (t) => {
  const given = values([7]);
  const bits = narrowToHalves(given);
  await runtime.scope(async () => {
    const tensor = runtime.upload(new Uint16Array(7), [7]);
    t.deepEqual([tensor.dtype, tensor.bytes], ['f16', 16], 'whole words');
    await runtime.write(tensor, bits);
    t.deepEqual(await tensor.read(), widenHalves(bits), 'written over');
    const wrapped = runtime.wrap(tensor.buffer, [3], { dtype: 'f16' });
    t.deepEqual(await wrapped.read(), widenHalves(bits.slice(0, 3)), 'wrapped');
    const refused = runtime.write(tensor, given).catch((error: Error) => error.message);
    t.equal(await refused, 'write: a tensor of f16 is written from Uint16Array, got Float32Array');
  });
});

test('a port that takes no f16 says so', (t) => {
  const bits = runtime.upload(new Uint16Array(12), [3, 4]);
  const floats = runtime.upload(new Float32Array(12), [3, 4]);
  t.throws(
    () => runtime.kernel(linear, { x: floats, weight: floats, bias: bits }),
    /linear: input "bias" must be f32, got f16/,
  );
  bits.release();
  floats.release();
  t.end();
});
