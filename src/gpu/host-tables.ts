/** The host tables of one batch (lengths, ids, segment lists): copied as they are recorded, to travel in one write. */
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
  /** Every copy, and by the array that it was made of the last one. */
  readonly #copies: { values: Int32Array; place: Place }[] = [];
  readonly #last = new Map<Int32Array, { values: Int32Array; place: Place }>();
  #bytes = 0;

  constructor(caps: Caps) {
    this.#caps = caps;
  }

  /** Bytes that the table buffer needs. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Copies a table, so that the caller may change it afterwards; an array that comes again unchanged keeps its place.
   * @param kernel names who asks in errors
   * @throws OutOfMemoryError for a table over the device's binding size, or tables of one batch over its buffer size
   */
  place(table: Int32Array, kernel: string): Place {
    const last = this.#last.get(table);
    if (last && equal(last.values, table)) return last.place;
    const { maxStorageBufferBindingSize, maxBufferSize, minStorageBufferOffsetAlignment: align } = this.#caps;
    const place = { offset: Math.ceil(this.#bytes / align) * align, size: boundBytes(table.byteLength) };
    if (place.size > maxStorageBufferBindingSize)
      throw new OutOfMemoryError(
        `${kernel}: a host table of ${table.byteLength} bytes is over the device's maxStorageBufferBindingSize ` +
          `of ${maxStorageBufferBindingSize}`,
      );
    const bytes = place.offset + place.size;
    if (bytes > maxBufferSize)
      throw new OutOfMemoryError(
        `${kernel}: with a host table of ${table.byteLength} bytes this batch has ${bytes} bytes of tables, over the ` +
          `device's maxBufferSize of ${maxBufferSize}: flush more often`,
      );
    this.#bytes = bytes;
    const copy = { values: table.slice(), place };
    this.#copies.push(copy);
    this.#last.set(table, copy);
    return place;
  }

  /** All tables at their places. */
  join(): Int32Array<ArrayBuffer> {
    const all = new Int32Array(this.#bytes / 4);
    for (const { values, place } of this.#copies) all.set(values, place.offset / 4);
    return all;
  }
}

const equal = (a: Int32Array, b: Int32Array): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);
