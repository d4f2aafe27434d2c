/**
 * Encodes recorded runs of plans: new uniforms and the host tables travel in a write each, bind groups are kept from batch
 * to batch, and all goes into one compute pass of one submit (more only past MAX_FLOPS_PER_SUBMIT or in a profile).
 */
import type { Caps } from '../../kernels/plan.ts';
import { BindGroups } from './bind-groups.ts';
import type { HostTables } from './host-tables.ts';
import type { Block, Memory } from './memory.ts';
import type { Meter } from './meter.ts';
import type { Profiler } from './profiler.ts';
import type { Run } from './recording.ts';
import { TableBuffer } from './table-buffer.ts';
import { Uniforms } from './uniforms.ts';

/** A submit is split when its plans add up to more: drivers reset a GPU that is busy for seconds. */
const MAX_FLOPS_PER_SUBMIT = 4e12;

export interface Batch {
  number: number;
  runs: readonly Run[];
  tables: HostTables;
  /** Encodes copies behind the runs. */
  copies?: (encoder: GPUCommandEncoder) => void;
  /** What they read. */
  read?: readonly Block[];
}

export class BatchEncoder {
  readonly #device: GPUDevice;
  readonly #memory: Memory;
  readonly #meter: Meter;
  readonly #groups: BindGroups;
  readonly #uniforms: Uniforms;
  readonly #tables: TableBuffer;

  constructor(device: GPUDevice, caps: Caps, memory: Memory, meter: Meter) {
    this.#device = device;
    this.#memory = memory;
    this.#meter = meter;
    this.#groups = new BindGroups(device, meter);
    this.#uniforms = new Uniforms(device, caps, memory);
    this.#tables = new TableBuffer(device, caps, memory);
  }

  /** Encodes and submits a batch whose pipelines are compiled. A profiler gives every dispatch a pass of its own. */
  submit(batch: Batch, profiler?: Profiler): void {
    const { number, runs, tables, copies } = batch;
    this.#writeUniforms(batch);
    if (this.#tables.write(tables)) this.#groups.clear();
    let encoder = this.#device.createCommandEncoder({ label: `batch ${number}` });
    let pass: GPUComputePassEncoder | undefined;
    let current: GPUComputePipeline | undefined;
    let flops = 0;
    let encoded = 0;
    const endPass = (): void => {
      pass?.end();
      pass = undefined;
      current = undefined;
    };
    const submit = (): void => {
      this.#device.queue.submit([encoder.finish()]);
      this.#meter.submits++;
    };
    for (const run of runs) {
      const { dispatches } = run.plan;
      const groups = this.#groups.of(run, this.#uniforms.buffer, this.#tables.buffer);
      for (let i = 0; i < dispatches.length; i++) {
        const { dispatch, pipeline, offset } = dispatches[i];
        flops += dispatch.flops;
        if (flops > MAX_FLOPS_PER_SUBMIT && encoded > 0) {
          endPass();
          submit();
          encoder = this.#device.createCommandEncoder({ label: `batch ${number}, continued` });
          flops = dispatch.flops;
        }
        encoded++;
        if (profiler) endPass();
        pass ??= encoder.beginComputePass(
          profiler?.pass(encoder, this.#meter.entry(run.phase, dispatch.label)),
        );
        const compiled = pipeline.compiled?.pipeline as GPUComputePipeline;
        if (compiled !== current) pass.setPipeline((current = compiled));
        if (dispatch.uniforms.length > 0) pass.setBindGroup(0, groups[i], offset);
        else pass.setBindGroup(0, groups[i]);
        const { workgroups } = dispatch;
        pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2]);
      }
    }
    endPass();
    profiler?.resolve(encoder);
    copies?.(encoder);
    submit();
    this.#memory.submitted = number;
  }

  destroy(): void {
    this.#uniforms.destroy();
    this.#tables.destroy();
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
}
