/**
 * The one matrix product of the library: batched, strided, either operand transposed, with bias, activation and
 * accumulation in the store. `linear`, the attention kernels and the span kernels are built from it.
 */
import { InputError } from '../errors.ts';
import {
  ceilDiv,
  f32,
  foldGrid,
  sizeOf,
  type Binding,
  type Caps,
  type Dispatch,
  type Shape,
} from '../plan.ts';
import { activationCode, activationFlops, type Activation } from './activation.ts';
import { chooseMatmul, type MatmulShape, type MatmulVariant } from './matmul-variant.ts';

/** A matrix inside a tensor: element (row, col) of batch (outer, inner) is at offset + outer·O + inner·I + row·R + col. */
export interface Matrix {
  tensor: string;
  /** Elements from one stored row to the next. */
  row: number;
  offset?: number;
  outer?: number;
  inner?: number;
  /** Batches lie one after the other without padding: `outer` begins at a row of its own (`MatmulSpec.ragged`). */
  packed?: boolean;
  /** Stored as f16; of C its `pre` too, and columns are a multiple of 4 then. */
  f16?: boolean;
}

/** Batches of sizes of their own, of which only tiles that have something to compute are. */
export interface Ragged {
  /** i32[tiles, 8]: what `raggedTiles` gives. */
  tensor: string;
  tiles: number;
  batches: RaggedBatches;
}

export interface RaggedBatches {
  /** By batch: its first row in packed matrices, and two sizes. */
  rows: readonly (readonly [first: number, one: number, other: number])[];
  /** Which of the two sizes ends m, n and k, 0: neither does. Rows of C from its end on are not stored. */
  ends: readonly [m: 0 | 1 | 2, n: 0 | 1 | 2, k: 0 | 1 | 2];
}

/** m, n and k of every batch. */
const sizesOf = ({ m, n, k }: Pick<MatmulSpec, 'm' | 'n' | 'k'>, { rows, ends }: RaggedBatches): number[][] =>
  rows.map((row) => [m, n, k].map((most, i) => (ends[i] === 0 ? most : Math.min(most, row[ends[i]]))));

/** The table of tiles of C in which a batch has elements, rows of (batch, row and column of tiles, first row, m, k, 0, 0). */
export function raggedTiles(
  product: Pick<MatmulSpec, 'm' | 'n' | 'k'>,
  batches: RaggedBatches,
  { rows, columns }: Pick<MatmulVariant, 'rows' | 'columns'>,
): Int32Array {
  const table: number[] = [];
  sizesOf(product, batches).forEach(([m, n, k], batch) => {
    const [first] = batches.rows[batch];
    for (let row = 0; row * rows < m; row++)
      for (let column = 0; column * columns < n; column++) table.push(batch, row, column, first, m, k, 0, 0);
  });
  return Int32Array.from(table);
}

export interface MatmulSpec {
  label: string;
  m: number;
  n: number;
  k: number;
  a: Matrix;
  b: Matrix;
  c: Matrix;
  /** A is stored [k, m]. */
  transA?: boolean;
  /** B is stored [n, k]; not together with `transA`. */
  transB?: boolean;
  /** Number of batches; `outer` × `inner` products in all. */
  outer?: number;
  inner?: number;
  alpha?: number;
  accumulate?: boolean;
  bias?: string;
  activation?: Activation;
  /** Also store the value before the activation here (same layout as c). */
  pre?: string;
  /** i32[outer] tensor: the sum over k stops there. `limitTotal` is the sum of min(k, limit) over outer. */
  limit?: { tensor: string; total: number };
  /** In place of `limit`. */
  ragged?: Ragged;
  /**
   * A and B may be rounded to f16 where the device's opener asked for it (`Caps.subgroupMatrix`): of one product, with `transB`,
   * whose sums over k do not end early.
   */
  rounds?: boolean;
  /** Also store the sums of op(A)'s rows over k here, [outer, m]; only with `transA` and without `inner`. */
  sums?: string;
}

/** Fails where the rows of a matrix that is written as f16 are no whole quads of elements; the message names both. */
export function expectQuads(label: string, tensor: string, columns: number): void {
  if (columns % 4 !== 0)
    throw new InputError(
      `${label}: "${tensor}" in f16 must have rows of a multiple of 4 elements, got ${columns}; f32 may have any`,
    );
}

const elementBytes = ({ f16 }: Matrix): number => (f16 ? 2 : 4);

const aligned = (x: Matrix): boolean =>
  [x.row, x.offset ?? 0, x.outer ?? 0, x.inner ?? 0].every((stride) => stride % 4 === 0);

/** The shape of a product, for the choice of its variant. */
export function shapeOfProduct(spec: MatmulSpec): MatmulShape {
  const { m, n, k, transA, transB, outer = 1, inner = 1 } = spec;
  const batches = outer * inner;
  const [alignedA, alignedB, alignedC] = [spec.a, spec.b, spec.c].map(aligned);
  return {
    m,
    n,
    k,
    transA,
    transB,
    batches,
    alignedA,
    alignedB,
    alignedC,
    rounds: spec.rounds,
    limited: spec.limit !== undefined || (spec.ragged?.batches.ends[2] ?? 0) > 0,
  };
}

