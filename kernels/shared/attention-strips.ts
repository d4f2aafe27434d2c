/**
 * The matrix products of attention, strip by strip. The scores of a strip of rows [batch, head, query] are stored
 * transposed, [batch-head][key][query]: what happens to them between the products is then a scan over keys with one
 * lane per query, without barriers or reductions, and scratch is bounded whatever the length. The kernels
 * `attention` and `segment-attention` are such scans between these products.
 */
import { chooseMatmul } from './matmul-variant.ts';
import {
  matmul,
  raggedTiles,
  shapeOfProduct,
  type Matrix,
  type MatmulSpec,
  type RaggedBatches,
} from './matmul.ts';
import { ceilDiv, spec, type Caps, type Dispatch, type Plan } from '../plan.ts';

/** How many keys a scan loads before it uses the first, while there are so many: a lane waits for four loads as for one. */
export const KEY_STEPS: readonly number[] = [4, 1];

/** Scores per key are padded to whole vec4s, so that every product reads them four at a time. */
const padded = (queries: number): number => 4 * ceilDiv(queries, 4);

/** A part of the rows [B, H, Lq] of an attention, contiguous in that order: whole batches, heads, or queries. */
export interface AttentionStrip {
  batch: number;
  batches: number;
  head: number;
  heads: number;
  query: number;
  queries: number;
}

/** [start, count] of the fewest parts of 0..total−1 of at most `most`, even, in multiples of `step`. */
function partition(total: number, most: number, step = 1): [start: number, count: number][] {
  const size = step * ceilDiv(ceilDiv(total, Math.max(1, ceilDiv(total, most))), step);
  const parts: [number, number][] = [];
  for (let start = 0; start < total; start += size) parts.push([start, Math.min(size, total - start)]);
  return parts;
}

/**
 * Cuts the scores of an attention into strips of at most `maxElements`: between batches if a batch fits, else between
 * heads, else between queries (in fours; four queries are the least). Pure; a batch of 0 has no strips, any other at
 * least one, so that empty queries or keys still write their zeros.
 */
export function attentionStrips(
  shape: { batches: number; heads: number; queries: number; keys: number },
  maxElements: number,
): AttentionStrip[] {
  const { batches, heads, queries, keys } = shape;
  const headsThatFit = maxElements / (keys * padded(queries)); // Infinity where there are no scores
  const batchParts = partition(batches, Math.max(1, Math.floor(headsThatFit / heads)));
  const headParts = partition(heads, Math.max(1, Math.floor(headsThatFit)));
  const queryParts: [number, number][] =
    headsThatFit >= 1
      ? [[0, queries]]
      : partition(queries, 4 * Math.max(1, Math.floor(maxElements / keys / 4)), 4);
  return batchParts.flatMap(([batch, b]) =>
    headParts.flatMap(([head, h]) =>
      queryParts.map(([query, q]) => ({ batch, batches: b, head, heads: h, query, queries: q })),
    ),
  );
}

/** The sizes of an attention: q [B, Lq, D], k and v [B, Lk, D], D = heads · headSize. */
export interface AttentionSizes {
  batches: number;
  heads: number;
  queries: number;
  keys: number;
  hidden: number;
  headSize: number;
  /** Valid keys of every batch row; all where absent. */
  lengths?: Int32Array;
  /** Rows of q, k and v, [Σ lengths, D], come batch after batch without padding; `queries` and `keys` are the longest. */
  packed?: boolean;
  /** The queries end at the lengths too: sums over queries leave the padded ones out, whatever they hold. */
  paddedQueries?: boolean;
  /** Queries that do not come from q: each has a column of scores behind the strip's own. */
  extraQueries?: number;
}

/**
 * A part of the keys: scratch holds the scores of keys `first` .. `first + count`, and a scan makes the weights of those
 * from `ownFirst` to `ownEnd` (exclusive), which need their neighbours' scores.
 */
export interface KeyTile {
  first: number;
  count: number;
  ownFirst: number;
  ownEnd: number;
}

/** 1/√dh; a head of no elements has scores of 0 whatever the factor. */
export const scoreScale = ({ headSize }: AttentionSizes): number => 1 / Math.sqrt(Math.max(1, headSize));

/** One strip: its matrices, its part of the host tables, and its products. */
export class ScoreStrip<Sizes extends AttentionSizes = AttentionSizes> {
  readonly rows: number;
  /** Elements of scores from one key to the next. */
  readonly keyStride: number;
  readonly tile: KeyTile;
  /** Sum over the strip's batches of the keys within length. */
  readonly validKeys: number;
  /** Name of the table of the strip's lengths, if there are any and rows are padded. */
  readonly lengths: string | undefined;
  /** Where rows are packed: (first row, keys, queries of the strip) by batch, and the table i32[batches, 4] of them. */
  readonly ragged: { tensor: string; rows: RaggedBatches['rows'] } | undefined;
  readonly #queryLimit: MatmulSpec['limit'];
  /** Ends sums over the tile's own keys at the lengths. */
  readonly keyLimit: MatmulSpec['limit'];

