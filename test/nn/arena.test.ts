/** Where parameters and their gradients lie, and what of it shows: nothing but fewer dispatches. */
import test from 'tape';
import { sizeOf, type Shape } from '../../kernels/plan.ts';
import { aligned } from '../../src/nn/arena.ts';
import {
  add,
  AdamW,
  clipGradNorm,
  linear,
  mul,
  Parameters,
  randomSource,
  record,
  sum,
  type Tensor,
} from '../../src/node.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

/** Σ t² of tensors, backward; gradients are 2t. */
async function squares(...tensors: Tensor[]): Promise<void> {
  await runtime.scope(async () => {
    const { result, tape } = await record(runtime, () =>
      tensors.map((tensor) => sum(mul(tensor, tensor))).reduce((a, b) => add(a, b)),
    );
    tape.backward(result);
  });
}

const take = (parameters: Parameters, shapes: Readonly<Record<string, Shape>>): Tensor[] =>
  Object.entries(shapes).map(([name, shape]) =>
    parameters.take(name, shape, { normal: 1 }, !name.startsWith('bias')),
  );

test('parameters lie side by side, decaying ones first, with their own values', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const shapes = { a: [5, 3], bias: [7], empty: [0, 4], b: [64], 'bias.b': [1] };
  const tensors = take(parameters, shapes);
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing is on the device before it is needed');
  const apart = randomSource(1);
  const own = Object.values(shapes).map((shape, i) => apart.values('', shape, { normal: 1 }, i));
  const read = await Promise.all(tensors.map((tensor) => tensor.read()));
  t.deepEqual(read, own, 'the values');
  t.deepEqual(
    tensors.map(({ offset }) => offset),
    [0, 512, 256, 256, 768],
    'multiples of 256 bytes',
  );
  t.equal(new Set(tensors.map(({ buffer }) => buffer)).size, 1, 'one buffer');
  await runtime.write(tensors[1], new Float32Array(7).fill(2));
  t.deepEqual([...(await tensors[1].read())], Array(7).fill(2));
  t.deepEqual(await tensors[0].read(), own[0], 'its neighbours are as they were');
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('parameters taken after the first was used lie in another buffer; unused ones are dropped', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const [a] = take(parameters, { a: [4] });
  await a.read();
  const [b] = take(parameters, { b: [4] });
  t.notEqual(a.buffer, b.buffer);
  take(parameters, { c: [4] });
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0);
});

test('a buffer holds no more than a binding may; a larger parameter is alone in its own', async (t) => {
  const caps = runtime.caps;
  Object.defineProperty(runtime, 'caps', {
    value: { ...caps, maxStorageBufferBindingSize: 1024 },
    configurable: true,
  });
  const parameters = new Parameters(runtime, randomSource(1));
  const tensors = take(parameters, { a: [100], b: [64], c: [64], d: [300], bias: [3] });
  parameters.place();
  Object.defineProperty(runtime, 'caps', { value: caps, configurable: true });
  const of = (i: number) => tensors.findIndex(({ buffer }) => buffer === tensors[i].buffer);
  t.deepEqual([0, 1, 2, 3, 4].map(of), [0, 0, 0, 3, 4]);
  t.deepEqual(
    parameters.arena.chunks.map(({ length }) => length),
    [256, 320, 64],
  );
  await squares(...tensors);
  const optimizer = new AdamW(parameters, { lr: 0.1 });
  runtime.meter.reset();
  optimizer.step();
  t.equal(runtime.meter.total().dispatches, 3, 'a dispatch a buffer');
  optimizer.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0);
});

