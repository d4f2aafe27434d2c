/**
 * Dawn's null backend: a device that accepts every command and computes nothing, so that what a step takes on it is the
 * host's. Nothing but `bench host` opens it; the product refuses it (src/gpu/device.ts).
 */
import { create, globals } from 'webgpu';
import { describeAdapter, capsOf, type OpenedDevice } from '../src/gpu/device.ts';
import { bufferUsage } from '../src/gpu/memory.ts';
import { Runtime } from '../src/gpu/runtime.ts';

/** What `openDevice` asks of an adapter, as far as plans depend on it. */
const FEATURES = ['timestamp-query', 'subgroups', 'shader-f16'] as const;

/** Bytes that a tensor's buffer has at most: Dawn gives the null backend 512 MiB in all, a base model wants more. */
const MOST_BYTES = 65_536;
/** Parts of a buffer begin at multiples of this. */
const ALIGNED = 256;

/** Makes the buffers of large tensors small, as nothing is computed in them, and what is bound and written fit them. */
function shrinkBuffers(device: GPUDevice): void {
  const { queue } = device;
  const shrunk = new WeakSet<GPUBuffer>();
  const createBuffer = device.createBuffer.bind(device);
  const createBindGroup = device.createBindGroup.bind(device);
  const writeBuffer = queue.writeBuffer.bind(queue);
  device.createBuffer = (asked) => {
    if (asked.usage !== bufferUsage || asked.size <= MOST_BYTES) return createBuffer(asked);
    const buffer = createBuffer({ ...asked, size: MOST_BYTES });
    shrunk.add(buffer);
    return buffer;
  };
  device.createBindGroup = ({ entries, ...asked }) => {
    /** Where parts lie by now: those of one buffer that a dispatch writes must stay apart. */
    const taken = new Set<number>();
    for (const { resource } of entries) {
      if (!('buffer' in resource) || !shrunk.has(resource.buffer)) continue;
      let at = (resource.offset ?? 0) % MOST_BYTES;
      while (taken.has(at)) at = (at + ALIGNED) % MOST_BYTES;
      taken.add(at);
      resource.offset = at;
      resource.size = Math.min(resource.size ?? ALIGNED, ALIGNED);
    }
    return createBindGroup({ ...asked, entries });
  };
  // What is written is an ArrayBuffer, whose offsets are bytes; the floor's own values are an array, and small.
  queue.writeBuffer = (buffer, at, data, from = 0, size?: number) => {
    if (ArrayBuffer.isView(data)) writeBuffer(buffer, at, data);
    else writeBuffer(buffer, at, data, from, Math.min(size ?? data.byteLength - from, buffer.size));
  };
}

/**
 * A runtime on the null backend, with WebGPU's default limits: plans are those of a GPU. `close` it.
 * Errors: Dawn has no null backend.
 */
export async function openNullRuntime(): Promise<Runtime> {
  Object.assign(globalThis, globals);
  const gpu = create(['backend=null']);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('bench host: Dawn has no null backend here');
  const device = await adapter.requestDevice({ requiredFeatures: [...FEATURES], label: 'bench host' });
  shrinkBuffers(device);
  const opened: OpenedDevice = {
    device,
    caps: capsOf(device, adapter.info),
    info: describeAdapter(adapter.info, device.features),
    owned: true,
    gpu,
  };
  return new Runtime(opened);
}
