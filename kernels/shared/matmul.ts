/**
 * The one matrix product of the library: batched, strided, either operand transposed, with bias, activation and
 * accumulation in the store. `linear`, the attention kernels and the span kernels are built from it.
 */
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

/** A matrix inside a tensor: element (row, col) of batch (outer, inner) is at offset + outer·O + inner·I + row·R + col. */
export interface Matrix {
  tensor: string;
  /** Elements from one stored row to the next. */
  row: number;
  offset?: number;
  outer?: number;
  inner?: number;
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
}

/** A form of the product: its shader, what that is specialised with, and the part of C that a workgroup computes. */
export interface MatmulVariant {
  shader: 'matmul' | 'matmul-tiled';
  constants: Readonly<Record<string, number>>;
  rows: number;
  columns: number;
}

/** What the choice of a variant depends on. `aligned*`: offsets and strides are multiples of 4. */
export interface MatmulShape {
  m: number;
  n: number;
  k: number;
  batches: number;
  alignedA: boolean;
  alignedB: boolean;
}

const WORKGROUP = 64;
/** With fewer workgroups than this some cores stand still: a weight gradient of 64 x 64 would be one workgroup. */
const BUSY_GROUPS = 8;
const smallWorkgroup = (caps: Caps): number => (caps.software ? 8 : 32);
/** Below this many invocations a GPU idles, and a smaller block that makes more of them wins. */
const BUSY_INVOCATIONS = 16384;
/** Side of the smaller tile of C. With fewer rows, columns or steps of k most of its lanes would compute nothing. */
const SMALL_TILE = 32;
/** Operands of a batch up to this many bytes stay in the smallest first-level caches of GPUs. */
const CACHED_BYTES = 16384;

/** True where blocks of tm x tn elements of C make enough invocations to fill a GPU. */
const fillsGpu = ({ m, n, batches }: MatmulShape, tm: number, tn: number): boolean =>
  ceilDiv(m, tm) * ceilDiv(n, tn) * batches >= BUSY_INVOCATIONS;

const vectors = ({ alignedA, alignedB }: MatmulShape) => ({
  VEC_A: Number(alignedA),
  VEC_B: Number(alignedB),
});

/** Blocks of C of up to 8 x 8 in registers, operands straight from memory: no barriers, right on every device. */
export function directVariant(shape: MatmulShape, caps: Caps): MatmulVariant {
  let TM = shape.m <= 4 ? 4 : 8;
  let TN = shape.n <= 4 ? 4 : 8;
  if (!caps.software && !fillsGpu(shape, TM, TN)) {
    TM = 4;
    TN = 4;
  }
  let WG_X = 1;
  while (WG_X < 8 && WG_X * TN < shape.n) WG_X *= 2;
  let WG_Y = WORKGROUP / WG_X;
  const groups = () => ceilDiv(shape.m, TM * WG_Y) * ceilDiv(shape.n, TN * WG_X) * shape.batches;
  while (WG_X * WG_Y > smallWorkgroup(caps) && groups() < BUSY_GROUPS) WG_Y /= 2;
  return {
    shader: 'matmul',
    constants: { TM, TN, WG_X, WG_Y, ...vectors(shape) },
    rows: TM * WG_Y,
    columns: TN * WG_X,
  };
}

/**
 * Tiles of C of 64 x 64 (8 x 8 a lane) or 32 x 32 (4 x 4 a lane), operands staged in workgroup memory 16 or 32 steps of
 * k at a time: 8.5 and 9 KiB.
 */
export const tiledVariant = (shape: MatmulShape, tile: 32 | 64): MatmulVariant => ({
  shader: 'matmul-tiled',
  constants: { TILE: tile, BK: 1024 / tile, ...vectors(shape) },
  rows: tile,
  columns: tile,
});

/**
 * Picks the variant: pure, testable without a device.
 *
 * A software device takes the direct form: barriers and workgroup memory cost it more than they save (1.6 times the
 * time at 512³). On a GPU the direct form reads 1 byte a multiply-add at 8 x 8, and rows that neighbouring lanes read
 * lie in different cache lines, so it lives on the first-level cache. A 64 x 64 tile reads 1/8 byte, a 32 x 32 one 1/4,
 * in whole lines. That pays once the operands of a batch outgrow that cache (16 KiB) and the product fills a tile in m,
 * n and k. A lane's block is 8 x 8 where that makes 16,384 lanes, 256 workgroups, else 4 x 4, as in the direct form: no
 * fewer lanes are at work in tiles.
 */
export function chooseMatmul(shape: MatmulShape, caps: Caps): MatmulVariant {
  const { m, n, k } = shape;
  const fillsTile = Math.min(m, n, k) >= SMALL_TILE;
  if (caps.software || !fillsTile || 4 * (m + n) * k <= CACHED_BYTES) return directVariant(shape, caps);
  return tiledVariant(shape, fillsGpu(shape, 8, 8) ? 64 : 32);
}

const aligned = (x: Matrix): boolean =>
  [x.row, x.offset ?? 0, x.outer ?? 0, x.inner ?? 0].every((stride) => stride % 4 === 0);

/** The shape of a product, for the choice of its variant. */
export const shapeOfProduct = ({ m, n, k, a, b, outer = 1, inner = 1 }: MatmulSpec): MatmulShape => ({
  ...{ m, n, k },
  batches: outer * inner,
  alignedA: aligned(a),
  alignedB: aligned(b),
});

/** One dispatch of the matrix product, with its exact cost: the same for every variant. */
export function matmul(
  spec: MatmulSpec,
  caps: Caps,
  variant = chooseMatmul(shapeOfProduct(spec), caps),
): Dispatch {
  const { m, n, k, a, b, c } = spec;
  const outer = spec.outer ?? 1;
  const inner = spec.inner ?? 1;
  const batches = outer * inner;
  const activation = spec.activation ?? 'none';
  const rowTiles = ceilDiv(m, variant.rows);
  const colTiles = ceilDiv(n, variant.columns);
  const groups = rowTiles * colTiles * batches;
  const bindings: Binding[] = [
    { name: 'a', access: 'read', tensor: a.tensor },
    { name: 'b', access: 'read', tensor: b.tensor },
    { name: 'c', access: 'read_write', tensor: c.tensor },
  ];
  if (spec.bias !== undefined) bindings.push({ name: 'bias', access: 'read', tensor: spec.bias });
  if (spec.pre !== undefined) bindings.push({ name: 'pre', access: 'read_write', tensor: spec.pre });
  if (spec.limit) bindings.push({ name: 'limits', access: 'read', tensor: spec.limit.tensor });

  const kTotal = spec.limit ? spec.limit.total * inner : k * batches;
  const macs = m * n * kTotal;
  const stored = m * n * batches;
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
      TRANS_A: Number(spec.transA ?? false),
      TRANS_B: Number(spec.transB ?? false),
      BIAS: Number(spec.bias !== undefined),
      SAVE_PRE: Number(spec.pre !== undefined),
      LIMIT: Number(spec.limit !== undefined),
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
    flops: 2 * macs + stored * perElement,
    bytesRead: 4 * ((m + n) * kTotal + (spec.bias !== undefined ? n : 0) + (spec.accumulate ? stored : 0)),
    bytesWritten: 4 * stored * (spec.pre !== undefined ? 2 : 1),
  };
}

/** Rows of a tensor seen as a matrix: all leading dimensions folded. */
export const rowsOf = (shape: Shape): number => sizeOf(shape.slice(0, -1));
