/** Which form of the matrix product (matmul.ts) computes it: pure functions of shape and device, without a device. */
import { ceilDiv, type Caps, type Shader, type SubgroupMatrix } from '../plan.ts';
import type { MatmulForm } from './matmul-form.ts';
import matmulWgsl from '../../shaders/matmul.wgsl';
import matmulQuadsWgsl from '../../shaders/matmul-quads.wgsl';
import matmulSubgroupMatrixWgsl from '../../shaders/matmul-subgroup-matrix.wgsl';
import matmulTiledWgsl from '../../shaders/matmul-tiled.wgsl';

/** A form of the product: its shader, what that is specialised with, and the part of C that a workgroup computes. */
export interface MatmulVariant {
  shader: Shader;
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
  /** The sum over k may stop at any step. */
  limited?: boolean;
  /** A is rows and B a weight stored [n, k], and both may be rounded to f16 where `Caps.subgroupMatrix` is there. */
  rounds?: boolean;
}

const WORKGROUP = 64;
/** With fewer workgroups than this some cores stand still: a weight gradient of 64 x 64 would be one workgroup. */
const BUSY_GROUPS = 8;
const smallWorkgroup = (caps: Caps): number => (caps.software ? 8 : 32);
/** Below this many invocations a GPU idles, and a smaller block that makes more of them wins. */
const BUSY_INVOCATIONS = 16384;
/** The cores of a large GPU (an H100 has 132). */
const BUSY_CORES = 128;
/** From this many steps of k on a quarter of them is worth the sums that are exchanged. */
const SPLIT_STEPS = 64;
/** Side of the smallest tile of C. With fewer rows, columns or steps of k most of its lanes would compute nothing. */
const SMALL_TILE = 32;
/** From this many multiply-adds on a CPU gets back what compiling blocks of 16 x 16 takes, 0.7 s, in some thousand runs. */
const LARGE_MACS = 2 ** 22;
/** The same for quads' tiles of 32 x 32, which gain an eighth on those of 16 x 16 and take 1 s in place of 0.2 s. */
const LARGE_QUAD_MACS = 2 ** 25;
/** Operands of a batch up to this many bytes stay in the smallest first-level caches of GPUs. */
const CACHED_BYTES = 16384;

const vectors = (shape: MatmulShape) => ({
  VEC_A: Number(shape.alignedA),
  VEC_B: Number(shape.alignedB),
  VEC_C: Number(shape.alignedC && shape.n % 4 === 0),
});

