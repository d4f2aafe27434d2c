/**
 * Buffers of others that the device refuses: of another device, or destroyed. WebGPU tells it later than the call returns.
 * So a batch that binds such a buffer is held back (where it was destroyed since: has failed), and using or reading what
 * the batch was to write rejects with the reason; all else on the runtime goes on. Costs nothing until something is wrapped.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Batch } from './batch.ts';
import type { Block } from './memory.ts';
import type { Run } from './ready-plan.ts';
import type { GPUDevice } from './webgpu.ts';

export class Refusals {
  readonly #device: GPUDevice;
  /** Blocks whose contents cannot be trusted, each with the reason. */
  readonly #bad = new Map<Block, InputError>();
  readonly #probes = new Set<Promise<void>>();
  #wrapped = false;
  /** Batches that were submitted and may fail yet. */
  readonly #flying = new Set<Batch>();
  #untold: InputError | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Asks the device about a buffer of somebody else's: a pass that binds it and computes nothing. */
  probe(block: Block): void {
    const { buffer } = block;
    const device = this.#device;
    this.#wrapped = true;
    device.pushErrorScope('validation');
    const layout = device.createBindGroupLayout({
      entries: [{ binding: 0, visibility: 0x4, buffer: { type: 'read-only-storage' } }],
    });
    const encoder = device.createCommandEncoder({ label: 'wrap' });
    const pass = encoder.beginComputePass();
    pass.setBindGroup(0, device.createBindGroup({ layout, entries: [{ binding: 0, resource: { buffer } }] }));
    pass.end();
    device.queue.submit([encoder.finish()]);
    const probe: Promise<void> = device
      .popErrorScope()
      .then((error) => {
        if (error)
          this.#bad.set(block, new InputError(`wrap: the device refuses the buffer: ${error.message}`));
      })
      .catch(() => undefined) // of a lost device, which is reported as such
      .finally(() => this.#probes.delete(probe));
    this.#probes.add(probe);
  }

  /** Whether anything was wrapped: before that, no batch need be checked or watched. */
  get active(): boolean {
    return this.#wrapped;
  }

  /** Errors: a batch that uses what cannot be trusted, which must not be submitted; what it was to write cannot be either. */
  async check({ runs, read }: Batch): Promise<void> {
    await Promise.all(this.#probes);
    if (this.#bad.size === 0) return;
    for (const run of runs) {
      for (const block of run.blocks.slice(0, run.plan.inputs)) this.#throw(block, runs);
      for (const block of written(run)) this.#bad.delete(block);
    }
    for (const block of read ?? []) this.#throw(block, runs);
  }

  #throw(block: Block | undefined, runs: readonly Run[]): void {
    const reason = block && this.#bad.get(block);
    if (!reason) return;
    this.#spoil(runs, reason);
    throw reason;
  }

  #spoil(runs: readonly Run[], reason: InputError): void {
    for (const run of runs) for (const block of written(run)) this.#bad.set(block, reason);
  }

  /**
   * Told of each batch that is submitted.
   * @returns undefined where it binds no buffer of others; else what takes the reason, should it fail
   */
  watch(batch: Batch): ((why: string) => void) | undefined {
    if (!this.#wrapped) return undefined;
    this.#flying.add(batch);
    const external = ({ blocks }: Run): boolean => blocks.some((block) => block?.external);
    if (!batch.runs.some(external) && !batch.read?.some((block) => block.external)) return undefined;
    return (why) => {
      const reason = new InputError(`${why} (a wrapped buffer that was destroyed?)`);
      this.#untold = reason;
      // Those behind it may have computed with what it did not write.
      for (const { number, runs, read } of this.#flying) {
        if (number < batch.number) continue;
        this.#spoil(runs, reason);
        for (const block of read ?? []) if (block.external) this.#bad.set(block, reason);
      }
    };
  }

  /** A batch that `watch` was told of has been checked by the device. */
  landed(batch: Batch): void {
    this.#flying.delete(batch);
  }

  /** Why the contents of a block cannot be trusted, if so. */
  of(block: Block): InputError | undefined {
    return this.#bad.get(block);
  }

  /** The host writes to a block, or it is another tensor's now. */
  renewed(block: Block): void {
    if (this.#bad.size > 0 && !block.external) this.#bad.delete(block);
  }

  /** The failure of a batch, once. */
  take(): InputError | undefined {
    const reason = this.#untold;
    this.#untold = undefined;
    return reason;
  }
}

/** The blocks that a run writes: its outputs, and the inputs that some of them lie over. */
function* written({ plan, blocks }: Run): Generator<Block> {
  for (let i = 0; i < plan.outputs.length; i++) {
    const block = blocks[plan.inPlace[i] >= 0 ? plan.inPlace[i] : plan.inputs + i];
    if (block) yield block;
  }
}
