/**
 * Buffers: a pool bucketed by size and counters of live, pooled and peak bytes by label. Blocks are handed back
 * explicitly; no finaliser is relied on. A pool that would grow over twice what was ever in use destroys idle blocks.
 */
import { OutOfMemoryError } from './errors.ts';
import type { GPUBuffer } from './webgpu.ts';

/** What a buffer is for; the report groups bytes by it. */
export type Label = 'weights' | 'gradients' | 'optimizer' | 'activations' | 'scratch' | 'inputs';

export interface Block {
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Bytes of the buffer. */
  readonly size: number;
  /** Batch (submit) number of the last command recorded with it: before that submit, queue writes would overtake. */
  lastUse: number;
  /** A buffer that the caller owns: never pooled, never destroyed. */
  readonly external: boolean;
}

export interface MemoryReport {
  /** Bytes that tensors asked for and have not released, wrapped buffers' too, now and at most. */
  liveBytes: number;
  peakBytes: number;
  /** Bytes of the released blocks that wait for reuse. */
  pooledBytes: number;
  /**
   * Bytes of all buffers made here, now and at most: the blocks behind tensors (rounded up), pooled ones, and the
   * runtime's own (uniforms, host tables, read-backs; not those of `profile`). Wrapped buffers do not count.
   */
  heldBytes: number;
  peakHeldBytes: number;
  /** `liveBytes` and `peakBytes` by label; each label has its peak at its own time. */
  liveByLabel: Record<string, number>;
  peakByLabel: Record<string, number>;
}

/** Usage of every buffer that holds tensors: STORAGE | COPY_SRC | COPY_DST. */
export const bufferUsage = 0x80 | 0x4 | 0x8;
const MIN_BYTES = 16;

/** Bucket of a request: at most an eighth is wasted, and a different batch shape mostly finds a block. */
export function bucketSize(bytes: number): number {
  const wanted = Math.max(MIN_BYTES, Math.ceil(bytes / MIN_BYTES) * MIN_BYTES);
  if (wanted <= 256) return 2 ** Math.ceil(Math.log2(wanted));
  const step = 2 ** (Math.floor(Math.log2(wanted - 1)) - 2) / 2;
  return Math.ceil(wanted / step) * step;
}

export class Memory {
  readonly #create: (bytes: number, label: Label) => GPUBuffer;
  readonly #free = new Map<number, Block[]>();
  readonly #live = new Map<string, number>();
  readonly #peak = new Map<string, number>();
  /** Bytes by block: a released block may be taken again under another label. */
  readonly #charged = new Map<Block, { label: Label; bytes: number }>();
  readonly #blocks = new Set<Block>();
  #nextId = 1;
  #liveBytes = 0;
  #peakBytes = 0;
  #pooledBytes = 0;
  #heldBytes = 0;
  #peakHeldBytes = 0;
  /** Most bytes ever held and not pooled. */
  #peakUsedBytes = 0;
  /** The last batch that was submitted: what later ones use must neither be written to nor destroyed. */
  submitted = 0;
  readonly #maxBufferSize: number;

  /** @param create makes a buffer with `bufferUsage`; its failure is the caller's to report */
  constructor(create: (bytes: number, label: Label) => GPUBuffer, maxBufferSize: number) {
    this.#create = create;
    this.#maxBufferSize = maxBufferSize;
  }

