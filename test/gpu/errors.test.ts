/** Failures are typed, name what failed, reach every pending wait, and hang nothing. */
import test from 'tape';
import {
  add,
  DeviceLostError,
  DeviceUnavailableError,
  GpuValidationError,
  kernelNamed,
  openDevice,
  openRuntime,
  OutOfMemoryError,
  Runtime,
  scale,
  ShaderError,
  wrapDevice,
  type Dispatch,
  type Tensor,
} from '../../src/node.ts';
import { pacedWait } from '../../src/gpu/pump.ts';
import clipGradNormWgsl from '../../shaders/clip-grad-norm.wgsl';

// Where the process must start again on the software device, it does so before any test.
(await openRuntime()).close();

type Kind = new (...args: never[]) => Error;

const upload = (on: Runtime, values: number[] = [1, 2, 3]): Tensor =>
  on.upload(new Float32Array(values), [values.length]);

async function rejects(t: test.Test, promise: Promise<unknown>, kind: Kind, words: RegExp): Promise<void> {
  const timeout = new Promise((_, reject) => setTimeout(reject, 10_000, new Error('it hangs')).unref());
  await Promise.race([promise, timeout]).then(
    () => t.fail('must reject'),
    (error: Error) => t.ok(error instanceof kind && words.test(error.message), String(error)),
  );
}

/** A dispatch of `scale` over x [3] into out [3], with changes. */
function plan(runtime: Runtime, change: Partial<Dispatch>) {
  const whole = kernelNamed('scale').plan({
    shapes: { x: [3] },
    params: { factor: 2 },
    caps: runtime.caps,
    host: {},
  });
  return { ...whole, dispatches: [{ ...whole.dispatches[0], ...change }] };
}

/** What the device refuses: one buffer to read and to write. */
const refused: Partial<Dispatch> = {
  bindings: [
    { name: 'x', access: 'read', tensor: 'x' },
    { name: 'out', access: 'read_write', tensor: 'x' },
  ],
};

/** The runtime computes and finishes as if nothing had been. `x`: [1, 2, 3] on it. */
async function goesOn(t: test.Test, runtime: Runtime, x: Tensor): Promise<void> {
  t.deepEqual([...(await scale(x, 2).read())], [2, 4, 6], 'the runtime goes on');
  await runtime.finish();
}

/** A test on a runtime of its own. */
function check(name: string, body: (t: test.Test, runtime: Runtime) => Promise<void>): void {
  test(name, async (t) => {
    const runtime = await openRuntime({ defaultLimits: true });
    try {
      await body(t, runtime);
    } finally {
      runtime.close();
    }
  });
}

check('OutOfMemoryError: over maxBufferSize and over the binding size', async (t, runtime) => {
  t.throws(
    () => runtime.empty([2 ** 27], 'f32', 'weights'),
    /^OutOfMemoryError: weights buffer of 536870912 bytes exceeds .* maxBufferSize of 268435456/,
  );
  const wide = runtime.empty([34_000_000]);
  t.throws(
    () => scale(wide, 2),
    /^OutOfMemoryError: scale: "x" \[34000000\] is 136000000 bytes, over .* maxStorageBufferBindingSize of 134217728/,
  );
  const small = upload(runtime);
  t.deepEqual([...(await scale(small, 2).read())], [2, 4, 6], 'nothing was harmed');
});

check('OutOfMemoryError: the device has no memory left', async (t, runtime) => {
  const { device } = runtime;
  const pop = device.popErrorScope.bind(device);
  let pops = 0;
  // Of each pair of scopes the out-of-memory one is popped last.
  device.popErrorScope = async () =>
    (await pop()) ?? (++pops === 2 ? ({ message: 'no memory' } as GPUError) : null);
  runtime.empty([1000], 'f32', 'gradients');
  await rejects(t, runtime.finish(), OutOfMemoryError, /^gradients buffer of 4096 bytes: no memory$/);
  await rejects(t, runtime.finish(), OutOfMemoryError, /no memory/);
  t.throws(() => runtime.empty([1]), OutOfMemoryError, 'nothing carries on');
});

