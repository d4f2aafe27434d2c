/**
 * Buffers: a pool bucketed by size and counters of live, pooled and peak bytes by label. Blocks are handed back
 * explicitly; no finaliser is relied on. A pool that would grow over twice what was ever in use destroys idle blocks.
 */
import type { Caps } from '../../kernels/plan.ts';
import { OutOfMemoryError } from './errors.ts';
import type { GPUBuffer } from './webgpu.ts';

/** What a buffer is for; the report groups bytes by it. */
export type Label = 'weights' | 'gradients' | 'optimizer' | 'activations' | 'scratch' | 'inputs';

/** Bytes of one label. */
interface Account {
  live: number;
  peak: number;
}

/** Memory shared by a tensor and its views, from a byte of a block on. */
export interface Storage {
  readonly block: Block;
  readonly offset: number;
  references: number;
  /** The last write over its contents, of those that the runtime counts (TensorRuntime.writes). */
  writtenAt: number;
  /** Called when the last of them is released. */
  free(): void;
}

/** A buffer; while it is taken, all of it is the storage of a tensor. */
export class Block implements Storage {
  /** Ascending in the order they were made. */
  readonly id: number;
  readonly buffer: GPUBuffer;
  /** Bytes of the buffer. */
  readonly size: number;
  /** A buffer that the caller owns: never pooled, never destroyed. */
  readonly external: boolean;
  /** Bytes that a binding of it has: all of it, as far as the device binds as much. */
  readonly boundSize: number;
  /** Batch (submit) number of the last command recorded with it: before that submit, queue writes would overtake. */
  lastUse = 0;
  /** The batch that was being recorded when the host last wrote it, or a tensor took it. */
  renewedIn = 0;
  /** While it is taken: the bytes asked for, and the label that they are charged to. */
  charged = 0;
  account: Account | undefined;
  readonly offset = 0;
  references = 0;
  writtenAt = 0;
  readonly #memory: Memory;

  constructor(memory: Memory, id: number, buffer: GPUBuffer, size: number, external: boolean, most: number) {
    this.#memory = memory;
    this.id = id;
    this.buffer = buffer;
    this.size = size;
    this.external = external;
    this.boundSize = Math.min(4 * Math.floor(size / 4), most);
  }

  get block(): Block {
    return this;
  }

  /** Back to the pool. */
  free(): void {
    this.#memory.give(this);
  }
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

/** Up to here numbers of bytes are reckoned with as 32-bit integers, which takes a tenth of the time. */
const MOST_INTEGER = 2 ** 30;

/** The smallest power of two that is at least `bytes`, from 1 on. */
export function powerFrom(bytes: number): number {
  return bytes <= MOST_INTEGER ? 1 << (32 - Math.clz32(bytes - 1)) : 2 ** Math.ceil(Math.log2(bytes));
}

/** Bucket of a request: at most an eighth is wasted, and a different batch shape mostly finds a block. */
export function bucketSize(bytes: number): number {
  if (bytes <= 256) return Math.max(MIN_BYTES, powerFrom(bytes));
  const step = powerFrom(bytes) / 16;
  return bytes <= MOST_INTEGER ? (bytes + step - 1) & -step : Math.ceil(bytes / step) * step;
}

export class Memory {
  readonly #create: (bytes: number, label: Label) => GPUBuffer;
  /** Idle blocks by size, each list by descending id: a backward gives back first what was taken last. */
  readonly #free = new Map<number, Block[]>();
  readonly #accounts = new Map<Label, Account>();
  readonly #blocks = new Set<Block>();
  /** Blocks that are held back, and those of them that were given back. */
  readonly #withheld = new Set<{ blocks: ReadonlySet<Block>; given: Block[] }>();
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
  readonly #maxBinding: number;
  #destroyed = false;

  /** @param create makes a buffer with `bufferUsage`; its failure is the caller's to report */
  constructor(
    create: (bytes: number, label: Label) => GPUBuffer,
    {
      maxBufferSize,
      maxStorageBufferBindingSize,
    }: Pick<Caps, 'maxBufferSize' | 'maxStorageBufferBindingSize'>,
  ) {
    this.#create = create;
    this.#maxBufferSize = maxBufferSize;
    this.#maxBinding = maxStorageBufferBindingSize;
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

  /**
   * The smallest free block of at most twice the size: batches of ever new shapes must not each grow the pool. Of several
   * the oldest, not the last released: a step that repeats is given the blocks that it was given before, in the same
   * places, and its bind groups hold.
   */
  #reuse(size: number, lastUse: number): Block | undefined {
    for (let fit = size; fit <= 2 * size; fit = bucketSize(fit + 1)) {
      const bucket = this.#free.get(fit);
      if (!bucket) continue;
      for (let at = bucket.length - 1; at >= 0; at--) {
        const block = bucket[at];
        if (block.lastUse > lastUse) continue;
        this.#pooledBytes -= fit;
        if (at < bucket.length - 1) bucket.copyWithin(at, at + 1);
        bucket.pop();
        return block;
      }
    }
    return undefined;
  }

