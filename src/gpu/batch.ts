/**
 * Encodes recorded commands: their uniforms and host tables travel in one write each, bind groups are kept from batch
 * to batch, and all goes into one compute pass of one submit (more only past MAX_FLOPS_PER_SUBMIT or in a profile).
 */
import type { Caps, Dispatch } from '../../kernels/plan.ts';
import { GpuValidationError } from './errors.ts';
import type { HostTables, Place } from './host-tables.ts';
import type { Memory } from './memory.ts';
import type { Meter, Work } from './meter.ts';
import type { Pipeline, Pipelines } from './pipelines.ts';
import type { Profiler } from './profiler.ts';

/** Most bytes of one dispatch's uniforms. */
const UNIFORM_BYTES = 256;
const UNIFORM_USAGE = 0x40 | 0x8; // UNIFORM | COPY_DST
const TABLE_USAGE = 0x80 | 0x8; // STORAGE | COPY_DST
/** A submit is split when its plans add up to more: drivers reset a GPU that is busy for seconds. */
const MAX_FLOPS_PER_SUBMIT = 4e12;
const MAX_BIND_GROUPS = 8192;

/** A range of a tensor's block, or of the batch's table buffer, which is known when the batch is encoded. */
export interface BoundRange extends Place {
  block?: { readonly buffer: GPUBuffer; readonly id: number };
}

/** One dispatch with what it is bound to. */
export interface Command {
  dispatch: Dispatch;
  /** Of its pipeline. */
  key: string;
  bound: readonly BoundRange[];
  /** What its GPU time is charged to. */
  work: Work;
}

export interface Batch {
  number: number;
  commands: readonly Command[];
  tables: HostTables;
  /** Encodes copies behind the commands. */
  copies?: (encoder: GPUCommandEncoder) => void;
}

export class BatchEncoder {
  readonly #device: GPUDevice;
  readonly #maxBufferSize: number;
  /** Bytes from one dispatch's uniforms to the next's. */
  readonly #uniformSlot: number;
  readonly #pipelines: Pipelines;
  readonly #memory: Memory;
  readonly #meter: Meter;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #uniforms: GPUBuffer | undefined;
  #tables: GPUBuffer | undefined;

  constructor(device: GPUDevice, caps: Caps, pipelines: Pipelines, memory: Memory, meter: Meter) {
    this.#device = device;
    this.#maxBufferSize = caps.maxBufferSize;
    this.#uniformSlot = Math.max(UNIFORM_BYTES, caps.minUniformBufferOffsetAlignment);
    this.#pipelines = pipelines;
    this.#memory = memory;
    this.#meter = meter;
  }

  /** Encodes and submits a batch whose pipelines are compiled. A profiler gives every dispatch a pass of its own. */
  submit({ number, commands, tables, copies }: Batch, profiler?: Profiler): void {
    this.#writeUniforms(commands);
    this.#writeTables(tables);
    let encoder = this.#device.createCommandEncoder({ label: `batch ${number}` });
    let pass: GPUComputePassEncoder | undefined;
    let flops = 0;
    const endPass = (): void => {
      pass?.end();
      pass = undefined;
    };
    const submit = (): void => {
      this.#device.queue.submit([encoder.finish()]);
      this.#meter.submits++;
    };
    commands.forEach((command, i) => {
      const { dispatch } = command;
      flops += dispatch.flops;
      if (flops > MAX_FLOPS_PER_SUBMIT && i > 0) {
        endPass();
        submit();
        encoder = this.#device.createCommandEncoder({ label: `batch ${number}, continued` });
        flops = dispatch.flops;
      }
      const made = this.#pipelines.get(command.key);
      if (!made) throw new GpuValidationError(`pipeline ${command.key} is missing`);
      const group = this.#bindGroup(command, made);
      if (profiler) endPass();
      pass ??= encoder.beginComputePass(profiler?.pass(encoder, command.work));
      pass.setPipeline(made.pipeline);
      pass.setBindGroup(0, group, dispatch.uniforms.length ? [i * this.#uniformSlot] : []);
      pass.dispatchWorkgroups(...dispatch.workgroups);
    });
    endPass();
    profiler?.resolve(encoder);
    copies?.(encoder);
    submit();
    this.#memory.submitted = number;
  }

  destroy(): void {
    this.#uniforms?.destroy();
    this.#tables?.destroy();
    this.#bindGroups.clear();
  }

  #writeUniforms(commands: readonly Command[]): void {
    const slot = this.#uniformSlot;
    const view = new DataView(new ArrayBuffer(commands.length * slot));
    commands.forEach(({ dispatch }, i) => {
      if (dispatch.uniforms.length * 4 > UNIFORM_BYTES)
        throw new GpuValidationError(`${dispatch.label}: more than ${UNIFORM_BYTES} bytes of uniforms`);
      dispatch.uniforms.forEach((field, j) => {
        const at = i * slot + 4 * j;
        if (typeof field === 'number') view.setUint32(at, field, true);
        else view.setFloat32(at, field.f32, true);
      });
    });
    if (commands.length > 0)
      this.#uniforms = this.#write(this.#uniforms, view.buffer, UNIFORM_USAGE, 'uniforms');
  }

  #writeTables(tables: HostTables): void {
    if (tables.bytes > 0)
      this.#tables = this.#write(this.#tables, tables.join().buffer, TABLE_USAGE, 'host tables');
  }

  /** Writes to the buffer, or to a new one of twice the bytes where it is too small. */
  #write(old: GPUBuffer | undefined, data: ArrayBuffer, usage: number, label: string): GPUBuffer {
    const bytes = data.byteLength;
    let buffer = old;
    if (!buffer || buffer.size < bytes) {
      if (buffer) {
        buffer.destroy();
        this.#memory.hold(-buffer.size);
        this.#bindGroups.clear(); // they hold the old one
      }
      const size = Math.max(bytes, Math.min(2 * bytes, this.#maxBufferSize));
      buffer = this.#device.createBuffer({ size, usage, label });
      this.#memory.hold(size);
    }
    this.#device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  }

  #bindGroup({ dispatch, bound }: Command, { layout, layoutKey }: Pipeline): GPUBindGroup {
    const ranges = bound.map(({ block, offset, size }) => `${block?.id ?? 'tables'}:${offset}:${size}`);
    const key = `${layoutKey}|${ranges.join('|')}`;
    let group = this.#bindGroups.get(key);
    if (!group) {
      const entries: GPUBindGroupEntry[] = bound.map(({ block, offset, size }, binding) => ({
        binding,
        resource: { buffer: block?.buffer ?? (this.#tables as GPUBuffer), offset, size },
      }));
      if (dispatch.uniforms.length)
        entries.push({
          binding: entries.length,
          resource: { buffer: this.#uniforms as GPUBuffer, offset: 0, size: UNIFORM_BYTES },
        });
      group = this.#device.createBindGroup({ layout, entries, label: dispatch.label });
      this.#meter.bindGroups++;
      if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
      this.#bindGroups.set(key, group);
    }
    return group;
  }
}
