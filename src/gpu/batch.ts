/**
 * Encodes recorded runs of plans: new uniforms and the host tables travel in a write each, bind groups are kept from batch
 * to batch, and all goes into one compute pass of one submit (more only past MAX_FLOPS_PER_SUBMIT or in a profile).
 */
import type { Caps } from '../../kernels/plan.ts';
import { BindGroups } from './bind-groups.ts';
import { Commands } from './commands.ts';
import type { HostTables } from './host-tables.ts';
import type { Block, Memory } from './memory.ts';
import type { Meter } from './meter.ts';
import type { Profiler } from './profiler.ts';
import type { Run } from './ready-plan.ts';
import { TableBuffer } from './table-buffer.ts';
import { Uniforms } from './uniforms.ts';

/** A submit is split when its plans add up to more: drivers reset a GPU that is busy for seconds. */
const MAX_FLOPS_PER_SUBMIT = 4e12;

export interface Batch {
  number: number;
  runs: readonly Run[];
  tables: HostTables;
  reading?: Reading;
}

/** Copies behind the runs of a batch, in the same submit. */
export interface Reading {
  copy(encoder: GPUCommandEncoder): void;
  /** What they read. */
  readonly blocks: readonly Block[];
  /** Why they have not been made. */
  failed?: Error;
}

export class BatchEncoder {
  readonly #device: GPUDevice;
  readonly #memory: Memory;
  readonly #meter: Meter;
  readonly #groups: BindGroups;
  readonly #uniforms: Uniforms;
  readonly #tables: TableBuffer;
  readonly #commands = new Commands();

  constructor(device: GPUDevice, caps: Caps, memory: Memory, meter: Meter) {
    this.#device = device;
    this.#memory = memory;
    this.#meter = meter;
    this.#uniforms = new Uniforms(device, caps, memory);
    this.#groups = new BindGroups(device, this.#uniforms, meter);
    this.#tables = new TableBuffer(device, caps, memory);
  }

  /** Encodes and submits a batch whose pipelines are compiled. A profiler gives every dispatch a pass of its own. */
  submit(batch: Batch, profiler?: Profiler): void {
    const { number, runs, tables, reading } = batch;
    const commands = this.#commands;
    commands.take(runs);
    if (this.#tables.write(tables)) this.#groups.clear();
    commands.bind(this.#groups, number, this.#tables.buffer);
    this.#writeUniforms();
    const { count, dispatches, phases, pipelines, groups } = commands;
    const [x, y, z] = commands.workgroups;
    let encoder = this.#device.createCommandEncoder({ label: `batch ${number}` });
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    let flops = 0;
    const endPass = (): void => {
      pass?.end();
      pass = undefined;
      current = undefined;
    };
    const submit = (): void => {
      this.#device.queue.submit([encoder.finish()]);
      this.#meter.submits++;
    };
    for (let i = 0; i < count; i++) {
      flops += commands.flops[i];
      if (flops > MAX_FLOPS_PER_SUBMIT && i > 0) {
        endPass();
        submit();
        encoder = this.#device.createCommandEncoder({ label: `batch ${number}, continued` });
        flops = commands.flops[i];
      }
      if (profiler) endPass();
      pass ??= encoder.beginComputePass(
        profiler?.pass(encoder, this.#meter.entry(phases[i], dispatches[i].dispatch.label)),
      );
      if (pipelines[i] !== current) pass.setPipeline((current = pipelines[i]));
      pass.setBindGroup(0, groups[i].group);
      // Two arguments less that cross into Dawn: a thirtieth of what a dispatch costs.
      if (y[i] === 1 && z[i] === 1) pass.dispatchWorkgroups(x[i]);
      else pass.dispatchWorkgroups(x[i], y[i], z[i]);
    }
    endPass();
    profiler?.resolve(encoder);
    reading?.copy(encoder);
    submit();
    this.#memory.submitted = number;
  }

  destroy(): void {
    this.#uniforms.destroy();
    this.#tables.destroy();
    this.#groups.clear();
  }

  #writeUniforms(): void {
    const { count, dispatches, groups } = this.#commands;
    for (let i = 0; i < count; i++) {
      const { slot } = groups[i];
      if (slot) this.#uniforms.place(slot, dispatches[i].dispatch);
    }
    this.#uniforms.write();
  }
}