  /** A block of at least `bytes`. `idle`: only one that no command uses that waits for its submit. */
  take(bytes: number, label: Label, idle = false): Block {
    if (bytes > this.#maxBufferSize)
      throw new OutOfMemoryError(
        `${label} buffer of ${bytes} bytes exceeds the device's maxBufferSize of ${this.#maxBufferSize}`,
      );
    const size = Math.min(bucketSize(bytes), this.#maxBufferSize);
    const block = this.#reuse(size, idle ? this.submitted : Infinity) ?? this.#grow(size, label);
    this.#charge(block, label, bytes);
    this.#peakUsedBytes = Math.max(this.#peakUsedBytes, this.#heldBytes - this.#pooledBytes);
    return block;
  }

  /** The smallest free block of at most twice the size: batches of ever new shapes must not each grow the pool. */
  #reuse(size: number, lastUse: number): Block | undefined {
    for (let fit = size; fit <= 2 * size; fit = bucketSize(fit + 1)) {
      const bucket = this.#free.get(fit);
      const at = bucket ? bucket.findLastIndex((block) => block.lastUse <= lastUse) : -1;
      if (!bucket || at < 0) continue;
      this.#pooledBytes -= fit;
      return bucket.splice(at, 1)[0];
    }
    return undefined;
  }

  /** Registers a buffer that the caller owns; its bytes count as live until `give`. */
  adopt(buffer: GPUBuffer, bytes: number, label: Label): Block {
    const block: Block = { id: this.#nextId++, buffer, size: buffer.size, lastUse: 0, external: true };
    this.#charge(block, label, bytes);
    return block;
  }

  /** Hands a block back. */
  give(block: Block): void {
    const charge = this.#charged.get(block);
    if (!charge) return;
    this.#charged.delete(block);
    this.#liveBytes -= charge.bytes;
    this.#live.set(charge.label, (this.#live.get(charge.label) ?? 0) - charge.bytes);
    if (block.external) return;
    this.#pooledBytes += block.size;
    const bucket = this.#free.get(block.size);
    if (bucket) bucket.push(block);
    else this.#free.set(block.size, [block]);
  }

  /** Counts a buffer of the runtime's own: its bytes when it is made, minus them when it is destroyed. */
  hold(bytes: number): void {
    this.#heldBytes += bytes;
    this.#peakHeldBytes = Math.max(this.#peakHeldBytes, this.#heldBytes);
  }

  /**
   * Destroys pooled blocks, the longest unused first, until at most `bytes` are held. Blocks that recorded commands
   * use stay.
   */
  trim(bytes = 0): void {
    const idle = [...this.#free.values()].flat().filter((block) => block.lastUse <= this.submitted);
    for (const block of idle.sort((a, b) => a.lastUse - b.lastUse)) {
      if (this.#heldBytes <= bytes) return;
      const bucket = this.#free.get(block.size) as Block[];
      bucket.splice(bucket.indexOf(block), 1);
      this.#blocks.delete(block);
      this.#pooledBytes -= block.size;
      this.#heldBytes -= block.size;
      block.buffer.destroy();
    }
  }

  destroy(): void {
    for (const block of this.#blocks) block.buffer.destroy();
    this.#blocks.clear();
    this.#free.clear();
    this.#charged.clear();
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      pooledBytes: this.#pooledBytes,
      heldBytes: this.#heldBytes,
      peakHeldBytes: this.#peakHeldBytes,
      liveByLabel: Object.fromEntries(this.#live),
      peakByLabel: Object.fromEntries(this.#peak),
    };
  }

  /** Starts a new peak measurement at what is live now. */
  resetPeak(): void {
    this.#peakBytes = this.#liveBytes;
    this.#peakHeldBytes = this.#heldBytes;
    this.#peak.clear();
    for (const [label, bytes] of this.#live) this.#peak.set(label, bytes);
  }

  #charge(block: Block, label: Label, bytes: number): void {
    this.#charged.set(block, { label, bytes });
    this.#liveBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    const live = (this.#live.get(label) ?? 0) + bytes;
    this.#live.set(label, live);
    this.#peak.set(label, Math.max(this.#peak.get(label) ?? 0, live));
  }

  #grow(size: number, label: Label): Block {
    const used = this.#heldBytes - this.#pooledBytes + size;
    this.trim(2 * Math.max(this.#peakUsedBytes, used) - size);
    const buffer = this.#create(size, label);
    const block: Block = { id: this.#nextId++, buffer, size, lastUse: 0, external: false };
    this.#blocks.add(block);
    this.hold(size);
    return block;
  }
}