/** The direct form in blocks of C of TM x TN a lane. */
const direct = (shape: MatmulShape, TM: number, TN: number, WG_X: number, WG_Y: number): MatmulVariant => ({
  shader: matmulWgsl,
  constants: { ...{ TM, TN, WG_X, WG_Y }, ...vectors(shape) },
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
  const lanes = ceilDiv(shape.m, TM) * ceilDiv(shape.n, TN) * shape.batches;
  if (block === undefined && !caps.software && lanes < BUSY_INVOCATIONS) {
    TM = 4;
    TN = 4;
  }
  let WG_X = 1;
  while (WG_X < 8 && WG_X * TN < shape.n) WG_X *= 2;
  let WG_Y = WORKGROUP / WG_X;
  const groups = () => ceilDiv(shape.m, TM * WG_Y) * ceilDiv(shape.n, TN * WG_X) * shape.batches;
  const idle = () => (WG_Y / 2) * TM >= shape.m;
  while (WG_X * WG_Y > smallWorkgroup(caps) && (groups() < BUSY_GROUPS || idle())) WG_Y /= 2;
  return direct(shape, TM, TN, WG_X, WG_Y);
}

/** Lanes that a CPU runs as one vector; it computes all of them where one is needed. */
const VECTOR_LANES = 4;

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

/** Tiles of C of 16 x 16 or 32 x 32 by a quad of lanes, each of which loads a quarter of the tile's rows and columns. */
export const quadVariant = (shape: MatmulShape, tile: 16 | 32): MatmulVariant => ({
  shader: matmulQuadsWgsl,
  constants: {
    TILE: tile,
    ...vectors(shape),
    TAIL: Number(shape.limited || shape.k % 4 !== 0),
  },
  rows: tile,
  columns: tile,
});

/** Elements of C that a CPU computes, of no use past the edges included: whole vectors of lanes. */
function computedElements({ m, n }: MatmulShape, variant: MatmulVariant): number {
  const { TM, TN, WG_X } = variant.constants;
  let { rows, columns } = variant;
  if (variant.shader === matmulWgsl) {
    const lanes = Math.min(VECTOR_LANES, WG_X);
    [rows, columns] = [(TM * VECTOR_LANES) / lanes, TN * lanes];
  }
  return rows * ceilDiv(m, rows) * columns * ceilDiv(n, columns);
}

/** Time of a multiply-add by form, of that in blocks of 8 x 8: measured at 512³, 256x768x3072 and 552x64x64. */
const softwareTimes = { 'direct-8': 1, 'direct-16': 0.65, 'quads-16': 0.65, 'quads-32': 0.55 } as const;

/** Whether a quad is the whole vector that the device runs. */
const runsQuads = ({ subgroupMinSize, subgroupMaxSize }: Caps): boolean =>
  subgroupMinSize === VECTOR_LANES && subgroupMaxSize === VECTOR_LANES;

/** What a software device takes: the form that is fastest in the elements that it computes; large ones for large products. */
function softwareVariant(shape: MatmulShape, caps: Caps): MatmulVariant {
  const { m, n, k, batches } = shape;
  const macs = m * n * k * batches;
  const forms: (keyof typeof softwareTimes)[] = ['direct-8'];
  if (runsQuads(caps)) {
    forms.push('quads-16');
    if (macs >= LARGE_QUAD_MACS) forms.push('quads-32');
  } else if (macs >= LARGE_MACS) forms.push('direct-16');
  const [best] = forms
    .map((form) => {
      const variant = form === 'direct-8' ? directVariant(shape, caps) : variantOf(form, shape, caps);
      return { variant, time: softwareTimes[form] * computedElements(shape, variant) };
    })
    .sort((p, q) => p.time - q.time);
  return best.variant;
}

/**
 * Tiles of C in workgroup memory, the next steps of k staged meanwhile: 128 x 128 by 256 lanes in 16 KiB, 64 x 64 by 64 in
 * 8 KiB, 8 x 8 a lane: on two families of GPU at least 88 % of the loop's instructions are multiply-adds. 32 x 32 by 64 lanes
 * in 8 KiB, 4 x 4 a lane: 75 to 82 %, but four times the lanes of 64 x 64.
 * @param split 4, for tiles of 32 alone: by four times as many lanes in 16 KiB, each quarter of them in a quarter of k
 */
export function tiledVariant(shape: MatmulShape, tile: 32 | 64 | 128, split: 1 | 4 = 1): MatmulVariant {
  const BLOCK = tile === 32 ? 4 : 8;
  const BK = tile === 32 && split === 1 ? 16 : 8;
  const TAIL = Number(shape.limited || shape.k === 0 || shape.k % (split * BK) !== 0);
  // 512 multiply-adds a round, or 1024, beside which the loop's own instructions are few.
  const TURNS = split === 4 ? 4 : 2;
  return {
    shader: matmulTiledWgsl,
    constants: { TILE: tile, BLOCK, BK, SPLIT: split, TURNS, ...vectors(shape), TAIL },
    rows: tile,
    columns: tile,
  };
}

const groupsOf = ({ m, n, batches }: MatmulShape, tile: number): number =>
  ceilDiv(m, tile) * ceilDiv(n, tile) * batches;

/** Whether tiles compute at most a quarter more than those of half their side: what hangs over the edge of C nobody needs. */
const fills = (shape: MatmulShape, tile: number): boolean =>
  4 * tile * tile * groupsOf(shape, tile) <= 5 * (tile / 2) ** 2 * groupsOf(shape, tile / 2);

/** Lanes of the largest subgroup of which four make a workgroup, and elements of C that one hands over at a time. */
const [MOST_LANES, HANDED] = [64, 256];

/** Whether products take matrices of a subgroup of at most so many lanes: they divide a quarter of a tile, and its steps of k. */
export const takesMatrix = ({ m, n, k }: SubgroupMatrix, lanes: number): boolean =>
  lanes >= 1 &&
  lanes <= MOST_LANES &&
  [m, n].every((side) => [8, 16, 32].includes(side)) &&
  m * n <= HANDED &&
  16 % k === 0;

/** Tiles of C by the matrices of four subgroups of at most so many lanes, for operands in quads: BK steps of k are staged in f16. */
export function subgroupMatrixVariant(
  shape: MatmulShape,
  tile: 64 | 128,
  { m, n, k }: SubgroupMatrix,
  lanes: number,
): MatmulVariant {
  const BK = 2048 / tile;
  const sizes = { TILE: tile, BK, M: m, N: n, K: k, LANES: lanes };
  return {
    shader: matmulSubgroupMatrixWgsl,
    constants: { ...sizes, ...vectors(shape), TAIL: Number(shape.k % BK !== 0) },
    rows: tile,
    columns: tile,
  };
}

/**
 * What is taken where the opener of a device asked for its matrices: tiles of 128 x 128 where that makes a workgroup for each core
 * of a large GPU, else of 64 x 64. Undefined for products that may not be rounded, that are not in quads, or of fewer than eight tiles.
 */
function roundedVariant(shape: MatmulShape, caps: Caps): MatmulVariant | undefined {
  const { subgroupMatrix: matrix, subgroupMaxSize: lanes } = caps;
  const { m, n, k, alignedA, alignedB, alignedC } = shape;
  if (!matrix || !takesMatrix(matrix, lanes) || !shape.rounds) return undefined;
  if (!(alignedA && alignedB && alignedC && n % 4 === 0)) return undefined;
  if (Math.min(m, n) < 64 || k < 32 || groupsOf(shape, 64) < BUSY_GROUPS) return undefined;
  const tile = groupsOf(shape, 128) >= BUSY_CORES && fills(shape, 128) ? 128 : 64;
  return subgroupMatrixVariant(shape, tile, matrix, lanes);
}

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
  if (form === 'quads-16' && caps.subgroupMinSize >= VECTOR_LANES) return quadVariant(shape, 16);
  if (form === 'quads-32' && caps.subgroupMinSize >= VECTOR_LANES) return quadVariant(shape, 32);
  if (form === 'tiled-32') return tiledVariant(shape, 32);
  if (form === 'split-32') return tiledVariant(shape, 32, 4);
  if (form === 'tiled-64') return tiledVariant(shape, 64);
  if (form === 'tiled-128') return tiledVariant(shape, 128);
  return defaultVariant(shape, caps);
}

