/** Manifests of all kernels, forward and backward, run on this device by the runner of examples/, which knows only them. */
import test from 'tape';
import { exportKernel, kernels, type Kernel, type Manifest } from '../../kernels/index.ts';
import { referenceCases, type ReferenceCase } from '../../kernels/reference/cases.ts';
import { addVectors } from '../../kernels/reference/vectors.ts';
import { serializeSafetensors } from '../../src/node.ts';
import { sharedRuntime } from '../runtime.ts';

type Results = Record<string, { values: Float32Array | Int32Array; error?: number }>;
interface Runner {
  runManifest(
    device: GPUDevice,
    manifest: Manifest,
    read: (file: string) => Promise<ArrayBuffer>,
    given?: Record<string, Float32Array>,
  ): Promise<Results>;
}
// It is plain JavaScript.
const { runManifest } = (await import('../../examples/runner/manifest.mjs' as string)) as Runner;

const runtime = sharedRuntime({ poison: false });

/** The device, whose storage buffers begin with NaN: what they hold at first must not matter. */
const poisoned = new Proxy(runtime.device, {
  get(device, key) {
    if (key === 'createBuffer')
      return (descriptor: GPUBufferDescriptor): GPUBuffer => {
        const buffer = device.createBuffer(descriptor);
        if (descriptor.usage & 0x80)
          device.queue.writeBuffer(buffer, 0, new Float32Array(descriptor.size / 4).fill(NaN));
        return buffer;
      };
    const value: unknown = device[key as keyof GPUDevice];
    return typeof value === 'function' ? (value.bind(device) as unknown) : value;
  },
});

/** The folder that `kernel export` would write, in memory. */
function folderOf(kernel: Kernel, given: ReferenceCase) {
  const entries = Object.entries(given.inputs);
  const shapes = Object.fromEntries(entries.map(([name, { shape }]) => [name, shape]));
  const host = Object.fromEntries(
    entries.flatMap(([name, { data }]) => (data instanceof Int32Array ? [[name, data]] : [])),
  );
  const request = { shapes, host, params: given.params, caps: runtime.caps };
  const { manifest, shaders } = exportKernel(kernel, request, { grad: kernel.backward !== undefined });
  const vectors = serializeSafetensors(addVectors(manifest, kernel, given));
  const read = (file: string): Promise<ArrayBuffer> =>
    Promise.resolve(
      (file === 'vectors.safetensors' ? vectors : new TextEncoder().encode(shaders[file]))
        .buffer as ArrayBuffer,
    );
  return { manifest: JSON.parse(JSON.stringify(manifest)) as typeof manifest, read };
}

for (const kernel of Object.values(kernels))
  test(`${kernel.name}: a runner of its manifest agrees with float64`, async (t) => {
    const { manifest, read } = folderOf(kernel, referenceCases(kernel.name)[0]);
    const results = await runManifest(poisoned, manifest, read);
    const expected = manifest.parts.flatMap(({ name, outputs }) =>
      outputs.filter(({ saved }) => !saved).map((output) => `${name}.${output.name}`),
    );
    t.ok(expected.length > 0);
    for (const name of expected) {
      const { error } = results[name];
      t.ok(error !== undefined && error <= 1e-4, `${name}: ${error?.toExponential(1)}`);
    }
  });

test('a runner takes other inputs, and its comparison can fail', async (t) => {
  const { manifest, read } = folderOf(kernels.add, referenceCases('add')[0]);
  const a = new Float32Array(21).fill(2);
  const results = await runManifest(runtime.device, manifest, read, { 'forward.a': a, 'forward.b': a });
  t.deepEqual(
    [...results['forward.out'].values],
    Array.from({ length: 21 }, () => 4),
  );
  t.ok((results['forward.out'].error ?? 0) > 1);
  t.end();
});