check('ShaderError: WGSL that does not compile names kernel, line, column and source', async (t, runtime) => {
  const grad = upload(runtime);
  const dispatch: Partial<Dispatch> = {
    label: 'my-kernel',
    shader: clipGradNormWgsl,
    constants: { STAGE: 0, GROUP_ELEMENTS: -1, STEPS: [1] },
    uniforms: [3, 0, 1],
    bindings: [
      { name: 'grad', access: 'read', tensor: 'x' },
      { name: 'partials', access: 'read_write', tensor: 'out' },
    ],
  };
  const { out } = runtime.run(plan(runtime, dispatch), { x: grad });
  const words =
    /^kernel my-kernel, shader clip-grad-norm\.main\(.*\[\d+:\d+\] .*\n +const GROUP_ELEMENTS = -1u;/s;
  await rejects(t, out.read(), ShaderError, words);
  await rejects(t, scale(out, 2).read(), ShaderError, words);
  await goesOn(t, runtime, grad);
});

check('ShaderError: WGSL that does not expand, an entry point that is not there', async (t, runtime) => {
  const { out } = runtime.run(plan(runtime, { constants: {} }), { x: upload(runtime) });
  await rejects(t, out.read(), ShaderError, /^kernel scale, shader .*unknown constant "OP"/);
  const other = await openRuntime();
  const result = other.run(plan(other, { entryPoint: 'nowhere' }), { x: upload(other) });
  await rejects(t, result.out.read(), ShaderError, /^kernel scale, shader elementwise.nowhere.*nowhere/s);
  other.close();
});

check('GpuValidationError names the batch and its kernels', async (t, runtime) => {
  const { out } = runtime.run(plan(runtime, refused), { x: upload(runtime) });
  const words = /^batch \d+ \(scale\): /;
  await rejects(t, out.read(), GpuValidationError, words);
  await rejects(t, runtime.finish(), GpuValidationError, words);
  await rejects(t, scale(out, 2).read(), GpuValidationError, words);
  await goesOn(t, runtime, upload(runtime));
  out.release();
  await goesOn(t, runtime, runtime.upload(new Float32Array([1, 2, 3]), [3])); // in memory that was given back
});

check('of concurrent reads each waits for its own checks', async (t, runtime) => {
  const good = upload(runtime);
  await good.read();
  const { device } = runtime;
  const pop = device.popErrorScope.bind(device);
  device.popErrorScope = async () => {
    const error = await pop();
    await new Promise((resolve) => setTimeout(resolve, 50)); // later than the data
    return error;
  };
  const { out } = runtime.run(plan(runtime, refused), { x: good });
  const [beside, spoilt, behind] = [good.read(), out.read(), good.read()];
  for (const read of [beside, spoilt]) await rejects(t, read, GpuValidationError, /^batch \d+ \(scale\): /);
  t.deepEqual([...(await behind)], [1, 2, 3], 'a batch of its own');

  const { out: lost } = runtime.run(plan(runtime, refused), { x: good });
  await runtime.flush();
  const memory = lost.buffer;
  lost.release();
  const fresh = upload(runtime, [7, 8, 9]);
  t.equal(fresh.buffer, memory, 'memory that a batch was to write whose failure is not known yet');
  t.deepEqual([...(await fresh.read())], [7, 8, 9], 'and that the host wrote since');
});

check(
  'a device destroyed by someone else: pending and later work fails, nothing hangs',
  async (t, runtime) => {
    const x = upload(runtime);
    await x.read();
    const pending = [scale(x, 2).read(), runtime.finish(), x.read()];
    runtime.device.destroy();
    await Promise.all(
      pending.map((promise) => rejects(t, promise, DeviceLostError, /^the device was lost \(destroyed\)/)),
    );
    await rejects(t, x.read(), DeviceLostError, /lost/);
    await rejects(t, runtime.finish(), DeviceLostError, /lost/);
    t.throws(() => add(x, x), DeviceLostError);
  },
);

test('after close everything throws', async (t) => {
  const runtime = await openRuntime();
  const x = upload(runtime);
  const reading = x.read();
  runtime.close();
  runtime.close();
  await rejects(t, reading, GpuValidationError, /^the runtime is closed$/);
  const actions: Record<string, () => unknown> = {
    upload: () => upload(runtime),
    empty: () => runtime.empty([1]),
    wrap: () => runtime.wrap({ size: 16 } as GPUBuffer, [1]),
    view: () => x.view([1, 3]),
    kernel: () => scale(x, 2),
  };
  for (const [name, action] of Object.entries(actions)) t.throws(action, /the runtime is closed/, name);
  for (const action of [() => x.read(), () => runtime.finish(), () => runtime.flush()])
    await rejects(t, action(), GpuValidationError, /^the runtime is closed$/);
  x.release();
  t.pass('releasing is harmless');
});

check('an injected device survives close; buffers pass in and out without a copy', async (t, owner) => {
  const { device } = owner;
  const opened = wrapDevice(device);
  t.equal(opened.caps.maxStorageBufferBindingSize, owner.caps.maxStorageBufferBindingSize);
  t.equal(opened.info.name, owner.info.name);
  t.deepEqual(opened.info.features, [...device.features].sort());
  const guest = new Runtime(opened, { wait: pacedWait });
  const buffer = device.createBuffer({ size: 32, usage: 0x80 | 0x8 | 0x4 });
  device.queue.writeBuffer(buffer, 0, new Float32Array([1, 2, 3, 4, 5]));
  const input = guest.wrap(buffer, [5], { label: 'weights' });
  t.equal(input.buffer, buffer);
  t.equal(guest.memory.report().liveByLabel.weights, 20);
  const output = scale(input, 2);
  await guest.flush();
  const seen = owner.wrap(output.buffer, [5]); // another framework's view of the result
  t.deepEqual([...(await scale(seen, 10).read())], [20, 40, 60, 80, 100]);
  t.throws(() => add(seen, input), /"b" is of another runtime/);
  t.throws(() => guest.wrap(buffer, [9]), /a buffer of 32 bytes cannot hold the shape \[9\] \(36 bytes\)/);
  input.release();
  guest.close();
  device.queue.writeBuffer(buffer, 0, new Float32Array([7]));
  const again = owner.wrap(buffer, [5]);
  t.deepEqual([...(await again.read())], [7, 2, 3, 4, 5], 'neither the device nor the buffer was destroyed');
  buffer.destroy();
});

check("others' mistakes on a shared device reach their listeners and no runtime", async (t, owner) => {
  const { device } = owner;
  const guest = new Runtime(wrapDevice(device), { wait: pacedWait });
  const heard: string[] = [];
  device.addEventListener('uncapturederror', (event) => heard.push(event.error.message));
  device.createBuffer({ size: 16, usage: 0x1 | 0x2, label: 'theirs' }); // MAP_READ with MAP_WRITE
  t.deepEqual([...(await scale(upload(guest), 2).read())], [2, 4, 6], 'the guest goes on');
  t.equal(heard.length, 1);
  await goesOn(t, owner, upload(owner));
  guest.close();
});

test('two runtimes beside each other', async (t) => {
  const [a, b] = await Promise.all([openRuntime(), openRuntime()]);
  const [x, y] = [upload(a), upload(b, [10, 20, 30])];
  const values = await Promise.all([scale(x, 2).read(), scale(y, 3).read(), add(x, x).read()]);
  t.deepEqual(
    values.map((v) => [...v]),
    [
      [2, 4, 6],
      [30, 60, 90],
      [2, 4, 6],
    ],
  );
  a.close();
  t.deepEqual([...(await scale(y, 4).read())], [40, 80, 120], 'closing one leaves the other alone');
  b.close();
});

test('fifty runtimes one after another', async (t) => {
  let right = 0;
  for (let i = 0; i < 50; i++) {
    const runtime = await openRuntime({ defaultLimits: true });
    if ((await scale(upload(runtime, [i]), 2).read())[0] === 2 * i) right++;
    runtime.close();
  }
  t.equal(right, 50);
});

check('an adapter that refuses a device counts as none, by its name', async (t, runtime) => {
  const { features, limits, adapterInfo: info } = runtime.device;
  const gpuOf = (requestDevice: () => Promise<GPUDevice>) =>
    ({ requestAdapter: async () => ({ info, features, limits, requestDevice }) }) as unknown as GPU;
  const refusing = gpuOf(() => Promise.reject(new Error('no more devices')));
  const words = new RegExp(
    `^the adapter "${runtime.info.name.slice(0, 8)}.*" gives no device: no more devices$`,
  );
  await rejects(t, openDevice(refusing), DeviceUnavailableError, words);
  const plain = { limits, features: new Set<string>() } as unknown as GPUDevice;
  const opened = await openDevice(gpuOf(() => Promise.resolve(plain)));
  t.deepEqual(opened.info.features, [], "the device's features, not the adapter's");
  t.ok(opened.owned);
});
