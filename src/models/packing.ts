/**
 * The rows of several texts without the padding between them. A software device takes as long for a row of padding as for
 * any other, and of ragged batches of eight sentences nearly half the rows are padding.
 */
import type { Caps } from '../../kernels/plan.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { embedding, hostInts, type HostInts } from '../ops/index.ts';

/** Packed rows come in multiples of so many: a tile of the matrix product; few sizes, so that plans are met again. */
const STEP = 16;

/** Where B texts of `columns` rows, of which the first `lengths` are no padding, lie when they are packed. */
export class Packing {
  /** Packed rows, those that fill up the last step included. */
  readonly rows: number;
  /** i32[B + 1]: rows of each text, then of what fills up; the `lengths` of attention over packed rows. */
  readonly lengths: HostInts;
  /** i32[B]: the first packed row of each text. */
  readonly firsts: Int32Array;
  readonly #columns: number;

  private constructor(lengths: Int32Array, columns: number) {
    this.firsts = new Int32Array(lengths.length);
    let end = 0;
    for (let b = 0; b < lengths.length; b++) {
      this.firsts[b] = end;
      end += lengths[b];
    }
    this.rows = STEP * Math.ceil(end / STEP);
    this.lengths = hostInts(Int32Array.from([...lengths, this.rows - end]));
    this.#columns = columns;
  }

  /** The packing of a batch; undefined where it would spare nothing, or the device fills its lanes with padding for free. */
  static of(lengths: Int32Array, columns: number, caps: Caps): Packing | undefined {
    if (!caps.software) return undefined;
    const packing = new Packing(lengths, columns);
    return packing.rows < lengths.length * columns ? packing : undefined;
  }

  /** The packed rows of host values [B · columns, width]; what fills up is `fill`. */
  pack(values: Int32Array, fill = 0, width = 1): Int32Array {
    const packed = new Int32Array(this.rows * width).fill(fill);
    this.firsts.forEach((first, b) => {
      const from = b * this.#columns;
      packed.set(values.subarray(from * width, (from + this.lengths.data[b]) * width), first * width);
    });
    return packed;
  }

  /** x [rows, d] padded again: [B, columns, d], 0 in the padding. */
  unpack(x: Tensor): Tensor {
    const rows = new Int32Array(this.firsts.length * this.#columns).fill(-1);
    this.firsts.forEach((first, b) => {
      for (let i = 0; i < this.lengths.data[b]; i++) rows[b * this.#columns + i] = first + i;
    });
    return embedding(hostInts(rows, [this.firsts.length, this.#columns]), x, true);
  }
}
