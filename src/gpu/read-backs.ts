/** The buffers that elements are read through: small ones, as the losses of a step take, are kept and used again. */
import type { Memory } from './memory.ts';
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
