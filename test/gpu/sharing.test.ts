/** Buffers and tensors of others: what is no good is refused at the call, and what the device refuses spoils nothing else. */
import test from 'tape';
import {
  add,
  hostInts,
  InputError,
  kernelNamed,
  linear,
  openRuntime,
  reshape,
  Runtime,
  scale,
  slidingAveragePool,
  wrapDevice,
  type Tensor,
} from '../../src/node.ts';
import { accumulate } from '../../kernels/shared/elementwise.ts';
import { pacedWait } from '../../src/gpu/pump.ts';

const [STORAGE, COPY_SRC, COPY_DST] = [0x80, 0x4, 0x8];
const runtime = await openRuntime({ defaultLimits: true });
const other = await openRuntime({ defaultLimits: true });
test.onFinish(() => {
  runtime.close();
  other.close();
});

const upload = (values: number[], on: Runtime = runtime): Tensor =>
  on.upload(new Float32Array(values), [values.length]);
const bufferOf = (usage: number, size = 64, on: Runtime = runtime): GPUBuffer =>
  on.device.createBuffer({ size, usage });

async function rejects(t: test.Test, promise: Promise<unknown>, words: RegExp): Promise<void> {
  await promise.then(
    () => t.fail('must reject'),
    (error: Error) => t.ok(error instanceof InputError && words.test(error.message), String(error)),
  );
}

/** The runtime computes, reads and finishes as if nothing had been. */
async function goesOn(t: test.Test): Promise<void> {
  t.deepEqual([...(await scale(upload([1, 2, 3]), 2).read())], [2, 4, 6], 'the runtime goes on');
  await runtime.finish();
}

test('a tensor of another runtime is neither read nor written', async (t) => {
  const theirs = upload([1, 2, 3], other);
  await rejects(t, runtime.read(theirs), /^read: the tensor \[3\] is of another runtime$/);
  await rejects(t, runtime.readAll([upload([1]), theirs]), /is of another runtime$/);
  await rejects(t, runtime.write(theirs, new Float32Array(3)), /^write: the tensor \[3\] is of another/);
  t.throws(() => add(upload([1, 2, 3]), theirs), /"b" is of another runtime/);
  await goesOn(t);
  t.deepEqual([...(await theirs.read())], [1, 2, 3], 'and neither is the other one harmed');
});

test('what cannot be wrapped is refused at the call', async (t) => {
  const good = bufferOf(STORAGE | COPY_SRC | COPY_DST, 1024);
  const refused: [string, () => unknown, RegExp][] = [
    ['usage', () => runtime.wrap(bufferOf(COPY_SRC | COPY_DST), [3]), /usage .* must include STORAGE/],
    ['size', () => runtime.wrap(good, [257]), /1024 bytes cannot hold the shape \[257\] \(1028 bytes\)$/],
    ['end', () => runtime.wrap(good, [193], { offset: 256 }), /\(772 bytes\) from byte 256 on$/],
    ['alignment', () => runtime.wrap(good, [1], { offset: 4 }), /must be a multiple of 256 bytes, got 4$/],
    ['negative', () => runtime.wrap(good, [1], { offset: -256 }), /must be a multiple of 256 bytes/],
    ['shape', () => runtime.wrap(good, [1.5]), /^InputError: \[1.5\] is not a shape$/],
  ];
  for (const [name, wrap, words] of refused) t.throws(wrap, words, name);
  await goesOn(t);
});

test('a part of a buffer is wrapped', async (t) => {
  const buffer = bufferOf(STORAGE | COPY_SRC | COPY_DST, 1024);
  runtime.device.queue.writeBuffer(buffer, 256, new Float32Array([1, 2, 3]));
  runtime.device.queue.writeBuffer(buffer, 512, new Int32Array([7, 8]));
  const floats = runtime.wrap(buffer, [3], { offset: 256 });
  t.deepEqual([...(await scale(floats, 2).read())], [2, 4, 6]);
  t.deepEqual([...(await floats.read())], [1, 2, 3]);
  const integers = runtime.wrap(buffer, [2], { offset: 512, dtype: 'i32' });
  t.deepEqual(await runtime.read(integers), new Int32Array([7, 8]));
  await runtime.write(floats, new Float32Array([4, 5, 6]));
  t.deepEqual([...(await floats.read())], [4, 5, 6]);
  t.deepEqual(await runtime.read(integers), new Int32Array([7, 8]), 'what lies beside it stays');
});

