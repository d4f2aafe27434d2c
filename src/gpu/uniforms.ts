/**
 * The uniforms of dispatches, in slots of a few buffers. A slot belongs to a bind group, which names it: so a step that repeats
 * finds its bind groups, and its uniforms where it left them; one that differs writes over what differs.
 */
import type { Caps, Dispatch, Uniform } from '../../kernels/plan.ts';
import type { Memory } from './memory.ts';
import { UNIFORM_BYTES, type Slot } from './ready-plan.ts';

const USAGE = 0x40 | 0x8; // UNIFORM | COPY_DST
/** Slots of a buffer. */
const PAGE = 256;

/** A slot of `Uniforms`. */
interface OwnSlot extends Slot {
  readonly page: Page;
  /** What it holds, or will once `write` has run. */
  fields: readonly Uniform[] | undefined;
}

/** A buffer of slots, and what it holds, or will once `write` has run. */
interface Page {
  readonly buffer: GPUBuffer;
  readonly integers: Uint32Array;
  readonly floats: Float32Array;
  /** Bytes that are not written yet; what lies between is as it was. */
  from: number;
  to: number;
}

/** Bytes from one slot to the next. */
export const slotBytes = ({ minUniformBufferOffsetAlignment }: Caps): number =>
  Math.max(UNIFORM_BYTES, minUniformBufferOffsetAlignment);

/** Writes fields from a byte of a buffer on, which is seen in two ways. */
export function putFields(
  fields: readonly Uniform[],
  offset: number,
  integers: Uint32Array,
  floats: Float32Array,
): void {
  let word = offset / 4;
  for (const field of fields) {
    if (typeof field === 'number') integers[word++] = field;
    else floats[word++] = field.f32;
  }
}

export class Uniforms {
  readonly #device: GPUDevice;
  readonly #memory: Memory;
  readonly #bytes: number;
  readonly #pages: Page[] = [];
  readonly #slots: Slot[] = [];
  #free: Slot[] = [];

  constructor(device: GPUDevice, caps: Caps, memory: Memory) {
    this.#device = device;
    this.#memory = memory;
    this.#bytes = slotBytes(caps);
  }

  /** A slot that nobody else has, until it is given back or all are. */
  take(): Slot {
    if (this.#free.length === 0) this.#grow();
    return this.#free.pop() as Slot;
  }

  give(slot: Slot): void {
    this.#free.push(slot);
  }

  #grow(): void {
    const size = PAGE * this.#bytes;
    const buffer = this.#device.createBuffer({ size, usage: USAGE, label: 'uniforms' });
    this.#memory.hold(size);
    const values = new ArrayBuffer(size);
    const [integers, floats] = [new Uint32Array(values), new Float32Array(values)];
    const page = { buffer, integers, floats, from: size, to: 0 };
    this.#pages.push(page);
    // The last is taken first: those of a batch shall lie side by side.
    for (let offset = size - this.#bytes; offset >= 0; offset -= this.#bytes) {
      const slot: OwnSlot = { buffer, offset, page, fields: undefined };
      this.#slots.push(slot);
      this.#free.push(slot);
    }
  }

  /** All slots are free again. */
  clear(): void {
    this.#free = [...this.#slots];
  }

  /** Puts a dispatch's uniforms into one of its slots, unless they lie there. */
  place(slot: Slot, { uniforms }: Dispatch): void {
    const own = slot as OwnSlot;
    if (own.fields === uniforms) return;
    own.fields = uniforms;
    const { page, offset } = own;
    putFields(uniforms, offset, page.integers, page.floats);
    page.from = Math.min(page.from, offset);
    page.to = Math.max(page.to, offset + this.#bytes);
  }

  /** Writes what was placed since the last time. */
  write(): void {
    for (const page of this.#pages) {
      const { buffer, integers, from, to } = page;
      if (from >= to) continue;
      this.#device.queue.writeBuffer(buffer, from, integers.buffer, from, to - from);
      page.from = buffer.size;
      page.to = 0;
    }
  }

  destroy(): void {
    for (const { buffer } of this.#pages) {
      buffer.destroy();
      this.#memory.hold(-buffer.size);
    }
    this.#pages.length = this.#slots.length = this.#free.length = 0;
  }
}