  /**
   * Adds the strip's tables to `data`; a strip that takes a whole table shares the caller's array.
   * @param tile the keys of the strip, all where absent
   */
  constructor(
    readonly label: string,
    readonly sizes: Sizes,
    readonly strip: AttentionStrip,
    readonly caps: Caps,
    readonly data: Record<string, Int32Array>,
    tile?: KeyTile,
  ) {
    const { batch, batches, heads, query, queries } = strip;
    const { lengths, keys } = sizes;
    this.tile = tile ?? { first: 0, count: keys, ownFirst: 0, ownEnd: keys };
    this.rows = batches * heads * queries;
    this.keyStride = padded(queries + (sizes.extraQueries ?? 0));
    this.validKeys = 0;
    for (let b = 0; b < batches; b++) this.validKeys += this.lengthOf(b);
    if (!lengths) return;
    if (sizes.packed) {
      this.ragged = this.#packedRows(lengths);
      return;
    }
    this.lengths = this.table('lengths', lengths, batch, batches);
    const { ownFirst, ownEnd } = this.tile;
    this.keyLimit =
      ownEnd - ownFirst === keys
        ? { tensor: this.lengths, total: this.validKeys }
        : this.#limit('key_lengths', lengths, ownFirst, ownEnd - ownFirst);
    if (sizes.paddedQueries) this.#queryLimit = this.#limit('query_lengths', lengths, query, queries);
  }