test('a kernel writes into a buffer of the caller', async (t) => {
  const buffer = bufferOf(STORAGE | COPY_SRC | COPY_DST, 1024);
  runtime.device.queue.writeBuffer(buffer, 0, new Float32Array(256).fill(-1));
  const x = upload([1, 2, 3]);
  const out = runtime.wrap(buffer, [3], { offset: 512 });
  const made = runtime.memory.report().liveBytes;
  const { out: written } = runtime.kernel(
    kernelNamed('scale'),
    { x },
    { params: { factor: 2 }, out: { out } },
  );
  t.equal(written, out, 'what comes back is the tensor that was given');
  t.equal(runtime.memory.report().liveBytes, made, 'and no other is made');
  t.deepEqual([...(await add(out, x).read())], [3, 6, 9], 'what follows reads it there');
  const all = [...(await runtime.wrap(buffer, [256]).read())];
  t.deepEqual([all.slice(128, 131), all.filter((value) => value === -1).length], [[2, 4, 6], 253]);

  // One buffer for several outputs, side by side.
  const parts = [0, 256].map((offset) => runtime.wrap(buffer, [1, 2], { offset }));
  const joined = runtime.upload(new Float32Array([1, 2, 3, 4]), [1, 4]);
  const params = { widths: [2, 2] };
  runtime.kernel(kernelNamed('split'), { x: joined }, { params, out: { out0: parts[0], out1: parts[1] } });
  t.deepEqual([...(await parts[0].read()), ...(await parts[1].read())], [1, 2, 3, 4]);

  const run =
    (given: Record<string, Tensor>, over = x) =>
    () =>
      runtime.kernel(kernelNamed('scale'), { x: over }, { params: { factor: 2 }, out: given });
  const integers = runtime.wrap(buffer, [3], { dtype: 'i32' });
  const released = runtime.empty([3]);
  released.release();
  const refused: [string, () => unknown, RegExp][] = [
    ['name', run({ sum: out }), /^InputError: scale: out "sum" is not an output \(it gives out\)$/],
    ['shape', run({ out: runtime.wrap(buffer, [4]) }), /out "out" must be f32 \[3\], got f32 \[4\]$/],
    ['dtype', run({ out: integers }), /must be f32 \[3\], got i32 \[3\]$/],
    ['alias', run({ out }, runtime.wrap(buffer, [3])), /lies in the buffer of the input "x"/],
    ['itself', run({ out: x }), /lies in the buffer of the input "x"/],
    ['runtime', run({ out: upload([0, 0, 0], other) }), /"out" is of another runtime$/],
    ['released', run({ out: released }), /a released tensor of shape \[3\] was used$/],
    [
      'overlap',
      () =>
        runtime.kernel(
          kernelNamed('split'),
          { x: joined },
          { params, out: { out0: parts[0], out1: parts[0] } },
        ),
      /^InputError: split: out "out1" overlaps the out "out0"$/,
    ],
    [
      'in place',
      () => runtime.kernel(accumulate, { total: x, x: upload([1, 1, 1]) }, { out: { total: out } }),
      /^InputError: accumulate: out "total" is written over an input$/,
    ],
  ];
  for (const [name, action, words] of refused) t.throws(action, words, name);
  await goesOn(t);
});

test('a wrapped buffer that the host cannot get at', async (t) => {
  const closed = runtime.wrap(bufferOf(STORAGE), [3]);
  await rejects(t, closed.read(), /^read: the usage of the wrapped buffer must include COPY_SRC$/);
  await rejects(t, runtime.write(closed, new Float32Array(3)), /^write: .* must include COPY_DST$/);
  t.deepEqual([...(await scale(closed, 2).read())], [0, 0, 0], 'kernels read it');
  await goesOn(t);
});

test('a buffer of another device, or a destroyed one, spoils what is computed with it and nothing else', async (t) => {
  const usage = STORAGE | COPY_SRC | COPY_DST;
  const destroyed = bufferOf(usage);
  destroyed.destroy();
  for (const buffer of [bufferOf(usage, 64, other), destroyed]) {
    const before = scale(upload([1]), 5);
    const bad = runtime.wrap(buffer, [3]);
    const out = scale(bad, 2);
    const words = /^wrap: the device refuses the buffer: /;
    await rejects(t, out.read(), words);
    await rejects(t, bad.read(), words);
    await rejects(t, scale(out, 2).read(), words); // computed with what was not computed
    await rejects(t, before.read(), words); // of the same batch
    const fresh = upload([1, 2, 3]);
    for (const tensor of [bad, out, before]) tensor.release();
    t.deepEqual([...(await add(fresh, fresh).read())], [2, 4, 6], 'in memory that was given back');
    await goesOn(t);
  }
});