test('gradients are written where they belong, and AdamW takes one dispatch, the norm one and its sums', async (t) => {
  const parameters = new Parameters(runtime, randomSource(3));
  const [w, v, bias, idle] = take(parameters, { w: [4, 3], v: [2, 4], bias: [4], idle: [5] });
  const optimizer = new AdamW(parameters, { lr: 0.1, weightDecay: 0.5 });
  const x = runtime.upload(Float32Array.from([1, 2, 3, 4, 5, 6]), [2, 3]);
  for (const step of [1, 2]) {
    await runtime.scope(async () => {
      parameters.zeroGrad();
      const { result, tape } = await record(runtime, () => sum(linear(linear(x, w, bias), v)));
      runtime.meter.reset();
      tape.backward(result);
      t.notOk(
        runtime.meter.rows().some(({ kernel }) => kernel === 'accumulate'),
        'nothing is copied',
      );
      t.equal(new Set([w, v, bias].map(({ grad }) => grad?.buffer)).size, 1, 'one buffer of gradients');
      t.deepEqual(
        [w, v, bias].map(({ grad }) => grad?.offset),
        [w, v, bias].map(({ offset }) => offset),
      );
      const before = await idle.read();
      const { scale, norm } = clipGradNorm(parameters, 1);
      optimizer.step(undefined, scale);
      const rows = runtime.meter
        .rows()
        .filter(({ phase, kernel }) => phase === 'optimizer' && kernel !== 'poison');
      const dispatches = Object.fromEntries(rows.map(({ kernel, work }) => [kernel, work.dispatches]));
      t.deepEqual(dispatches, { 'clip-grad-norm': 3, adamw: 1 }, `step ${step}`);
      const grads = await Promise.all([w, v, bias].map(({ grad }) => grad?.read()));
      const expected = Math.hypot(...grads.flatMap((grad) => [...(grad ?? [])]));
      t.ok(Math.abs((await norm.read())[0] / expected - 1) < 1e-6, 'the norm is theirs alone');
      t.deepEqual(await idle.read(), before, 'what has no gradient stays');
      t.equal(idle.grad, undefined);
    });
  }
  x.release();
  optimizer.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('a gradient that comes twice, or from elsewhere, counts as well', async (t) => {
  const parameters = new Parameters(runtime, randomSource(4));
  const tensors = take(parameters, { a: [3], b: [70] });
  const [a, b] = tensors;
  const values = await Promise.all(tensors.map((tensor) => tensor.read()));
  await squares(a, a, b);
  await squares(b);
  const twice = await Promise.all([a.grad?.read(), b.grad?.read()]);
  t.deepEqual(
    twice.map((grad) => [...(grad ?? [])]),
    values.map((own) => [...own.map((x) => 4 * x)]),
  );
  b.grad?.release();
  b.grad = runtime.upload(new Float32Array(70).fill(3), [70], 'gradients');
  await squares(b);
  const { norm, scale } = clipGradNorm(parameters, 1);
  const all = [...values[0].map((x) => 4 * x), ...values[1].map((x) => 3 + 2 * x)];
  t.ok(Math.abs((await norm.read())[0] / Math.hypot(...all) - 1) < 1e-6, 'the norm');
  const optimizer = new AdamW(parameters, { lr: 0.1, weightDecay: 0 });
  optimizer.step();
  const moved = await b.read();
  const step = (i: number) => values[1][i] - 0.1 * Math.sign(3 + 2 * values[1][i]);
  t.ok(
    moved.every((x, i) => Math.abs(x - step(i)) < 1e-6),
    'the first step is lr · sign',
  );
  t.deepEqual([...(await optimizer.read()).keys()], ['m.a', 'v.a', 'step.a', 'm.b', 'v.b', 'step.b']);
  for (const held of [norm, scale, optimizer, parameters]) held.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('parameters in a row are one matrix, with one gradient', async (t) => {
  const parameters = new Parameters(runtime, randomSource(5));
  const shapes = { q: [4, 16], other: [9], k: [8, 16], v: [4, 16] };
  const [q, other, k, v] = take(parameters, shapes);
  const joined = parameters.join([q, k, v]);
  t.deepEqual(joined?.shape, [16, 16]);
  const parts = await Promise.all([q, k, v].map((part) => part.read()));
  const values = await (joined as Tensor).read();
  t.deepEqual(
    [...values],
    parts.flatMap((part) => [...part]),
  );
  await squares(joined as Tensor, other);
  for (const [i, { grad }] of [q, k, v].entries())
    t.deepEqual([...((await grad?.read()) ?? [])], [...parts[i].map((x) => 2 * x)], 'each has its part');
  await squares(joined as Tensor, q);
  const sixfold = [...((await q.grad?.read()) ?? [])].map((g, i) => Math.abs(g / (6 * parts[0][i]) - 1));
  t.ok(Math.max(...sixfold) < 1e-6, 'by itself too');
  t.deepEqual([...((await k.grad?.read()) ?? [])], [...parts[1].map((x) => 4 * x)]);
  parameters.zeroGrad();
  await squares(k);
  await squares(joined as Tensor);
  t.deepEqual([...((await k.grad?.read()) ?? [])], [...parts[1].map((x) => 4 * x)], 'one of them first');
  t.deepEqual([...((await v.grad?.read()) ?? [])], [...parts[2].map((x) => 2 * x)]);
  t.equal(parameters.join([q, k]), undefined, 'too late');
  t.equal(parameters.join(take(parameters, { r: [4, 16], s: [3, 5] })), undefined, 'no multiple of 64');
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});

test('aligned', (t) => {
  const sizes = [0, 1, 63, 64, 65, sizeOf([64, 64])];
  t.deepEqual(
    sizes.map((size) => aligned(size)),
    [0, 64, 64, 64, 128, 4096],
  );
  t.deepEqual(
    sizes.map((size) => aligned(size, 'f16')),
    [0, 128, 128, 128, 128, 4096],
  );
  t.end();
});

test('a gradient that was cleared is not read, whatever else has one', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const [a, b] = take(parameters, { a: [4, 64], b: [4, 64] });
  const x = runtime.upload(new Float32Array(64).fill(3), [1, 64]);
  const backward = (weight: Tensor) =>
    runtime.scope(async () => {
      const { result, tape } = await record(runtime, () => sum(linear(x, weight)));
      tape.backward(result);
    });
  const read = (of: Tensor) =>
    of.read().then(
      ([value]) => value,
      (error: Error) => error.message,
    );
  await backward(a);
  const grad = a.grad as Tensor;
  t.equal(await read(grad), 3);
  const cleared = 'a gradient was used that had been cleared';
  parameters.zeroGrad();
  t.equal(await read(grad), cleared);
  await backward(b);
  t.equal(await read(grad), cleared, 'where the memory is that of others');
  t.equal(await read(b.grad as Tensor), 3);
  x.release();
  parameters.release();
  t.equal(runtime.memory.report().liveBytes, 0, 'nothing stays');
});
