/**
 * Encodes recorded runs of plans: new uniforms and the host tables travel in a write each, bind groups are kept from batch
 * to batch, and all goes into one compute pass of one submit (more only past MAX_FLOPS_PER_SUBMIT or in a profile).
 */
import type { Caps } from '../../kernels/plan.ts';
import { BindGroups, type Bound } from './bind-groups.ts';
import { GpuValidationError } from './errors.ts';
import type { HostTables } from './host-tables.ts';
import type { Memory } from './memory.ts';
import type { Meter, Phase } from './meter.ts';
import type { Profiler } from './profiler.ts';
import type { ReadyPlan } from './ready-plan.ts';
import { Uniforms } from './uniforms.ts';

const TABLE_USAGE = 0x80 | 0x8; // STORAGE | COPY_DST
/** A submit is split when its plans add up to more: drivers reset a GPU that is busy for seconds. */
const MAX_FLOPS_PER_SUBMIT = 4e12;

/** A plan, what it runs on, and what its GPU time is charged to. */
export interface Run extends Bound {
  readonly plan: ReadyPlan;
  readonly phase: Phase;
}

export interface Batch {
  number: number;
  runs: readonly Run[];
  tables: HostTables;
  /** Encodes copies behind the runs. */
  copies?: (encoder: GPUCommandEncoder) => void;
}

export class BatchEncoder {
  readonly #device: GPUDevice;
  readonly #maxBufferSize: number;
  readonly #memory: Memory;
  readonly #meter: Meter;
  readonly #groups: BindGroups;
  readonly #uniforms: Uniforms;
  #tables: GPUBuffer | undefined;

  constructor(device: GPUDevice, caps: Caps, memory: Memory, meter: Meter) {
    this.#device = device;
    this.#maxBufferSize = caps.maxBufferSize;
    this.#memory = memory;
    this.#meter = meter;
    this.#groups = new BindGroups(device, meter);
    this.#uniforms = new Uniforms(device, caps, memory);
  }

  /** Encodes and submits a batch whose pipelines are compiled. A profiler gives every dispatch a pass of its own. */
  submit(batch: Batch, profiler?: Profiler): void {
    const { number, runs, tables, copies } = batch;
    this.#writeUniforms(batch);
    this.#writeTables(tables);
    let encoder = this.#device.createCommandEncoder({ label: `batch ${number}` });
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    let flops = 0;
    let position = 0;
    const endPass = (): void => {
      pass?.end();
      pass = undefined;
      current = undefined;
    };
    const submit = (): void => {
      this.#device.queue.submit([encoder.finish()]);
      this.#meter.submits++;
    };
    for (const run of runs)
      for (const ready of run.plan.dispatches) {
        const { dispatch, pipeline, offset } = ready;
        flops += dispatch.flops;
        if (flops > MAX_FLOPS_PER_SUBMIT && position > 0) {
          endPass();
          submit();
          encoder = this.#device.createCommandEncoder({ label: `batch ${number}, continued` });
          flops = dispatch.flops;
        }
        const { compiled } = pipeline;
        if (!compiled) throw new GpuValidationError(`${dispatch.label}: its pipeline is missing`);
        const { buffer } = this.#uniforms;
        const group = this.#groups.find(position++, ready, run, compiled.layout, buffer, this.#tables);
        if (profiler) endPass();
        pass ??= encoder.beginComputePass(
          profiler?.pass(encoder, this.#meter.entry(run.phase, dispatch.label)),
        );
        if (compiled.pipeline !== current) pass.setPipeline((current = compiled.pipeline));
        if (dispatch.uniforms.length > 0) pass.setBindGroup(0, group, offset);
        else pass.setBindGroup(0, group);
        const [x, y, z] = dispatch.workgroups;
        pass.dispatchWorkgroups(x, y, z);
      }
    endPass();
    profiler?.resolve(encoder);
    copies?.(encoder);
    submit();
    this.#memory.submitted = number;
  }

  destroy(): void {
    this.#uniforms.destroy();
    this.#tables?.destroy();
    this.#groups.clear();
  }

  #writeUniforms({ number, runs }: Batch): void {
    let count = 0;
    for (const { plan } of runs) count += plan.dispatches.length;
    if (count === 0) return;
    if (this.#uniforms.reserve(count)) this.#groups.clear();
    for (const { plan } of runs)
      for (const ready of plan.dispatches)
        if (ready.dispatch.uniforms.length > 0) this.#uniforms.place(ready, number);
    this.#uniforms.write();
  }

  /** Into the buffer, or into a new one of twice the bytes where it is too small. */
  #writeTables(tables: HostTables): void {
    const { bytes } = tables;
    if (bytes === 0) return;
    if (!this.#tables || this.#tables.size < bytes) {
      if (this.#tables) {
        this.#tables.destroy();
        this.#memory.hold(-this.#tables.size);
        this.#groups.clear(); // they hold the old one
      }
      const size = Math.max(bytes, Math.min(2 * bytes, this.#maxBufferSize));
      this.#tables = this.#device.createBuffer({ size, usage: TABLE_USAGE, label: 'host tables' });
      this.#memory.hold(size);
    }
    const { offset, data } = tables.join();
    this.#device.queue.writeBuffer(this.#tables, offset, data.buffer);
  }
}
