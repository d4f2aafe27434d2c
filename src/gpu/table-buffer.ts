/** The buffer of host tables: what lies there already, as in a step that repeats, is not written again. */
import type { Caps } from '../../kernels/plan.ts';
import type { HostTables, Place } from './host-tables.ts';
import type { Memory } from './memory.ts';

const USAGE = 0x80 | 0x8; // STORAGE | COPY_DST

export class TableBuffer {
  readonly #device: GPUDevice;
  readonly #maxBufferSize: number;
  readonly #memory: Memory;
  #buffer: GPUBuffer | undefined;
  /** What the buffer holds, or will once `write` has run. */
  #values = new Int32Array(0);
  /** The table that was written last to a place. */
  #held = new WeakMap<Place, Int32Array>();

  constructor(device: GPUDevice, caps: Caps, memory: Memory) {
    this.#device = device;
    this.#maxBufferSize = caps.maxBufferSize;
    this.#memory = memory;
  }

  /** Undefined before the first batch with tables. */
  get buffer(): GPUBuffer | undefined {
    return this.#buffer;
  }

  /**
   * Writes the tables of a batch into the buffer, or into a new one of twice the bytes where it is too small.
   * @returns whether the buffer is another one than before: bind groups hold the old one
   */
  write(tables: HostTables): boolean {
    const { bytes } = tables;
    if (bytes === 0) return false;
    const replaced = this.#buffer !== undefined && this.#buffer.size < bytes;
    if (replaced) this.destroy();
    if (!this.#buffer) {
      const size = Math.max(bytes, Math.min(2 * bytes, this.#maxBufferSize));
      this.#buffer = this.#device.createBuffer({ size, usage: USAGE, label: 'host tables' });
      this.#memory.hold(size);
      this.#values = new Int32Array(size / 4);
      this.#held = new WeakMap();
    }
    let [from, to] = [Infinity, 0];
    for (const [table, place] of tables.placed) {
      if (this.#held.get(place) === table) continue;
      this.#held.set(place, table);
      this.#values.set(table, place.offset / 4);
      from = Math.min(from, place.offset);
      to = Math.max(to, place.offset + place.size);
    }
    if (from < to) this.#device.queue.writeBuffer(this.#buffer, from, this.#values.buffer, from, to - from);
    return replaced;
  }

  destroy(): void {
    if (!this.#buffer) return;
    this.#buffer.destroy();
    this.#memory.hold(-this.#buffer.size);
    this.#buffer = undefined;
  }
}
