/** The runtime: scopes, memory, the order of queue operations, batching, host tables, the meter, the profiler. */
import test from 'tape';
import {
  AdamW,
  add,
  embedding,
  hostInts,
  kernelNamed,
  Linear,
  mul,
  openRuntime,
  Parameters,
  randomSource,
  record,
  Runtime,
  scale,
  stream,
  sum,
  Tensor,
  wrapDevice,
  type Caps,
} from '../../src/node.ts';
import { pacedWait } from '../../src/gpu/pump.ts';

const runtime = await openRuntime({ defaultLimits: true });
test.onFinish(() => runtime.close());

const upload = (values: number[], on: Runtime = runtime): Tensor =>
  on.upload(new Float32Array(values), [values.length]);
const live = (): number => runtime.memory.report().liveBytes;

/** A runtime beside it on the same device, with other limits; it leaves the device alone when it closes. */
const guest = (limits: Partial<Caps> = {}): Runtime =>
  new Runtime({ ...wrapDevice(runtime.device), caps: { ...runtime.caps, ...limits } }, { wait: pacedWait });

/** A test that must give back all the memory that it takes. */
function check(name: string, body: (t: test.Test) => Promise<void>): void {
  test(name, async (t) => {
    const before = live();
    await runtime.scope(() => body(t));
    t.equal(live(), before, 'all memory is given back');
  });
}

/** Runs `body` and returns the sizes of the queue writes that it makes, in bytes. */
async function writes(body: () => Promise<void>): Promise<number[]> {
  const { queue } = runtime.device;
  const original = queue.writeBuffer;
  const sizes: number[] = [];
  queue.writeBuffer = function (...args: globalThis.Parameters<GPUQueue['writeBuffer']>): undefined {
    sizes.push(args[4] ?? args[2].byteLength);
    Reflect.apply(original, queue, args);
  } as GPUQueue['writeBuffer'];
  try {
    await body();
  } finally {
    queue.writeBuffer = original;
  }
  return sizes;
}

check('a scope releases what it made except what it returns', async (t) => {
  const start = live();
  const inside: Tensor[] = [];
  const kept = await runtime.scope(async () => {
    const a = upload([1, 2, 3, 4]);
    const b = scale(a, 2);
    inside.push(a);
    await b.read(); // across an await
    const nested = await runtime.scope(() => {
      const c = scale(b, 2);
      inside.push(scale(c, 5));
      return [c];
    });
    return { view: b.view([2, 2]), list: nested, map: new Map([['d', scale(b, 10)]]), number: 7 };
  });
  t.ok(inside.every((tensor) => tensor.released));
  t.throws(() => inside[0].block, /a released tensor of shape \[4\] was used/);
  t.deepEqual([...(await kept.view.read())], [2, 4, 6, 8], 'a view keeps the memory of its released base');
  t.deepEqual([...(await kept.list[0].read())], [4, 8, 12, 16], 'returned through two scopes');
  t.deepEqual([...((await kept.map.get('d')?.read()) ?? [])], [20, 40, 60, 80]);
  t.equal(live() - start, 3 * 16, 'three tensors are left');
});

check('a scope that throws releases everything', async (t) => {
  const start = live();
  await runtime
    .scope(async () => {
      scale(upload([1]), 2);
      await Promise.resolve();
      throw new Error('on purpose');
    })
    .then(
      () => t.fail('must throw'),
      (error: Error) => t.equal(error.message, 'on purpose'),
    );
  t.equal(live(), start);
});

check('keep takes a tensor out of its scopes', async (t) => {
  const kept: Tensor[] = [];
  await runtime.scope(() => runtime.scope(() => kept.push(runtime.keep(upload([5])))));
  t.deepEqual([...(await kept[0].read())], [5]);
  kept[0].release();
});