  /** Registers a buffer that the caller owns; its bytes count as live until `give`. */
  adopt(buffer: GPUBuffer, bytes: number, label: Label): Block {
    const block = this.#block(buffer, buffer.size, true);
    this.#charge(block, label, bytes);
    return block;
  }

  /** Hands a block back. */
  give(block: Block): void {
    const { account, charged } = block;
    if (!account) return;
    block.account = undefined;
    this.#liveBytes -= charged;
    account.live -= charged;
    if (block.external || this.#destroyed) return;
    this.#pool(block);
  }

  /** To those that are free, unless it is held back. */
  #pool(block: Block): void {
    for (const { blocks, given } of this.#withheld) if (blocks.has(block)) return void given.push(block);
    this.#pooledBytes += block.size;
    const bucket = this.#free.get(block.size);
    if (!bucket) return void this.#free.set(block.size, [block]);
    let at = bucket.length;
    for (; at > 0 && bucket[at - 1].id < block.id; at--) bucket[at] = bucket[at - 1];
    bucket[at] = block;
  }

  /**
   * Holds blocks back: whichever of them is given back, or has been, is handed out again only after the call of what is
   * returned.
   */
  withhold(blocks: ReadonlySet<Block>): () => void {
    const given = [...this.#free.values()].flat().filter((block) => blocks.has(block));
    for (const block of given) this.#unpool(block);
    const one = { blocks, given };
    this.#withheld.add(one);
    return () => {
      if (this.#withheld.delete(one) && !this.#destroyed) for (const block of given) this.#pool(block);
    };
  }

  #unpool(block: Block): void {
    const bucket = this.#free.get(block.size) as Block[];
    bucket.splice(bucket.indexOf(block), 1);
    this.#pooledBytes -= block.size;
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
      this.#unpool(block);
      this.#blocks.delete(block);
      this.#heldBytes -= block.size;
      block.buffer.destroy();
    }
  }

  destroy(): void {
    for (const block of this.#blocks) block.buffer.destroy();
    this.#blocks.clear();
    this.#free.clear();
    this.#destroyed = true;
  }

  report(): MemoryReport {
    return {
      liveBytes: this.#liveBytes,
      peakBytes: this.#peakBytes,
      pooledBytes: this.#pooledBytes,
      heldBytes: this.#heldBytes,
      peakHeldBytes: this.#peakHeldBytes,
      liveByLabel: this.#byLabel('live'),
      peakByLabel: this.#byLabel('peak'),
    };
  }

  #byLabel(of: keyof Account): Record<string, number> {
    return Object.fromEntries([...this.#accounts].map(([label, account]) => [label, account[of]]));
  }

  /** Starts a new peak measurement at what is live now. */
  resetPeak(): void {
    this.#peakBytes = this.#liveBytes;
    this.#peakHeldBytes = this.#heldBytes;
    for (const account of this.#accounts.values()) account.peak = account.live;
  }

  #charge(block: Block, label: Label, bytes: number): void {
    let account = this.#accounts.get(label);
    if (!account) this.#accounts.set(label, (account = { live: 0, peak: 0 }));
    block.account = account;
    block.charged = bytes;
    this.#liveBytes += bytes;
    this.#peakBytes = Math.max(this.#peakBytes, this.#liveBytes);
    account.live += bytes;
    account.peak = Math.max(account.peak, account.live);
  }

  #block(buffer: GPUBuffer, size: number, external: boolean): Block {
    return new Block(this, this.#nextId++, buffer, size, external, this.#maxBinding);
  }

  #grow(size: number, label: Label): Block {
    const used = this.#heldBytes - this.#pooledBytes + size;
    this.trim(2 * Math.max(this.#peakUsedBytes, used) - size);
    const buffer = this.#create(size, label);
    const block = this.#block(buffer, size, false);
    this.#blocks.add(block);
    this.hold(size);
    return block;
  }
}
