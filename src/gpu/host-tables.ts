/** The host tables of one batch (lengths, ids, segment lists), which travel in one write. */
import type { Caps } from '../../kernels/plan.ts';
import { OutOfMemoryError } from './errors.ts';

/** Bytes as bound: storage bindings are whole vec4s. */
export const boundBytes = (bytes: number): number => Math.max(16, Math.ceil(bytes / 16) * 16);

/** Where a table lies in the batch's table buffer, in bytes. */
export interface Place {
  readonly offset: number;
  readonly size: number;
}

export class HostTables {
  readonly #caps: Caps;
  readonly #places = new Map<Int32Array, Place>();
  #bytes = 0;

  constructor(caps: Caps) {
    this.#caps = caps;
  }

  /** Bytes that the table buffer needs. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The place of a table, which must not change any more; one that comes again keeps its place.
   * @param kernel names who asks in errors
   * @throws OutOfMemoryError for tables of one batch over the device's buffer size
   */
  place(table: Int32Array, kernel: string): Place {
    const known = this.#places.get(table);
    if (known) return known;
    const { maxBufferSize, minStorageBufferOffsetAlignment: align } = this.#caps;
    const place = { offset: Math.ceil(this.#bytes / align) * align, size: boundBytes(table.byteLength) };
    const bytes = place.offset + place.size;
    if (bytes > maxBufferSize)
      throw new OutOfMemoryError(
        `${kernel}: with a host table of ${table.byteLength} bytes this batch has ${bytes} bytes of tables, over the ` +
          `device's maxBufferSize of ${maxBufferSize}: flush more often`,
      );
    this.#bytes = bytes;
    this.#places.set(table, place);
    return place;
  }

  /** All tables at their places. */
  join(): Int32Array<ArrayBuffer> {
    const all = new Int32Array(this.#bytes / 4);
    for (const [table, { offset }] of this.#places) all.set(table, offset / 4);
    return all;
  }
}