/**
 * Picks the variant: pure, testable without a device. What was asked for goes before what was measured on the device, and that
 * before the built-in choice.
 */
export const chooseMatmul = (shape: MatmulShape, caps: Caps): MatmulVariant =>
  roundedVariant(shape, caps) ?? variantOf(caps.tuning?.[shapeClass(shape)] ?? 'default', shape, caps);

/**
 * The built-in choice.
 *
 * A software device takes the form of quads where a quad is its vector, else the direct one: barriers and workgroup memory
 * cost it more than they save (1.6 times the time at 512³). On a GPU the direct form reads 1 byte a multiply-add at 8 x 8,
 * and rows that neighbouring lanes read lie in different cache lines, so it lives on the first-level cache. A 128 x 128
 * tile reads 1/16 byte, a 64 x 64 one 1/8, a 32 x 32 one 1/4, in whole lines. That pays once the operands of a batch
 * outgrow that cache (16 KiB) and the product fills a tile in m, n and k. Then 128 x 128 where that makes 128 workgroups,
 * one for each core of a large GPU; 64 x 64 where that makes 256, of a quarter of the lanes; neither where it computes over a
 * quarter more than tiles of half its side; else 32 x 32, with k split over four times the lanes where there would be fewer
 * than 32,768 and k has 16 steps for each.
 */
function defaultVariant(shape: MatmulShape, caps: Caps): MatmulVariant {
  if (caps.software) return softwareVariant(shape, caps);
  const { m, n, k } = shape;
  const fillsTile = Math.min(m, n, k) >= SMALL_TILE;
  if (!fillsTile || 4 * (m + n) * k <= CACHED_BYTES) return directVariant(shape, caps);
  const groups = (tile: number) => groupsOf(shape, tile);
  if (groups(128) >= BUSY_CORES && fills(shape, 128)) return tiledVariant(shape, 128);
  if (groups(64) >= 2 * BUSY_CORES && fills(shape, 64)) return tiledVariant(shape, 64);
  return tiledVariant(shape, SMALL_TILE, groups(SMALL_TILE) < 4 * BUSY_CORES && k >= SPLIT_STEPS ? 4 : 1);
}
