/** Choosing and describing an adapter, on fake ones. */
import test from 'tape';
import {
  defaultCaps,
  DeviceUnavailableError,
  InputError,
  openDevice,
  Runtime,
  wrapDevice,
} from '../../src/index.ts';

interface Fake {
  info?: Partial<GPUAdapterInfo>;
  features?: string[];
  limits?: Record<string, number>;
}

/** A GPU with one adapter, or none; `asked` receives what the device is asked for. */
function fakeGpu(adapter: Fake | null, asked: GPUDeviceDescriptor[] = []): GPU {
  const limits = { ...defaultCaps, ...adapter?.limits };
  const info = { vendor: '', architecture: '', device: '', description: '', ...adapter?.info };
  const features = new Set(adapter?.features ?? []);
  const requestDevice = async (descriptor: GPUDeviceDescriptor) => {
    asked.push(descriptor);
    return {
      limits: { ...defaultCaps, ...descriptor.requiredLimits },
      features: new Set(descriptor.requiredFeatures),
    };
  };
  const requestAdapter = async () => adapter && { info, features, limits, requestDevice };
  return { requestAdapter } as unknown as GPU;
}

async function refused(t: test.Test, adapter: Fake | null, words: RegExp): Promise<void> {
  const asked: GPUDeviceDescriptor[] = [];
  await openDevice(fakeGpu(adapter, asked)).then(
    () => t.fail('must be refused'),
    (error: Error) =>
      t.ok(error instanceof DeviceUnavailableError && words.test(error.message), String(error)),
  );
  t.equal(asked.length, 0, 'no device was asked for');
}

test('no adapter, and the null backend, are refused', async (t) => {
  await refused(t, null, /no WebGPU adapter was found/);
  await refused(t, { info: { device: 'Null backend' } }, /only the null backend was found/);
  await refused(t, { info: { description: 'Null Backend', vendor: 'x' } }, /null backend/);
  await refused(t, { info: { device: 'null-backend' } }, /null backend/); // Dawn's own, webgpu 0.6.2
});

test('software adapters are told by their names, or by their own word', async (t) => {
  const software = async (info: Partial<GPUAdapterInfo>): Promise<boolean> => {
    const opened = await openDevice(fakeGpu({ info }));
    t.equal(opened.caps.software, opened.info.software);
    return opened.info.software;
  };
  for (const device of [
    'SwiftShader Device (Subzero)',
    'llvmpipe (LLVM 19)',
    'Microsoft Basic Render Driver',
  ])
    t.ok(await software({ device }), device);
  t.ok(await software({ architecture: 'swiftshader', vendor: 'google' }));
  t.ok(await software({ isFallbackAdapter: true }));
  for (const device of ['NVIDIA H200', 'Apple M4 GPU', 'AMD Radeon RX 7900', 'Warpspeed 3000'])
    t.notOk(await software({ device }), device);
});

test('where there is no WebGPU', async (t) => {
  for (const gpu of [undefined, null, {}])
    await openDevice(gpu as unknown as GPU).then(
      () => t.fail('must be refused'),
      (error: Error) => {
        t.ok(error instanceof DeviceUnavailableError);
        t.match(error.message, /^there is no WebGPU here: `navigator\.gpu` is missing/);
      },
    );
  t.throws(
    () => wrapDevice(undefined as unknown as GPUDevice),
    /^InputError: wrapDevice: takes a GPUDevice$/,
  );
  t.throws(() => new Runtime(undefined as never), /^InputError: Runtime: takes what `openDevice`/);
});

test('adapters that give numbers have names all the same', async (t) => {
  const named = async (info: Partial<GPUAdapterInfo>) => {
    const opened = await openDevice(fakeGpu({ info }));
    t.equal(opened.caps.vendor, opened.info.vendor);
    return opened.info;
  };
  // As Deno 2.9 has them.
  const swiftshader = await named({
    vendor: '6880',
    device: '49374',
    description: 'SwiftShader Device (Subzero)',
  });
  t.deepEqual(
    [swiftshader.name, swiftshader.vendor, swiftshader.driver, swiftshader.software],
    ['SwiftShader Device (Subzero)', 'google', '', true],
  );
  const lavapipe = await named({
    vendor: '65541',
    device: '0',
    description: 'llvmpipe (LLVM 15.0.6, 256 bits)',
  });
  t.deepEqual([lavapipe.vendor, lavapipe.software], ['mesa', true]);
  const unknown = await named({ vendor: '6900', device: '1', description: '' });
  t.deepEqual([unknown.vendor, unknown.name], ['pci-1af4', 'unknown']);
  const dawn = await named({ vendor: 'nvidia', device: 'NVIDIA H200', description: '570.86' });
  t.deepEqual(
    [dawn.vendor, dawn.name, dawn.driver],
    ['nvidia', 'NVIDIA H200', '570.86'],
    'words stay as they are',
  );
});