check('views share memory; releasing twice is harmless, use after release is not', async (t) => {
  const start = live();
  const base = upload([1, 2, 3, 4, 5, 6]);
  const view = base.view([2, 3]);
  t.equal(live() - start, 24, 'a view takes no memory');
  t.equal(view.buffer, base.buffer);
  await runtime.write(base, new Float32Array([9, 8, 7, 6, 5, 4]));
  t.deepEqual([...(await view.read())], [9, 8, 7, 6, 5, 4], 'a write to one shows in the other');
  base.release();
  base.release();
  t.equal(live() - start, 24, 'the view holds its share');
  await runtime.scope(() => t.throws(() => scale(base, 2), /^SpanwiseError: scale: "x" \[6\] was released/));
  t.throws(() => base.view([6]), /released tensor of shape \[6\]/);
  await base.read().then(
    () => t.fail('must reject'),
    (error: Error) => t.match(error.message, /released tensor/),
  );
  t.throws(() => view.view([7]), /\[2,3\] has 6 elements, \[7\] 7/);
  for (const first of [-1, 0.5, NaN])
    t.throws(
      () => view.slice(first, [2]),
      new RegExp(`^InputError: slice: ${first} is no element of \\[2,3\\]`),
    );
  t.throws(() => view.slice(5, [2]), /\[2,3\] has no \[2\] from element 5 on/);
  for (const shape of [[-2, -3], [0.5, 12], [NaN]])
    for (const make of [() => view.slice(0, shape), () => view.view(shape)])
      t.throws(make, /^InputError: (slice|view): \[.*\] is not a shape/);
  view.release();
  view.release();
  t.equal(live(), start);
});

check('memory is reused within one batch, and the results are right', async (t) => {
  await runtime.finish();
  const held = runtime.memory.report().peakHeldBytes;
  let x = runtime.upload(new Float32Array(100_000).fill(1), [100_000]);
  for (let i = 0; i < 40; i++) {
    const doubled = add(x, x);
    x.release();
    x = scale(doubled, 0.75); // 1.5 a round
    doubled.release();
  }
  const submits = runtime.meter.submits;
  const values = await x.read();
  t.equal(runtime.meter.submits - submits, 1, '80 operations and the read-back are one submit');
  t.ok(values.every((v) => v === values[0]) && Math.abs(values[0] / 1.5 ** 40 - 1) < 1e-5, `${values[0]}`);
  t.ok(runtime.memory.report().peakHeldBytes - held < 5 * 400_000, 'a few blocks serve all 81 tensors');
});

check('an upload never overtakes recorded commands', async (t) => {
  await runtime.finish();
  for (let round = 0; round < 3; round++) {
    const a = upload([1, 2, 3, 4]);
    const doubled = scale(a, 2); // recorded, not submitted
    a.release();
    const b = upload([100, 200, 300, 400]); // would write now to a block that the scale still reads
    const both = add(doubled, b);
    t.deepEqual([...(await both.read())], [102, 204, 306, 408]);
    for (const tensor of [doubled, b, both]) tensor.release();
  }
});

check('an upload never overtakes a read-back', async (t) => {
  const a = upload([1, 2, 3, 4]);
  await runtime.finish();
  const reading = a.read();
  a.release();
  const b = upload([5, 6, 7, 8]);
  t.deepEqual([...(await reading)], [1, 2, 3, 4], 'what was read is what was there');
  t.deepEqual([...(await b.read())], [5, 6, 7, 8]);
});

check('a write comes after what was recorded before it', async (t) => {
  const a = upload([1, 2]);
  const before = scale(a, 10);
  await runtime.write(a, new Float32Array([3, 4]));
  const after = scale(a, 10);
  const values = await runtime.readAll([before, after]);
  t.deepEqual(
    values.map((v) => [...v]),
    [
      [10, 20],
      [30, 40],
    ],
  );
  await runtime.write(a, new Float32Array(3)).then(
    () => t.fail('must reject'),
    (error: Error) => t.match(error.message, /3 values do not fill the shape \[2\]/),
  );
});

check('bytes by label: live, peak, pooled', async (t) => {
  const before = runtime.memory.report();
  runtime.memory.resetPeak();
  const weights = runtime.upload(new Float32Array(1000), [1000], 'weights');
  const scratch = runtime.empty([500], 'f32', 'scratch');
  const pooled = runtime.memory.report().pooledBytes;
  scratch.release();
  const { liveBytes, peakBytes, pooledBytes, liveByLabel, peakByLabel } = runtime.memory.report();
  t.equal(liveBytes - before.liveBytes, 4000);
  t.equal(peakBytes - before.liveBytes, 6000);
  t.equal(liveByLabel.weights - (before.liveByLabel.weights ?? 0), 4000);
  t.equal(peakByLabel.scratch - (before.liveByLabel.scratch ?? 0), 2000);
  t.equal(liveByLabel.scratch, before.liveByLabel.scratch ?? 0);
  t.ok(pooledBytes - pooled >= 2000 && pooledBytes - pooled < 2300, 'the released block waits for reuse');
  weights.release();
});