  #packedRows(lengths: Int32Array): { tensor: string; rows: RaggedBatches['rows'] } {
    const { batch, batches, query, queries } = this.strip;
    const tensor = `rows.${batch}.${query}`;
    const rows: [number, number, number][] = [];
    let first = 0;
    for (let b = 0; b < batch; b++) first += lengths[b];
    for (let b = 0; b < batches; b++) {
      const keys = this.lengthOf(b);
      rows.push([first, keys, Math.min(queries, Math.max(0, keys - query))]);
      first += keys;
    }
    this.data[tensor] ??= Int32Array.from(rows.flatMap((row) => [...row, 0]));
    return { tensor, rows };
  }

  /** What of `count` tokens from `first` on is within length; undefined where all of it is. */
  #limit(name: string, lengths: Int32Array, first: number, count: number): MatmulSpec['limit'] {
    const { batch, batches } = this.strip;
    const within = lengths
      .subarray(batch, batch + batches)
      .map((length) => Math.min(count, Math.max(0, length - first)));
    const total = within.reduce((sum, length) => sum + length, 0);
    if (total === count * batches) return undefined;
    const tensor = `${name}.${batch}.${first}`;
    this.data[tensor] ??= within;
    return { tensor, total };
  }

  /** Valid keys of the strip's batch `b`. */
  lengthOf(b: number): number {
    return this.sizes.lengths?.[this.strip.batch + b] ?? this.sizes.keys;
  }

  /** The name under which `values[start .. start + count]` is bound. */
  table(name: string, values: Int32Array, start: number, count: number): string {
    const whole = count === values.length;
    const key = whole ? name : `${name}.${start}`;
    this.data[key] ??= whole ? values : values.subarray(start, start + count);
    return key;
  }

  /** The strip's heads of a [B, Lq, D] tensor: one matrix [queries, dh] per batch and head. */
  queriesOf(tensor: string): Matrix {
    return this.#headsOf(tensor, this.sizes.queries, this.strip.query);
  }

  /** The strip's heads of a [B, Lk, D] tensor from key `first` on: one matrix [keys, dh] per batch and head. */
  keysOf(tensor: string, first: number): Matrix {
    return this.#headsOf(tensor, this.sizes.keys, first);
  }

  #headsOf(tensor: string, rows: number, first: number): Matrix {
    const { hidden, headSize, packed } = this.sizes;
    const { batch, head } = this.strip;
    const ofHead = { tensor, row: hidden, inner: headSize };
    if (packed) return { ...ofHead, offset: first * hidden + head * headSize, packed };
    return { ...ofHead, offset: (batch * rows + first) * hidden + head * headSize, outer: rows * hidden };
  }

  /** A scratch tensor from key `first` on: one matrix [keys, queries] per batch and head. */
  scoresOf(tensor: string, first: number): Matrix {
    const inner = this.tile.count * this.keyStride;
    const offset = (first - this.tile.first) * this.keyStride;
    return { tensor, row: this.keyStride, offset, outer: this.strip.heads * inner, inner };
  }

  /**
   * A product for each batch and head of the strip.
   * @param ends where rows are packed, which of m, n and k end with a batch's keys (1) or queries (2)
   */
  matmul(product: Omit<MatmulSpec, 'label' | 'outer' | 'inner'>, ends?: RaggedBatches['ends']): Dispatch {
    const { batch, batches, heads, query } = this.strip;
    const whole: MatmulSpec = { label: this.label, outer: batches, inner: heads, ...product };
    if (!this.ragged || !ends) return matmul(whole, this.caps);
    const ragged = { tensor: '', tiles: 0, batches: { ...this.ragged, ends } };
    const variant = chooseMatmul(shapeOfProduct({ ...whole, ragged }), this.caps);
    const tensor = ['tiles', batch, query, ends.join(''), variant.rows, variant.columns].join('.');
    const table = (this.data[tensor] ??= raggedTiles(whole, ragged.batches, variant));
    return matmul({ ...whole, ragged: { ...ragged, tensor, tiles: table.length / 8 } }, this.caps, variant);
  }

  /** scores [keys, queries] = alpha · byKey [keys, dh] · byQuery [queries, dh]ᵀ, of all keys of the tile. */
  scores(byKey: string, byQuery: string, scores: string, alpha?: number): Dispatch {
    return this.matmul(
      {
        ...{ m: this.tile.count, n: this.strip.queries, k: this.sizes.headSize },
        a: this.keysOf(byKey, this.tile.first),
        b: this.queriesOf(byQuery),
        c: this.scoresOf(scores, this.tile.first),
        transB: true,
        alpha,
      },
      [1, 2, 0],
    );
  }

  /** to [queries, dh] = alpha · scoresᵀ · byKey [keys, dh], over the tile's own keys within length, added to earlier tiles'. */
  overKeys(scores: string, byKey: string, to: string, alpha?: number): Dispatch {
    const { ownFirst, ownEnd } = this.tile;
    return this.matmul(
      {
        ...{ m: this.strip.queries, n: this.sizes.headSize, k: ownEnd - ownFirst },
        a: this.scoresOf(scores, ownFirst),
        b: this.keysOf(byKey, ownFirst),
        c: this.queriesOf(to),
        transA: true,
        alpha,
        accumulate: ownFirst > 0,
        limit: this.keyLimit,
      },
      [2, 0, 1],
    );
  }

  /** to [keys, dh] = alpha · scores · byQuery [queries, dh], of the tile's own keys, added to the earlier queries' part. */
  overQueries(scores: string, byQuery: string, to: string, alpha?: number): Dispatch {
    const { ownFirst, ownEnd } = this.tile;
    return this.matmul(
      {
        ...{ m: ownEnd - ownFirst, n: this.sizes.headSize, k: this.strip.queries },
        a: this.scoresOf(scores, ownFirst),
        b: this.queriesOf(byQuery),
        c: this.keysOf(to, ownFirst),
        alpha,
        accumulate: this.strip.query > 0,
        limit: this.#queryLimit,
      },
      [1, 0, 2],
    );
  }
}

/**
 * Plans every strip of at most `scratchBytes` of scores (and never more than one binding may hold) with
 * `dispatchesOf`; `scratch` names the score tensors that it uses.
 * @param keysAtOnce keys whose scores are in scratch at a time, all where absent
 */
export function planStrips<Sizes extends AttentionSizes, Strip extends ScoreStrip<Sizes>>(
  StripOf: new (...of: ConstructorParameters<typeof ScoreStrip<Sizes>>) => Strip,
  label: string,
  sizes: Sizes,
  caps: Caps,
  scratchBytes: number,
  scratch: readonly string[],
  dispatchesOf: (strip: Strip) => Dispatch[],
  keysAtOnce = sizes.keys,
): Omit<Plan, 'outputs'> {
  const maxBytes = Math.min(scratchBytes, caps.maxStorageBufferBindingSize);
  const data: Record<string, Int32Array> = {};
  const strips = attentionStrips({ ...sizes, keys: keysAtOnce }, Math.floor(maxBytes / 4)).map(
    (strip) => new StripOf(label, sizes, strip, caps, data),
  );
  const elements = strips.reduce(
    (most, { strip, keyStride }) => Math.max(most, strip.batches * strip.heads * keysAtOnce * keyStride),
    0,
  );
  return {
    dispatches: strips.flatMap(dispatchesOf).filter((dispatch) => !dispatch.workgroups.includes(0)),
    scratch: Object.fromEntries(scratch.map((name) => [name, spec([elements])])),
    data,
  };
}