test('what a device is asked for, and what its capabilities say', async (t) => {
  const asked: GPUDeviceDescriptor[] = [];
  const adapter: Fake = {
    info: { vendor: 'acme', architecture: 'one', subgroupMinSize: 8, subgroupMaxSize: 32 },
    features: ['timestamp-query', 'subgroups', 'texture-compression-bc'],
    limits: { maxBufferSize: 2 ** 33, maxStorageBuffersPerShaderStage: 16 },
  };
  const { caps, info } = await openDevice(fakeGpu(adapter, asked));
  t.deepEqual(asked[0].requiredFeatures, ['timestamp-query', 'subgroups'], 'only what is used');
  t.equal(asked[0].requiredLimits?.maxBufferSize, 2 ** 33);
  t.equal(caps.maxBufferSize, 2 ** 33);
  t.equal(caps.maxStorageBuffersPerShaderStage, 16);
  t.deepEqual([caps.subgroupMinSize, caps.subgroupMaxSize, caps.timestamps, caps.f16], [8, 32, true, false]);
  t.ok(Object.isFrozen(caps));
  t.deepEqual([info.vendor, info.name], ['acme', 'one'], 'a name is found somewhere');

  const plain = await openDevice(fakeGpu({ ...adapter, features: [] }, asked), { defaultLimits: true });
  t.deepEqual(asked[1].requiredLimits, {}, "WebGPU's default limits");
  t.equal(plain.caps.maxBufferSize, defaultCaps.maxBufferSize);
  t.equal(plain.caps.subgroupMaxSize, 0, 'no subgroups without the feature');
});

test('matrices of subgroups: on request alone, the largest that products take', async (t) => {
  const config = (M: number, N: number, K: number, resultComponentType = 'f32', componentType = 'f16') => ({
    ...{ M, N, K, componentType, resultComponentType },
  });
  const subgroupMatrixConfigs = [
    ...[config(8, 8, 8), config(16, 16, 16), config(16, 8, 16), config(16, 16, 64)],
    ...[config(32, 8, 16, 'f16'), config(32, 8, 16, 'i32', 'i8')],
  ];
  const adapter: Fake = {
    info: { subgroupMinSize: 32, subgroupMaxSize: 64, device: 'one', subgroupMatrixConfigs } as Fake['info'],
    features: ['subgroups', 'shader-f16', 'chromium-experimental-subgroup-matrix'],
  };
  const asked: GPUDeviceDescriptor[] = [];
  const open = (changes: Partial<Fake>) =>
    openDevice(fakeGpu({ ...adapter, ...changes }, asked), { subgroupMatrix: true });
  const { caps } = await openDevice(fakeGpu(adapter, asked));
  t.equal(caps.subgroupMatrix, undefined, 'not asked for');
  t.deepEqual(asked[0].requiredFeatures, ['subgroups', 'shader-f16']);
  const opened = await open({});
  t.deepEqual(opened.caps.subgroupMatrix, { m: 16, n: 16, k: 16 });
  t.ok(Object.isFrozen(opened.caps));
  t.deepEqual(asked[1].requiredFeatures, adapter.features);
  for (const changes of [
    { features: ['subgroups', 'chromium-experimental-subgroup-matrix'] },
    { info: { ...adapter.info, subgroupMatrixConfigs: [config(16, 16, 16, 'f16')] } as Fake['info'] },
    { info: { ...adapter.info, subgroupMaxSize: 128 } },
  ]) {
    const error = await open(changes).catch((reason: unknown) => reason);
    t.ok(error instanceof InputError);
    t.match(
      String(error),
      /^InputError: subgroupMatrix: the adapter "one" has no matrices of f16 that products/,
    );
  }
  t.equal(asked.length, 2, 'no other device was asked for');
});