check('1,000 training steps: one submit each, flat memory, a falling loss', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const layer = new Linear(parameters, 'layer', 4, 1);
  const optimizer = new AdamW(parameters, { lr: 0.02, weightDecay: 0 });
  const truth = [0.5, -1, 2, 0.25];
  const random = stream(1);
  const losses: number[] = [];
  const held: number[] = [];
  const submits = new Set<number>();
  for (let step = 0; step < 1000; step++) {
    const before = runtime.meter.submits;
    await runtime.scope(async () => {
      const rows = Float32Array.from({ length: 32 }, () => random.normal());
      const targets = Float32Array.from({ length: 8 }, (_, row) =>
        truth.reduce((total, w, i) => total - w * rows[4 * row + i], -0.3),
      );
      const x = runtime.upload(rows, [8, 4]);
      const y = runtime.upload(targets, [8, 1]);
      const { result: loss, tape } = await record(runtime, () => {
        const difference = add(layer.forward(x), y);
        return scale(sum(mul(difference, difference)), 1 / 8);
      });
      tape.backward(loss);
      optimizer.step();
      parameters.zeroGrad();
      losses.push((await loss.read())[0]);
    });
    submits.add(runtime.meter.submits - before);
    const { liveBytes, pooledBytes } = runtime.memory.report();
    if (step === 10 || step === 999) held.push(liveBytes, pooledBytes);
  }
  t.deepEqual([...submits], [1], 'forward, backward, optimizer and read-back are one submit');
  t.deepEqual(held.slice(2), held.slice(0, 2), `${held[0]} bytes live and ${held[1]} pooled from step 10 on`);
  t.ok(losses[0] > 0.1 && losses[999] < 1e-3, `loss ${losses[0]} → ${losses[999]}`);
  const weight = await layer.weight.read();
  t.ok(weight.every((w, i) => Math.abs(w - truth[i]) < 0.05));
  optimizer.release();
  parameters.release();
});

check('a host table that several operations read travels once', async (t) => {
  const table = runtime.upload(
    Float32Array.from({ length: 64 }, (_, i) => i),
    [64, 1],
  );
  const ids = hostInts(Int32Array.from({ length: 64 }, (_, i) => 63 - i));
  let values: number[] = [];
  const sizes = await writes(async () => {
    const one = embedding(ids, table);
    const two = embedding(ids, table);
    const both = add(one, two);
    values = [...(await both.read())];
  });
  t.deepEqual(
    values,
    Array.from({ length: 64 }, (_, i) => 2 * (63 - i)),
  );
  t.deepEqual(sizes, [256, 3 * 256], 'one table of 256 bytes and uniforms of three dispatches: nothing else');
});

check('an integer input may change as soon as the operation is recorded', async (t) => {
  const table = runtime.upload(Float32Array.of(10, 20, 30), [3, 1]);
  const ids = hostInts(Int32Array.of(0, 1));
  const first = embedding(ids, table);
  ids.data.fill(2);
  const second = embedding(ids, table);
  ids.data.fill(99);
  const values = await runtime.readAll([first, second]);
  t.deepEqual(
    values.map((v) => [...v]),
    [
      [10, 20],
      [30, 30],
    ],
  );
});

test('host tables over a limit of the device name the kernel and the bytes', async (t) => {
  const on = guest({ maxStorageBufferBindingSize: 64, maxBufferSize: 600 });
  const table = upload([1, 2, 3], on).view([3, 1]);
  t.throws(
    () => embedding(hostInts(new Int32Array(17)), table),
    /^OutOfMemoryError: embedding: a host table of 68 bytes is over the device's maxStorageBufferBindingSize of 64$/,
  );
  const rows = [0, 1, 2].map((id) => embedding(hostInts(new Int32Array(16).fill(id)), table));
  t.throws(
    () => embedding(hostInts(new Int32Array(16).fill(1, 8)), table),
    /^OutOfMemoryError: embedding: with a host table of 64 bytes this batch has 832 bytes of tables, .* of 600/,
  );
  const values = await Promise.all(rows.map((row) => on.read(row)));
  t.deepEqual(
    values.map((v) => v[15]),
    [1, 2, 3],
    'those before are computed',
  );
  on.close();
});

