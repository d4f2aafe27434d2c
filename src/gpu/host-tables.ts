/** Where the host tables of a batch lie (lengths, ids, segment lists), which travel in one write. */
import { boundBytes, type Caps } from '../../kernels/plan.ts';
import { OutOfMemoryError } from './errors.ts';
import { powerFrom } from './memory.ts';

/** Where a table lies in the batch's table buffer, in bytes. */
export interface Place {
  readonly offset: number;
  readonly size: number;
}

/** Up to this many bytes a table has a place for the next power of two. */
const MOST_ROUNDED = 2 ** 20;
/** A layout of more than so many times the bytes that a batch has, and some, is given up. */
const MOST_WASTE = 4;
const SOME_BYTES = 2 ** 16;

/**
 * Where tables lie, from batch to batch: the first of a size always at the same place, the second likewise, so that bind
 * groups hold where batches are only nearly alike.
 */
export class TableLayout {
  readonly #caps: Caps;
  #places = new Map<number, Place[]>();
  #end = 0;

  constructor(caps: Caps) {
    this.#caps = caps;
  }

  /** The bytes that are set aside for a table. */
  sizeOf(table: Int32Array): number {
    const bytes = boundBytes(table.byteLength);
    const exact = bytes <= this.#caps.minStorageBufferOffsetAlignment || bytes > MOST_ROUNDED;
    return exact ? bytes : powerFrom(bytes);
  }

  /** The place of the n-th table of a size, from 0. */
  at(size: number, n: number): Place {
    let places = this.#places.get(size);
    if (!places) this.#places.set(size, (places = []));
    if (n === places.length) {
      const align = this.#caps.minStorageBufferOffsetAlignment;
      const offset = Math.ceil(this.#end / align) * align;
      places.push({ offset, size });
      this.#end = offset + size;
    }
    return places[n];
  }

  /** After a batch that had `bytes` of tables: begins anew where most of the places were of no use to it. */
  review(bytes: number): void {
    if (this.#end <= MOST_WASTE * bytes + SOME_BYTES) return;
    this.#places = new Map();
    this.#end = 0;
  }
}

export class HostTables {
  readonly #maxBufferSize: number;
  readonly #layout: TableLayout;
  readonly #placed = new Map<Int32Array, Place>();
  /** By size, how many there are. */
  readonly #counts = new Map<number, number>();
  #end = 0;
  #bytes = 0;

  constructor({ maxBufferSize }: Caps, layout: TableLayout) {
    this.#maxBufferSize = maxBufferSize;
    this.#layout = layout;
  }

  /** The tables and where they lie. */
  get placed(): ReadonlyMap<Int32Array, Place> {
    return this.#placed;
  }

  /** Bytes that the table buffer needs. */
  get bytes(): number {
    return this.#end;
  }

  /**
   * The place of a table, which must not change any more; one that comes again keeps its place.
   * @param kernel names who asks in errors
   * @throws OutOfMemoryError for tables of one batch over the device's buffer size
   */
  place(table: Int32Array, kernel: string): Place {
    const known = this.#placed.get(table);
    if (known) return known;
    const size = this.#layout.sizeOf(table);
    const count = this.#counts.get(size) ?? 0;
    const place = this.#layout.at(size, count);
    const end = Math.max(this.#end, place.offset + size);
    if (end > this.#maxBufferSize)
      throw new OutOfMemoryError(
        `${kernel}: with a host table of ${table.byteLength} bytes this batch has ${end} bytes of tables, over the ` +
          `device's maxBufferSize of ${this.#maxBufferSize}: flush more often`,
      );
    this.#counts.set(size, count + 1);
    this.#placed.set(table, place);
    this.#end = end;
    this.#bytes += size;
    return place;
  }

  /** All is placed: the next batch's tables follow. */
  close(): void {
    this.#layout.review(this.#bytes);
  }
}
