/**
 * Failures of single batches. What the device says of one (a buffer of others that is of another device or was destroyed, WGSL
 * that does not compile, a command that it refuses) comes later than the call returns. So a batch that uses what
 * cannot be trusted is held back, and using or reading what a failed batch was to write rejects with the reason; all else on
 * the runtime goes on.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Batch } from './batch.ts';
import { GpuValidationError } from './errors.ts';
import type { Block } from './memory.ts';
import type { Run } from './ready-plan.ts';
import type { GPUDevice } from './webgpu.ts';

export class Refusals {
  readonly #device: GPUDevice;
  /** Blocks whose contents cannot be trusted, each with the reason. */
  readonly #bad = new Map<Block, Error>();
  /** Blocks of others that the device refuses. */
  readonly #refusedBlocks = new Map<Block, Error>();
  readonly #probes = new Set<Promise<void>>();
  /** Batches that were submitted and may fail yet, in their order. */
  readonly #flying = new Set<Batch>();
  #untold: Error | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Asks the device about a buffer of somebody else's: a pass that binds it and computes nothing. */
  probe(block: Block): void {
    const { buffer } = block;
    const device = this.#device;
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
          this.#refusedBlocks.set(
            block,
            new InputError(`wrap: the device refuses the buffer: ${error.message}`),
          );
      })
      .catch(() => undefined) // of a lost device, which is reported as such
      .finally(() => this.#probes.delete(probe));
    this.#probes.add(probe);
  }

  /** Settles when the device has told of every buffer of others; undefined where it has. */
  get probed(): Promise<unknown> | undefined {
    return this.#probes.size > 0 ? Promise.all(this.#probes) : undefined;
  }

  /** Errors: the reason, where a batch uses what cannot be trusted: it must not be submitted. */
  check({ runs, reading }: Batch): void {
    let reason = this.#follow(runs, Infinity);
    for (const block of reading?.blocks ?? []) reason ??= this.of(block);
    if (reason) throw reason;
  }

  /** Told of each batch that is submitted. @returns what takes the reason, should the device refuse it */
  watch(batch: Batch): (why: string) => void {
    this.#flying.add(batch);
    return (why) => this.#refused(batch, why);
  }

  #refused(batch: Batch, why: string): void {
    const isExternal = (block: Block | undefined): boolean => block?.external === true;
    const external =
      batch.runs.some(({ blocks }) => blocks.some(isExternal)) || batch.reading?.blocks.some(isExternal);
    const reason = external
      ? new InputError(`${why} (a wrapped buffer that was destroyed?)`)
      : new GpuValidationError(why);
    this.#untold = reason;
    this.spoil(batch, reason);
    // Those behind it may have computed with what it did not write.
    for (const later of this.#flying) if (later.number > batch.number) this.#follow(later.runs, later.number);
  }

  /** A batch has failed, or is held back: nothing can be trusted that it was to write. */
  spoil({ number, runs, reading }: Batch, reason: Error): void {
    if (reading) reading.failed = reason;
    for (const run of runs) for (const block of written(run)) this.#mark(block, reason, number);
  }

  #mark(block: Block, reason: Error, batch: number): void {
    if (block.renewedIn <= batch) this.#bad.set(block, reason);
  }

  /**
   * What runs make of blocks that cannot be trusted: what they write with them cannot either, and what they write without
   * them can.
   * @returns the reason of the first that they use
   */
  #follow(runs: readonly Run[], batch: number): Error | undefined {
    let first: Error | undefined;
    if (this.#bad.size + this.#refusedBlocks.size === 0) return first;
    for (const run of runs) {
      let reason: Error | undefined;
      run.blocks.forEach((block, place) => {
        if (block) reason ??= place < run.plan.inputs ? this.of(block) : this.#refusedBlocks.get(block);
      });
      for (const block of written(run))
        if (reason) this.#mark(block, reason, batch);
        else this.#bad.delete(block);
      first ??= reason;
    }
    return first;
  }

  /** A batch has been checked by the device. */
  landed(batch: Batch): void {
    this.#flying.delete(batch);
  }

  /** Why the contents of a block cannot be trusted, if so. */
  of(block: Block): Error | undefined {
    return this.#refusedBlocks.get(block) ?? this.#bad.get(block);
  }

  /** The host writes to a block while `batch` is recorded, or it is another tensor's now. */
  renewed(block: Block, batch: number): void {
    block.renewedIn = batch;
    this.#bad.delete(block);
  }

  /** The failure of a batch that nobody has been told of. */
  take(): Error | undefined {
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