test("uniform slots have the device's alignment", async (t) => {
  const on = guest({ minUniformBufferOffsetAlignment: 512 });
  const x = upload([1, 2, 3], on);
  const sizes = await writes(async () => t.deepEqual([...(await scale(scale(x, 2), 3).read())], [6, 12, 18]));
  t.deepEqual(sizes, [2 * 512]);
  on.close();
});

test("held bytes include the runtime's own buffers, live bytes do not", async (t) => {
  const on = guest();
  const y = scale(upload([1, 2, 3, 4], on), 2);
  await on.finish();
  const report = on.memory.report();
  t.deepEqual(
    [report.liveBytes, report.heldBytes],
    [32, 32 + 256 * 256],
    'two tensors, a buffer of 256 uniform slots',
  );
  await y.read();
  const after = on.memory.report();
  t.deepEqual(
    [after.heldBytes, after.peakHeldBytes],
    [32 + 256 * 256 + 256, 32 + 256 * 256 + 256],
    'a small read-back leaves its buffer to the next one',
  );
  await on.readAll(Array<Tensor>(17).fill(y));
  const most = on.memory.report();
  t.deepEqual(
    [most.heldBytes, most.peakHeldBytes],
    [after.heldBytes, after.heldBytes + 17 * 16],
    'a larger one is held for its time',
  );
  t.equal(after.peakBytes, 32);
  on.close();
});

check('a tensor must have the dtype of its port', async (t) => {
  const integers = runtime.upload(Int32Array.of(1, 2, 3), [3]);
  t.throws(() => scale(integers, 2), /^InputError: scale: input "x" must be f32, got i32$/);
  const first = upload([1]);
  t.throws(
    () => runtime.kernel(kernelNamed('clip-grad-norm'), { grad0: first, grad1: integers }, {}),
    /^InputError: clip-grad-norm: input "grad1" must be f32, got i32$/,
    'of a repeated port too',
  );
  const x = upload([1]);
  for (const [name, given] of Object.entries({ array: [1], integers: Int32Array.of(1), shapeless: {} }))
    for (const before of [true, false]) {
      if (before) scale(x, 2);
      t.throws(
        () =>
          runtime.kernel(kernelNamed('scale'), { x: given as unknown as Tensor }, { params: { factor: 2 } }),
        /^InputError: scale: "x" must be a tensor, or host integers \{ data, shape \}$/,
        name,
      );
    }
});

check('uniforms and tables grow with the batch', async (t) => {
  const table = runtime.upload(
    Float32Array.from({ length: 8 }, (_, i) => i),
    [8, 1],
  );
  let x = upload([0]);
  for (const count of [3, 900, 5, 2500]) {
    const from = (await x.read())[0];
    for (let i = 0; i < count; i++) {
      const row = embedding(hostInts(Int32Array.of(i % 8)), table).view([1]);
      const next = add(x, row);
      x.release();
      x = next;
    }
    const expected = Array.from({ length: count }, (_, i) => i % 8).reduce((a, b) => a + b, 0);
    t.equal((await x.read())[0] - from, expected, `${2 * count} dispatches in one batch`);
  }
});

test('flushes queue up behind one that compiles', async (t) => {
  const fresh = await openRuntime({ defaultLimits: true });
  const a = upload([1, 2, 3], fresh);
  const b = scale(a, 2);
  const first = fresh.flush(); // compiles
  const c = mul(b, a);
  const second = fresh.flush();
  const reading = c.read();
  const d = add(c, b);
  t.deepEqual([...(await d.read())], [4, 12, 24], 'the last batch sees all before it');
  t.deepEqual([...(await reading)], [2, 8, 18]);
  await Promise.all([first, second, fresh.finish()]);
  t.equal(fresh.meter.pipelines, 3, 'each pipeline was made once');
  fresh.close();
});

check('more than 65,535 workgroups are executed', async (t) => {
  const size = 65_536 * 64 + 1_000;
  const x = runtime.upload(
    Float32Array.from({ length: size }, (_, i) => i % 1000),
    [size],
  );
  const values = await add(x, x).read();
  const wrong = values.findIndex((v, i) => v !== 2 * (i % 1000));
  t.equal(wrong, -1, 'every element');
  t.equal(values.length, size);
});

