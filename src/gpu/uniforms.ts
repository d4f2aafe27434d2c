/**
 * The uniforms of dispatches: a ring of slots in one buffer. They are written once, or when others have taken their place
 * (`revise`), and stay while the ring has room: a step that repeats writes none. Slots are handed out as batches are encoded, so
 * that the write of a slot comes after every submit that read what lay there.
 */
import type { Caps, Uniform } from '../../kernels/plan.ts';
import type { Memory } from './memory.ts';
import { UNIFORM_BYTES, type ReadyDispatch } from './ready-plan.ts';

const USAGE = 0x40 | 0x8; // UNIFORM | COPY_DST
/** Slots of the last two batches that are passed over in search of an older one: they may be needed again. */
const SPARED = 16;

/** Writes fields from a word of a buffer on, which is seen in two ways. */
export function putFields(
  fields: readonly Uniform[],
  word: number,
  integers: Uint32Array,
  floats: Float32Array,
): void {
  for (const field of fields) {
    if (typeof field === 'number') integers[word++] = field;
    else floats[word++] = field.f32;
  }
}

export class Uniforms {
  readonly #device: GPUDevice;
  readonly #memory: Memory;
  readonly #maxBufferSize: number;
  /** Bytes from one slot to the next. */
  readonly #slot: number;
  #buffer: GPUBuffer | undefined;
  /** What the buffer holds, or will once `write` has run. */
  #integers = new Uint32Array(0);
  #floats = new Float32Array(0);
  /** By slot: the `offset` of the dispatch whose it is, and the last batch that used it. */
  #owners: ([number] | undefined)[] = [];
  #lastUse: number[] = [];
  #next = 0;
  /** Slots that are not written yet: ranges, each end exclusive. */
  #unwritten: { from: number; to: number }[] = [];

  constructor(device: GPUDevice, caps: Caps, memory: Memory) {
    this.#device = device;
    this.#memory = memory;
    this.#maxBufferSize = caps.maxBufferSize;
    this.#slot = Math.max(UNIFORM_BYTES, caps.minUniformBufferOffsetAlignment);
  }

  /** Undefined before the first batch with uniforms. */
  get buffer(): GPUBuffer | undefined {
    return this.#buffer;
  }

  /**
   * Makes room for a batch of `count` dispatches.
   * @returns whether the buffer is another one than before: bind groups hold the old one
   */
  reserve(count: number): boolean {
    const bytes = count * this.#slot;
    if (this.#buffer && this.#buffer.size >= bytes) return false;
    const replaced = this.#buffer !== undefined;
    this.destroy();
    // Twice the room, so that what the last batch used can stay beside what this one adds.
    const size = Math.max(bytes, Math.min(2 * bytes, this.#maxBufferSize));
    this.#buffer = this.#device.createBuffer({ size, usage: USAGE, label: 'uniforms' });
    this.#memory.hold(size);
    const values = new ArrayBuffer(size);
    this.#integers = new Uint32Array(values);
    this.#floats = new Float32Array(values);
    for (const owner of this.#owners) if (owner) owner[0] = -1;
    const slots = Math.floor(size / this.#slot);
    this.#owners = new Array<undefined>(slots).fill(undefined);
    this.#lastUse = new Array<number>(slots).fill(-1);
    this.#next = 0;
    this.#unwritten = [];
    return replaced;
  }

  /** Gives a dispatch of batch `batch` a slot, unless it has one. `reserve` has made room for the whole batch. */
  place(ready: ReadyDispatch, batch: number): void {
    const { offset } = ready;
    if (offset[0] < 0) this.#take(ready, batch);
    else if (ready.revised) this.#fill(offset[0] / this.#slot, ready.dispatch.uniforms);
    ready.revised = false;
    this.#lastUse[offset[0] / this.#slot] = batch;
  }

  #take(ready: ReadyDispatch, batch: number): void {
    const lastUse = this.#lastUse;
    let spared = 0;
    while (lastUse[this.#next] >= batch - 1 && (lastUse[this.#next] === batch || spared++ < SPARED))
      this.#next = (this.#next + 1) % lastUse.length;
    const at = this.#next;
    this.#next = (at + 1) % lastUse.length;
    const owner = this.#owners[at];
    if (owner) owner[0] = -1;
    this.#owners[at] = ready.offset;
    ready.offset[0] = at * this.#slot;
    this.#fill(at, ready.dispatch.uniforms);
  }

  #fill(at: number, fields: readonly Uniform[]): void {
    putFields(fields, (at * this.#slot) / 4, this.#integers, this.#floats);
    const last = this.#unwritten[this.#unwritten.length - 1];
    // What lies between is as it was. A batch may go round the ring more than once.
    if (last && at >= last.from) last.to = Math.max(last.to, at + 1);
    else this.#unwritten.push({ from: at, to: at + 1 });
  }

  /** Writes what was filled since the last time. */
  write(): void {
    for (const { from, to } of this.#unwritten)
      this.#device.queue.writeBuffer(
        this.#buffer as GPUBuffer,
        from * this.#slot,
        this.#integers.buffer,
        from * this.#slot,
        (to - from) * this.#slot,
      );
    this.#unwritten = [];
  }

  destroy(): void {
    if (!this.#buffer) return;
    this.#buffer.destroy();
    this.#memory.hold(-this.#buffer.size);
    this.#buffer = undefined;
  }
}
