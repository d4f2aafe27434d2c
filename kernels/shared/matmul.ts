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
import type { MatmulForm } from './matmul-form.ts';

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
  alignedC: boolean;
  transA?: boolean;
  transB?: boolean;
}

const WORKGROUP = 64;
/** With fewer workgroups than this some cores stand still: a weight gradient of 64 x 64 would be one workgroup. */
const BUSY_GROUPS = 8;
const smallWorkgroup = (caps: Caps): number => (caps.software ? 8 : 32);
/** Below this many invocations a GPU idles, and a smaller block that makes more of them wins. */
const BUSY_INVOCATIONS = 16384;
/** Side of the smaller tile of C. With fewer rows, columns or steps of k most of its lanes would compute nothing. */
const SMALL_TILE = 32;
/** From this many multiply-adds on a CPU gets back what compiling blocks of 16 x 16 takes, 0.7 s, in some thousand runs. */
const LARGE_MACS = 2 ** 22;
/** Operands of a batch up to this many bytes stay in the smallest first-level caches of GPUs. */
const CACHED_BYTES = 16384;

/** True where blocks of tm x tn elements of C make enough invocations to fill a GPU. */
const fillsGpu = ({ m, n, batches }: MatmulShape, tm: number, tn: number): boolean =>
  ceilDiv(m, tm) * ceilDiv(n, tn) * batches >= BUSY_INVOCATIONS;

const vectors = ({ alignedA, alignedB }: MatmulShape) => ({
  VEC_A: Number(alignedA),
  VEC_B: Number(alignedB),
});

/** The direct form in blocks of C of TM x TN a lane. */
const direct = (shape: MatmulShape, TM: number, TN: number, WG_X: number, WG_Y: number): MatmulVariant => ({
  shader: 'matmul',
  constants: {
    ...{ TM, TN, WG_X, WG_Y },
    ...vectors(shape),
    VEC_C: Number(shape.alignedC && shape.n % 4 === 0),
  },
  rows: TM * WG_Y,
  columns: TN * WG_X,
});

/**
 * Blocks of C of up to 8 x 8 in registers, operands straight from memory: no barriers, right on every device.
 * @param block the most rows and columns of a block; absent: 8, or 4 where that keeps a GPU busy
 */
export function directVariant(shape: MatmulShape, caps: Caps, block?: 4 | 8): MatmulVariant {
  let TM = block === 4 || shape.m <= 4 ? 4 : 8;
  let TN = block === 4 || shape.n <= 4 ? 4 : 8;
  if (block === undefined && !caps.software && !fillsGpu(shape, TM, TN)) {
    TM = 4;
    TN = 4;
  }
  let WG_X = 1;
  while (WG_X < 8 && WG_X * TN < shape.n) WG_X *= 2;
  let WG_Y = WORKGROUP / WG_X;
  const groups = () => ceilDiv(shape.m, TM * WG_Y) * ceilDiv(shape.n, TN * WG_X) * shape.batches;
  while (WG_X * WG_Y > smallWorkgroup(caps) && groups() < BUSY_GROUPS) WG_Y /= 2;
  return direct(shape, TM, TN, WG_X, WG_Y);
}

/** Lanes that a CPU runs as one vector; it computes all of them where one is needed. */
const VECTOR_LANES = 4;
/** Time of a multiply-add in blocks of 16 x 16, of that in blocks of 8 x 8: measured at 512³ and 256x768x3072. */
const LARGE_BLOCK_TIME = 0.65;

/** Elements of C that a CPU computes, of no use past the edges included: whole vectors of lanes. */
function computedElements({ m, n }: MatmulShape, { constants: { TM, TN, WG_X } }: MatmulVariant): number {
  const lanes = Math.min(VECTOR_LANES, Number(WG_X));
  const [rows, columns] = [(Number(TM) * VECTOR_LANES) / lanes, Number(TN) * lanes];
  return rows * ceilDiv(m, rows) * columns * ceilDiv(n, columns);
}

/**
 * Blocks of 16 x 16: half the loads of 8 x 8 a multiply-add. A GPU has no registers for 256 sums a lane; a CPU, whose 8 x 8
 * lie in memory too, is faster for it. A workgroup is one vector, beside or below one another, whichever fits C best.
 */
export function largeVariant(shape: MatmulShape): MatmulVariant {
  const [square, ...others] = [2, 1, 4].map((x) => direct(shape, 16, 16, x, VECTOR_LANES / x));
  return others.reduce(
    (best, other) => (computedElements(shape, other) < computedElements(shape, best) ? other : best),
    square,
  );
}

