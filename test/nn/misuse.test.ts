/** What would give wrong numbers without a word: each is an InputError that names what and where. */
import test from 'tape';
import {
  AdamW,
  embedding,
  add,
  InputError,
  kernelNamed,
  linear,
  Linear,
  mul,
  Parameters,
  randomSource,
  record,
  softmax,
  sum,
  type Tensor,
} from '../../src/node.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime({ poison: false });

const leaf = (values: number[], shape = [values.length]): Tensor => {
  const tensor = runtime.upload(new Float32Array(values), shape);
  tensor.requiresGrad = true;
  return tensor;
};

function refuses(t: test.Test, action: () => unknown, words: RegExp): void {
  try {
    action();
    t.fail('must be refused');
  } catch (error) {
    t.ok(error instanceof InputError && words.test(error.message), String(error));
  }
}

const modified = /one of the variables needed for gradient computation has been modified in place: /;

test('a tensor that the backward needs is written between forward and backward', async (t) => {
  const [x, w] = [leaf([1, 2, 3, 4], [2, 2]), leaf([1, 0, 0, 1], [2, 2])];
  const other = new Float32Array([5, 6, 7, 8]);
  const forward = () => record(runtime, () => sum(mul(linear(x, w), linear(x, w))));
  const first = await forward();
  await runtime.write(w, other);
  refuses(t, () => first.tape.backward(first.result), /^linear: .*: "weight" \[2,2\] was written between/);
  const second = await forward();
  await runtime.write(x.view([4]), other); // through another tensor of the same memory
  refuses(t, () => second.tape.backward(second.result), /^linear: .*: "x" \[2,2\] was written between/);
  const third = await forward();
  third.tape.backward(third.result);
  t.ok((await (w.grad as Tensor).read()).every(Number.isFinite), 'written before the forward is well');
});

test('an output that the backward needs', async (t) => {
  const x = leaf([1, 2, 3]);
  let out: Tensor | undefined;
  const { result, tape } = await record(runtime, () => sum(mul((out = softmax(x)), x)));
  await runtime.write(out as Tensor, new Float32Array(3));
  refuses(t, () => tape.backward(result), modified);
});

test('an optimizer step between forward and backward', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const weight = parameters.take('weight', [2, 2], { normal: 1 });
  const x = leaf([1, 2], [1, 2]);
  const adam = new AdamW(parameters, { lr: 0.1 });
  const forward = () => record(runtime, () => sum(linear(x, weight)));
  const one = await forward();
  one.tape.backward(one.result);
  const two = await forward();
  adam.step();
  refuses(t, () => two.tape.backward(two.result), /"weight" \[2,2\] was written between/);
  parameters.zeroGrad();
  for (let i = 0; i < 3; i++) {
    const next = await forward();
    next.tape.backward(next.result);
    adam.step();
    parameters.zeroGrad();
  }
  t.pass('in the usual order nothing is refused');
  adam.release();
  parameters.release();
});

test('a tensor that the backward does not need may be written', async (t) => {
  const [a, b] = [leaf([1, 2]), leaf([3, 4])];
  const { result, tape } = await record(runtime, () => sum(add(a, b)));
  await runtime.write(a, new Float32Array([9, 9]));
  tape.backward(result);
  t.deepEqual([...(await (a.grad as Tensor).read())], [1, 1]);
});

test('values of another type', async (t) => {
  const floats = runtime.upload(new Float32Array([1, 2]), [2]);
  const integers = runtime.upload(new Int32Array([1, 2]), [2]);
  const cases: [Tensor, unknown, RegExp][] = [
    [floats, new Int32Array([3, 4]), /^write: a tensor of f32 is written from Float32Array, got Int32Array$/],
    [floats, new Float64Array([3, 4]), /is written from Float32Array, got (Float64Array|Array)$/],
    [floats, [3, 4], /is written from Float32Array, got (Float64Array|Array)$/],
    [
      integers,
      new Float32Array([3, 4]),
      /^write: a tensor of i32 is written from Int32Array, got Float32Array$/,
    ],
    [integers, new Uint32Array([3, 4]), /Int32Array, got Uint32Array$/],
  ];
  for (const [tensor, data, words] of cases)
    await runtime.write(tensor, data as Float32Array).then(
      () => t.fail('must be refused'),
      (error: Error) => t.ok(error instanceof InputError && words.test(error.message), String(error)),
    );
  t.deepEqual([...(await floats.read())], [1, 2], 'nothing was written');
  refuses(t, () => runtime.upload(new Float64Array(2) as never, [2]), /^upload: the values must be/);
});

test('values and sizes that no device has', (t) => {
  const shared = new Float32Array(new SharedArrayBuffer(8));
  refuses(t, () => runtime.upload(shared, [2]), /^upload: the values lie in a SharedArrayBuffer/);
  refuses(t, () => runtime.empty([2], 'f64' as never), /^"f64" is not a type of elements/);
  const table = runtime.upload(new Float32Array(4), [2, 2]);
  const ids = { data: [0, 1] as unknown as Int32Array, shape: [2] };
  refuses(t, () => embedding(ids, table), /^embedding: input "ids" is missing or not an i32 host tensor$/);
  for (const size of [2.5, -1, NaN])
    refuses(
      t,
      () => new Linear(new Parameters(runtime, randomSource(1)), 'l', size, 2),
      /^parameter l\.weight \[.*\] is not a shape$/,
    );
  t.end();
});

test('inputs that a kernel does not have', (t) => {
  const x = runtime.upload(new Float32Array(4), [2, 2]);
  const ids = { data: new Int32Array([0]), shape: [1] };
  const cases: [string, Record<string, Tensor>, object, RegExp][] = [
    [
      'linear',
      { x, weight: x, biass: x },
      {},
      /^linear: "biass" is not an input \(it takes x, weight, bias\)$/,
    ],
    ['softmax', { x, constructor: x }, {}, /^softmax: "constructor" is not an input/],
    ['softmax', { x }, { host: { lengths: ids } }, /^softmax: "lengths" is not an input/],
    ['concat', { x0: x, x1: x, y: x }, { params: {} }, /^concat: "y" is not an input/],
  ];
  for (const [name, inputs, options, words] of cases)
    refuses(t, () => runtime.kernel(kernelNamed(name), inputs, options), words);
  t.end();
});