/** What the shaders are specialised with where batches have sizes of their own. */
function raggedConstants({ a, b, c, ragged }: MatmulSpec): Dispatch['constants'] {
  if (!ragged) return { RAGGED: 0 };
  const [PACKED_A, PACKED_B, PACKED_C] = [a, b, c].map(({ packed }) => Number(packed ?? false));
  return { RAGGED: 1, PACKED_A, PACKED_B, PACKED_C };
}

/** Multiply-adds, bytes of A and B that they need, and elements of C stored, over all batches. */
function countsOf({ m, n, k, a, b, outer = 1, inner = 1, limit, ragged }: MatmulSpec): {
  macs: number;
  read: number;
  stored: number;
} {
  const [ofA, ofB] = [elementBytes(a), elementBytes(b)];
  if (!ragged) {
    const kTotal = limit ? limit.total * inner : k * outer * inner;
    return { macs: m * n * kTotal, read: (ofA * m + ofB * n) * kTotal, stored: m * n * outer * inner };
  }
  const counts = { macs: 0, read: 0, stored: 0 };
  for (const [rows, columns, steps] of sizesOf({ m, n, k }, ragged.batches)) {
    counts.macs += inner * rows * columns * steps;
    counts.read += inner * (ofA * rows + ofB * columns) * steps;
    counts.stored += inner * rows * columns;
  }
  return counts;
}

/**
 * One dispatch of the matrix product, with its exact cost: the same for every variant.
 * @throws InputError for a C in f16 whose rows are no multiple of 4
 */
export function matmul(
  spec: MatmulSpec,
  caps: Caps,
  variant = chooseMatmul(shapeOfProduct(spec), caps),
): Dispatch {
  const { m, n, k, a, b, c } = spec;
  const outer = spec.outer ?? 1;
  const inner = spec.inner ?? 1;
  const batches = outer * inner;
  if (c.f16) expectQuads(spec.label, c.tensor, aligned(c) ? n : c.row);
  const activation = spec.activation ?? 'none';
  const rowTiles = ceilDiv(m, variant.rows);
  const colTiles = ceilDiv(n, variant.columns);
  const groups = spec.ragged ? spec.ragged.tiles * inner : rowTiles * colTiles * batches;
  const bindings: Binding[] = [
    { name: 'a', access: 'read', tensor: a.tensor },
    { name: 'b', access: 'read', tensor: b.tensor },
    { name: 'c', access: 'read_write', tensor: c.tensor },
  ];
  if (spec.bias !== undefined) bindings.push({ name: 'bias', access: 'read', tensor: spec.bias });
  if (spec.pre !== undefined) bindings.push({ name: 'pre', access: 'read_write', tensor: spec.pre });
  const limits = (spec.ragged ?? spec.limit)?.tensor;
  if (limits !== undefined) bindings.push({ name: 'limits', access: 'read', tensor: limits });
  if (spec.sums !== undefined) bindings.push({ name: 'sums', access: 'read_write', tensor: spec.sums });

  const { macs, read, stored } = countsOf(spec);
  const perElement =
    activationFlops(activation) +
    (spec.alpha !== undefined ? 1 : 0) +
    (spec.accumulate ? 1 : 0) +
    (spec.bias !== undefined ? 1 : 0);
  return {
    label: spec.label,
    shader: variant.shader,
    entryPoint: 'main',
    constants: {
      ...variant.constants,
      F16_A: Number(a.f16 ?? false),
      F16_B: Number(b.f16 ?? false),
      F16_C: Number(c.f16 ?? false),
      TRANS_A: Number(spec.transA ?? false),
      TRANS_B: Number(spec.transB ?? false),
      BIAS: Number(spec.bias !== undefined),
      SAVE_PRE: Number(spec.pre !== undefined),
      LIMIT: Number(limits !== undefined),
      ...raggedConstants(spec),
      SUMS: Number(spec.sums !== undefined),
      ACCUMULATE: Number(spec.accumulate ?? false),
      ACTIVATION: activationCode(activation),
    },
    bindings,
    uniforms: [
      ...[m, n, k, rowTiles, colTiles, groups],
      ...[a, b, c].flatMap((x) => [x.offset ?? 0, x.row, x.outer ?? 0, x.inner ?? 0]),
      inner,
      f32(spec.alpha ?? 1),
    ],
    workgroups: foldGrid(groups, caps),
    macs,
    flops: 2 * macs + stored * perElement + (spec.sums !== undefined ? macs / n : 0),
    bytesRead:
      read +
      4 * (spec.bias !== undefined ? n : 0) +
      (spec.accumulate ? elementBytes(c) * stored : 0) +
      (spec.ragged ? 32 * spec.ragged.tiles : spec.limit ? 4 * outer : 0),
    bytesWritten:
      elementBytes(c) * stored * (spec.pre !== undefined ? 2 : 1) +
      (spec.sums !== undefined ? 4 * m * outer : 0),
  };
}

/** Rows of a tensor seen as a matrix: all leading dimensions folded. */
export const rowsOf = (shape: Shape): number => sizeOf(shape.slice(0, -1));