/** What a software device takes: blocks of 16 x 16 for large products that do not waste what these gain. */
function softwareVariant(shape: MatmulShape, caps: Caps): MatmulVariant {
  const { m, n, k, batches } = shape;
  const small = directVariant(shape, caps);
  if (m * n * k * batches < LARGE_MACS) return small;
  const large = largeVariant(shape);
  return LARGE_BLOCK_TIME * computedElements(shape, large) < computedElements(shape, small) ? large : small;
}

/**
 * Tiles of C of 64 x 64 (8 x 8 a lane) or 32 x 32 (4 x 4 a lane), operands staged in workgroup memory 16 or 32 steps of
 * k at a time: 8.5 and 9 KiB.
 */
export const tiledVariant = (shape: MatmulShape, tile: 32 | 64): MatmulVariant => ({
  shader: 'matmul-tiled',
  constants: { TILE: tile, BK: 1024 / tile, ...vectors(shape), VEC_C: 0 },
  rows: tile,
  columns: tile,
});

const powerOfTwoFrom = (count: number): number => 2 ** (32 - Math.clz32(Math.max(1, count) - 1));

/**
 * The class of shapes that one measurement speaks for: layout of A and B (N as stored, T transposed), m x n x k x batches
 * rounded up to powers of two, and whether both operands are read four elements at a time.
 */
export function shapeClass({ m, n, k, batches, transA, transB, ...shape }: MatmulShape): string {
  const layout = (transA ? 'T' : 'N') + (transB ? 'T' : 'N');
  const sizes = [m, n, k, batches].map(powerOfTwoFrom).join('x');
  return `${layout} ${sizes}${shape.alignedA && shape.alignedB ? '' : ' unaligned'}`;
}

/** The variant of one form. */
export function variantOf(form: MatmulForm, shape: MatmulShape, caps: Caps): MatmulVariant {
  if (form === 'direct-4') return directVariant(shape, caps, 4);
  if (form === 'direct-8') return directVariant(shape, caps, 8);
  if (form === 'direct-16') return largeVariant(shape);
  if (form === 'tiled-32') return tiledVariant(shape, 32);
  if (form === 'tiled-64') return tiledVariant(shape, 64);
  return defaultVariant(shape, caps);
}

/** Picks the variant: pure, testable without a device. What was measured on the device goes before the built-in choice. */
export const chooseMatmul = (shape: MatmulShape, caps: Caps): MatmulVariant =>
  variantOf(caps.tuning?.[shapeClass(shape)] ?? 'default', shape, caps);

/**
 * The built-in choice.
 *
 * A software device takes the direct form: barriers and workgroup memory cost it more than they save (1.6 times the
 * time at 512³); large products in blocks of 16 x 16. On a GPU the direct form reads 1 byte a multiply-add at 8 x 8, and
 * rows that neighbouring lanes read lie in different cache lines, so it lives on the first-level cache. A 64 x 64 tile
 * reads 1/8 byte, a 32 x 32 one 1/4, in whole lines. That pays once the operands of a batch outgrow that cache (16 KiB)
 * and the product fills a tile in m, n and k. A lane's block is 8 x 8 where that makes 16,384 lanes, 256 workgroups, else
 * 4 x 4, as in the direct form: no fewer lanes are at work in tiles.
 */
function defaultVariant(shape: MatmulShape, caps: Caps): MatmulVariant {
  if (caps.software) return softwareVariant(shape, caps);
  const { m, n, k } = shape;
  const fillsTile = Math.min(m, n, k) >= SMALL_TILE;
  if (!fillsTile || 4 * (m + n) * k <= CACHED_BYTES) return directVariant(shape, caps);
  return tiledVariant(shape, fillsGpu(shape, 8, 8) ? 64 : 32);
}

const aligned = (x: Matrix): boolean =>
  [x.row, x.offset ?? 0, x.outer ?? 0, x.inner ?? 0].every((stride) => stride % 4 === 0);

/** The shape of a product, for the choice of its variant. */
export function shapeOfProduct(spec: MatmulSpec): MatmulShape {
  const { m, n, k, transA, transB, outer = 1, inner = 1 } = spec;
  const batches = outer * inner;
  const [alignedA, alignedB, alignedC] = [spec.a, spec.b, spec.c].map(aligned);
  return { m, n, k, transA, transB, batches, alignedA, alignedB, alignedC };
}

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