test('a wrapped buffer that is destroyed later', async (t) => {
  const buffer = bufferOf(STORAGE | COPY_SRC | COPY_DST);
  const wrapped = runtime.wrap(buffer, [3]);
  t.deepEqual([...(await scale(wrapped, 2).read())], [0, 0, 0]);
  const kept = upload([1, 2, 3]);
  buffer.destroy();
  const out = scale(wrapped, 2);
  const reading = out.read();
  const behind = add(out, kept).read();
  await rejects(t, reading, /^batch \d+ \(scale\): /);
  await rejects(t, behind, /^batch \d+ \(scale\): /);
  await rejects(t, runtime.finish(), /^batch \d+ \(scale\): /);
  t.deepEqual([...(await kept.read())], [1, 2, 3]);
  await goesOn(t);
});

test('a guest on a shared device and its owner do not harm each other', async (t) => {
  const guest = new Runtime(wrapDevice(runtime.device), { wait: pacedWait });
  const bad = guest.wrap(bufferOf(STORAGE | COPY_SRC, 64, other), [3]);
  await rejects(t, scale(bad, 2).read(), /^wrap: /);
  t.deepEqual([...(await scale(upload([1], guest), 2).read())], [2]);
  guest.close();
  await goesOn(t);
});

test("what is appended to the caller's encoder runs when the caller submits it", async (t) => {
  const { device, meter, memory } = runtime;
  const live = memory.report().liveBytes;
  await runtime.scope(async () => {
    const x = upload([1, 2, 3]);
    const weight = runtime.upload(new Float32Array([1, 0, 0, 0, 1, 1]), [2, 3]);
    await runtime.finish();
    const { submits } = meter;
    const encoder = device.createCommandEncoder();
    const { result, submitted } = await runtime.encode(encoder, () => ({
      sum: add(scale(scale(x, 2), 0.5), x),
      product: linear(reshape(x, [1, 3]), weight),
      means: slidingAveragePool(reshape(x, [1, 3, 1]), hostInts(Int32Array.of(3)), [2])[0],
    }));
    t.equal(meter.submits, submits, 'nothing is submitted');

    // Other work in between, with other uniforms and tables: it gets no memory that the encoding uses.
    x.release();
    const others = Array.from({ length: 8 }, (_, i) => scale(upload([i, i, i]), 10));
    const values = (await runtime.readAll(others)).map(([value]) => value);
    t.deepEqual(values, [0, 10, 20, 30, 40, 50, 60, 70]);
    const short = slidingAveragePool(upload([5, 5, 5]).view([1, 3, 1]), hostInts(Int32Array.of(1)), [2]);
    t.deepEqual([...(await short[0].read())], [0, 0]);

    const theirs = bufferOf(STORAGE | COPY_SRC | COPY_DST, 16);
    encoder.copyBufferToBuffer(result.sum.buffer, result.sum.offset, theirs, 0, 12);
    device.queue.submit([encoder.finish()]);
    submitted();
    t.deepEqual([...(await runtime.wrap(theirs, [3]).read())], [2, 4, 6], 'one submit with what is theirs');
    t.deepEqual([...(await result.product.read())], [1, 5]);
    t.deepEqual([...(await result.means.read())], [1.5, 2.5]);
    submitted();
    t.deepEqual(
      [...(await runtime.readAll(others))].map(([value]) => value),
      values,
      'nothing was written over',
    );
  });
  t.equal(memory.report().liveBytes, live);
  await goesOn(t);
});

test('an encoding that fails is dropped, and the runtime goes on', async (t) => {
  const { device } = runtime;
  const x = upload([1, 2, 3]);
  const encoderOf = (on = device) => on.createCommandEncoder();
  const finished = encoderOf();
  finished.finish();
  const body = () => scale(x, 2);
  await rejects(t, runtime.encode(finished, body), /^encode: the device refuses it: /);
  await rejects(
    t,
    runtime.encode(encoderOf(), async () => body()),
    /^encode: what it runs must not be asynchronous$/,
  );
  const bad = runtime.wrap(bufferOf(STORAGE, 64, other), [3]);
  await rejects(
    t,
    runtime.encode(encoderOf(), () => scale(bad, 2)),
    /^wrap: the device refuses the buffer: /,
  );
  bad.release();
  await runtime
    .encode(encoderOf(), () => add(x, upload([1, 2, 3], other)))
    .then(
      () => t.fail('must reject'),
      (error: Error) => t.match(error.message, /is of another runtime$/, 'what the body throws'),
    );
  await goesOn(t);
  const { result, submitted } = await runtime.encode(encoderOf(), body);
  submitted(); // the encoder is dropped
  result.release();
  await goesOn(t);
});
