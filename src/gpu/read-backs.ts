/** The buffers that elements are read through: small ones, as the losses of a step take, are kept and used again. */
import { widenHalves } from '../io/half.ts';
import type { Reading } from './batch.ts';
import type { Block, Memory } from './memory.ts';
import type { Tensor } from './tensor.ts';
import { ARRAYS } from './values.ts';
import type { GPUBuffer } from './webgpu.ts';

/** Bytes of those that are kept. */
const KEPT_BYTES = 256;

export class ReadBacks {
  readonly #create: (bytes: number) => GPUBuffer;
  readonly #memory: Pick<Memory, 'hold'>;
  readonly #idle: GPUBuffer[] = [];

  /** @param create makes a buffer that is copied to and mapped; its failure is the caller's to report */
  constructor(create: (bytes: number) => GPUBuffer, memory: Pick<Memory, 'hold'>) {
    this.#create = create;
    this.#memory = memory;
  }

  /** A buffer of at least `bytes`, the caller's until `give` or `drop`. */
  take(bytes: number): GPUBuffer {
    const kept = bytes <= KEPT_BYTES ? this.#idle.pop() : undefined;
    if (kept) return kept;
    const buffer = this.#create(Math.max(bytes, KEPT_BYTES));
    this.#memory.hold(buffer.size);
    return buffer;
  }

  /** Hands back a buffer that is not mapped and that no command will write. */
  give(buffer: GPUBuffer): void {
    if (buffer.size === KEPT_BYTES) this.#idle.push(buffer);
    else this.drop(buffer);
  }

  /** Destroys a buffer that was taken. */
  drop(buffer: GPUBuffer): void {
    buffer.destroy();
    this.#memory.hold(-buffer.size);
  }

  destroy(): void {
    for (const buffer of this.#idle.splice(0)) this.drop(buffer);
  }
}

/** The copies of tensors, side by side, into one of these buffers. */
export class TensorRead implements Reading {
  readonly #tensors: readonly Tensor[];
  readonly #offsets: number[] = [];
  readonly blocks: readonly Block[];
  readonly bytes: number;
  /** The buffer; set before the copies are encoded. */
  staging: GPUBuffer | undefined;
  failed?: Error;

  constructor(tensors: readonly Tensor[]) {
    this.#tensors = tensors;
    this.blocks = tensors.map((tensor) => tensor.block);
    let bytes = 0;
    for (const tensor of tensors) {
      this.#offsets.push(bytes);
      bytes += tensor.bytes;
    }
    this.bytes = bytes;
  }

  copy(encoder: GPUCommandEncoder): void {
    const staging = this.staging as GPUBuffer;
    this.#tensors.forEach(({ offset, bytes }, i) => {
      if (bytes) encoder.copyBufferToBuffer(this.blocks[i].buffer, offset, staging, this.#offsets[i], bytes);
    });
  }

  /** The elements of each tensor, from what the buffer holds; f16 widened to f32. */
  values(mapped: ArrayBuffer): (Float32Array | Int32Array)[] {
    return this.#tensors.map(({ dtype, size }, i) => {
      const there = new ARRAYS[dtype](mapped, this.#offsets[i], size);
      return there instanceof Uint16Array ? widenHalves(there) : there.slice();
    });
  }
}
