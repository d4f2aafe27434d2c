/**
 * Runs appended to command encoders of the caller's. When these are submitted is the caller's affair, and other batches may be
 * submitted before: so uniforms and host tables lie in buffers of their own, and blocks that the runs use are held
 * (Memory.withhold) until the caller tells that it has submitted.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Caps, Dispatch } from '../../kernels/plan.ts';
import type { Batch } from './batch.ts';
import { BindGroups } from './bind-groups.ts';
import type { Memory } from './memory.ts';
import type { Meter } from './meter.ts';
import type { Kept, Slot } from './ready-plan.ts';
import { putFields, slotBytes } from './uniforms.ts';

const [UNIFORM, STORAGE] = [0x40, 0x80];

export class Encodings {
  readonly #device: GPUDevice;
  readonly #slot: number;
  readonly #memory: Memory;
  readonly #meter: Meter;
  /** Buffers of encodings that have not been submitted, as far as is known. */
  readonly #open = new Set<GPUBuffer[]>();

  constructor(device: GPUDevice, caps: Caps, memory: Memory, meter: Meter) {
    this.#device = device;
    this.#slot = slotBytes(caps);
    this.#memory = memory;
    this.#meter = meter;
  }

  /**
   * Appends a compute pass with a batch's runs, whose pipelines are compiled.
   * @returns what destroys the buffers behind them
   * @throws InputError where the device refuses the encoder
   */
  async append(encoder: GPUCommandEncoder, batch: Batch): Promise<() => void> {
    const buffers: GPUBuffer[] = [];
    this.#open.add(buffers);
    this.#device.pushErrorScope('validation');
    let failed: unknown;
    try {
      this.#encode(encoder, batch, buffers);
    } catch (error) {
      failed = error;
    }
    const error = await this.#device.popErrorScope();
    if (error) failed ??= new InputError(`encode: the device refuses it: ${error.message}`);
    if (!failed) return () => this.#drop(buffers);
    this.#drop(buffers);
    throw failed;
  }

  #encode(encoder: GPUCommandEncoder, { runs, tables }: Batch, buffers: GPUBuffer[]): void {
    const count = runs.reduce((n, { plan }) => n + plan.dispatches.length, 0);
    const tableBuffer = this.#filled(buffers, tables.bytes, STORAGE, (_, integers) => {
      for (const [table, { offset }] of tables.placed) integers.set(table, offset / 4);
    });
    let groups: (readonly Kept[])[] = [];
    this.#filled(buffers, count * this.#slot, UNIFORM, (buffer, integers, floats) => {
      let taken = 0;
      const take = ({ uniforms }: Dispatch): Slot => {
        const offset = this.#slot * taken++;
        putFields(uniforms, offset, integers, floats);
        return { buffer, offset };
      };
      const own = new BindGroups(
        this.#device,
        { take, give: () => undefined, clear: () => undefined },
        this.#meter,
      );
      // Those that a run remembers are of the runtime's own buffers.
      groups = runs.map((run) => own.of({ ...run, groups: [], state: -1 }, tableBuffer));
    });
    const pass = encoder.beginComputePass();
    runs.forEach(({ plan }, i) =>
      plan.dispatches.forEach(({ dispatch, pipeline }, j) => {
        pass.setPipeline(pipeline.compiled?.pipeline as GPUComputePipeline);
        pass.setBindGroup(0, groups[i][j].group);
        pass.dispatchWorkgroups(...dispatch.workgroups);
      }),
    );
    pass.end();
  }

  /** A buffer that holds values from the start, so that no write of the queue has to come before the caller's submit. */
  #filled(
    among: GPUBuffer[],
    size: number,
    usage: number,
    fill: (buffer: GPUBuffer, integers: Uint32Array, floats: Float32Array) => void,
  ): GPUBuffer | undefined {
    if (size === 0) return undefined;
    const buffer = this.#device.createBuffer({ size, usage, mappedAtCreation: true, label: 'encode' });
    among.push(buffer);
    this.#memory.hold(size);
    const values = buffer.getMappedRange();
    fill(buffer, new Uint32Array(values), new Float32Array(values));
    buffer.unmap();
    return buffer;
  }

  #drop(buffers: GPUBuffer[]): void {
    this.#open.delete(buffers);
    for (const buffer of buffers.splice(0)) {
      buffer.destroy();
      this.#memory.hold(-buffer.size);
    }
  }

  destroy(): void {
    for (const buffers of this.#open) this.#drop(buffers);
  }
}
