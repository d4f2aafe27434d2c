/** GPU time per dispatch by timestamp queries: one pass a dispatch, so only while profiling. */
import type { Work } from './meter.ts';

const CAPACITY = 4096;
const QUERY_USAGE = 0x200 | 0x4; // QUERY_RESOLVE | COPY_SRC
const READ_USAGE = 0x1 | 0x8; // MAP_READ | COPY_DST

export class Profiler {
  readonly #device: GPUDevice;
  #set: GPUQuerySet;
  #targets: Work[] = [];
  readonly #reads: { buffer: GPUBuffer; targets: Work[] }[] = [];
  readonly #made: { destroy(): void }[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
    this.#set = this.#querySet();
  }

  #querySet(): GPUQuerySet {
    const set = this.#device.createQuerySet({ type: 'timestamp', count: CAPACITY, label: 'profiler' });
    this.#made.push(set);
    return set;
  }

  /** The descriptor of the next pass of `encoder`, whose time is charged to `work`. */
  pass(encoder: GPUCommandEncoder, work: Work): GPUComputePassDescriptor {
    if (2 * this.#targets.length === CAPACITY) this.resolve(encoder);
    const at = 2 * this.#targets.length;
    this.#targets.push(work);
    return {
      timestampWrites: { querySet: this.#set, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
    };
  }

  /** Resolves the queries so far into a buffer that `collect` reads. Call at the end of a submit, between passes. */
  resolve(encoder: GPUCommandEncoder): void {
    const count = 2 * this.#targets.length;
    if (count === 0) return;
    const resolved = this.#device.createBuffer({ size: 8 * CAPACITY, usage: QUERY_USAGE, label: 'profiler' });
    const buffer = this.#device.createBuffer({
      size: 8 * count,
      usage: READ_USAGE,
      label: 'profiler readback',
    });
    encoder.resolveQuerySet(this.#set, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, buffer, 0, 8 * count);
    this.#reads.push({ buffer, targets: this.#targets });
    this.#made.push(resolved, buffer);
    this.#targets = [];
    this.#set = this.#querySet();
  }

  /** Adds the times to the work records. A pair that runs backwards (the clock was reset) counts as 0. */
  async collect(): Promise<void> {
    for (const { buffer, targets } of this.#reads.splice(0)) {
      await buffer.mapAsync(0x1);
      const stamps = new BigUint64Array(buffer.getMappedRange());
      targets.forEach((work, i) => {
        const span = Number(stamps[2 * i + 1] - stamps[2 * i]);
        if (span > 0 && span < 1e12) work.gpuNanoseconds += span;
      });
      buffer.unmap();
    }
  }

  destroy(): void {
    for (const made of this.#made) made.destroy();
  }
}