check('the meter tells forward, backward and optimizer apart', async (t) => {
  const parameters = new Parameters(runtime, randomSource(1));
  const layer = new Linear(parameters, 'layer', 6, 4);
  const optimizer = new AdamW(parameters, { lr: 0.1 });
  runtime.meter.reset();
  await runtime.scope(async () => {
    const x = runtime.upload(new Float32Array(5 * 6), [5, 6]);
    const { result, tape } = await record(runtime, () => sum(layer.forward(x)));
    tape.backward(result);
    optimizer.step();
    await runtime.finish();
  });
  const { meter } = runtime;
  t.equal(meter.total('forward').macs, 5 * 6 * 4, 'the layer');
  t.equal(meter.total('backward').macs, 5 * 6 * 4, "its weight's gradient: the input's is not asked for");
  const optimizing = meter.rows().filter((row) => row.phase === 'optimizer');
  t.deepEqual(
    optimizing.map((row) => [row.kernel, row.work.dispatches]),
    [['adamw', 1]],
    'both parameters at once',
  );
  t.equal(meter.total('optimizer').flops, 28 * 15);
  t.equal(
    meter.total().dispatches,
    meter.rows().reduce((n, row) => n + row.work.dispatches, 0),
  );
  t.equal(meter.phase, 'forward', 'and afterwards it is back in the forward phase');
  t.equal(meter.submits, 1);
  optimizer.release();
  parameters.release();
});

check('a dispatch without an exact cost is an error', async (t) => {
  const { caps } = runtime;
  const x = upload([1, 2]);
  const plan = kernelNamed('scale').plan({ shapes: { x: [2] }, params: { factor: 2 }, caps, host: {} });
  for (const cost of [{ flops: NaN }, { macs: Infinity }, { bytesRead: -1 }, { bytesWritten: NaN }])
    t.throws(
      () => runtime.run({ ...plan, dispatches: [{ ...plan.dispatches[0], ...cost }] }, { x }),
      /^SpanwiseError: scale: a dispatch without an exact cost/,
      JSON.stringify(Object.keys(cost)),
    );
});

test(
  'profile gives every dispatch its GPU time',
  { skip: runtime.caps.timestamps ? false : 'the device has no timestamp queries' },
  async (t) => {
    runtime.meter.reset();
    const small = upload([1, 2, 3, 4]);
    const large = runtime.upload(new Float32Array(500_000), [500_000]);
    await runtime.profile(() =>
      runtime.scope(async () => {
        for (let i = 0; i < 2100; i++) add(small, small).release(); // more than one query set holds
        await mul(large, large).read();
      }),
    );
    const times = Object.fromEntries(
      runtime.meter.rows().map((row) => [row.kernel, row.work.gpuNanoseconds]),
    );
    t.ok(times.add > 0 && times.mul > 1000, `${times.add} ns of add, ${times.mul} ns of mul`);
    t.equal(runtime.meter.submits, 1);
    const before = runtime.meter.total().gpuNanoseconds;
    await scale(small, 2).read();
    t.equal(runtime.meter.total().gpuNanoseconds, before, 'and afterwards nothing is timed');
    await runtime
      .profile(() => Promise.reject(new Error('on purpose')))
      .then(
        () => t.fail('must reject'),
        (error: Error) => t.equal(error.message, 'on purpose'),
      );
    t.deepEqual(
      [...(await scale(small, 2).read())],
      [2, 4, 6, 8],
      'a failed profile leaves the runtime usable',
    );
  },
);

test('tensors without elements', async (t) => {
  const none = runtime.upload(new Float32Array(0), [0, 3]);
  t.equal((await none.read()).length, 0);
  const some = upload([1]);
  const out = scale(none, 2);
  const values = await runtime.readAll([out, some, none]);
  t.deepEqual(
    values.map((v) => v.length),
    [0, 1, 0],
  );
  t.throws(() => runtime.upload(new Float32Array(2), [3]), /2 values do not fill the shape \[3\]/);
  t.throws(() => runtime.empty([2, -1]), /\[2,-1\] is not a shape/);
});
