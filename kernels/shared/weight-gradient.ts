/** Gradients of weights and biases: small matrices that are sums over thousands of rows, in one product or in two passes. */
import { columnSum } from '../column-sum.ts';
import { ceilDiv, spec, type Caps } from '../plan.ts';
import { matmul } from './matmul.ts';
import type { PlanPart } from './segments.ts';

/** Workgroups that fill a GPU, at a tile of 32 x 32 each. */
const BUSY_TILES = 256;
const TILE = 32;
/** Rows a part: writing and reading its partial tile then costs an eighth of reading its operands. */
const PART_ROWS = 256;
/** As many parts as `column-sum` adds in one dispatch. */
const MOST_PARTS = 64;

/**
 * Into how many parts the rows of a weight gradient [n, k] are split (pure): 1 on a software device, whose few cores are
 * busy anyway; on a GPU as many as fill it, so that scratch stays within 256 tiles, 1 MiB.
 */
export function chooseParts(rows: number, n: number, k: number, caps: Caps): number {
  if (caps.software) return 1;
  const tiles = ceilDiv(n, TILE) * ceilDiv(k, TILE);
  const parts = Math.min(MOST_PARTS, Math.floor(rows / PART_ROWS), Math.floor(BUSY_TILES / tiles));
  return Math.max(1, parts);
}

/**
 * The plan of out [n, k] = gᵀ · x for g [rows, n] and x [rows, k], none of them 0. Parts of the rows are multiplied side
 * by side and added in their order: the same bits on every run. Scratch and data names begin with `out`.
 * @param bias takes the gradient of the bias [n] too, the sum of g's rows: the product has them in hand
 * @param f16 which of the two are stored so
 */
export function weightGradient(
  label: string,
  g: string,
  x: string,
  rows: number,
  n: number,
  k: number,
  out: string,
  caps: Caps,
  bias?: string,
  f16: { g?: boolean; x?: boolean } = {},
): PlanPart {
  const product = { label, m: n, n: k, transA: true };
  const wanted = chooseParts(rows, n, k, caps);
  if (wanted === 1) {
    const whole = matmul(
      {
        ...product,
        k: rows,
        a: { tensor: g, row: n, f16: f16.g },
        b: { tensor: x, row: k, f16: f16.x },
        c: { tensor: out, row: k },
        ...(bias ? { sums: bias } : {}),
      },
      caps,
    );
    return { dispatches: [whole], scratch: {}, data: {} };
  }
  const size = ceilDiv(rows, wanted);
  const parts = ceilDiv(rows, size);
  const [partial, biasPartial, limits] = ['partial', 'bias_partial', 'rows'].map((name) => `${out}_${name}`);
  const products = matmul(
    {
      ...product,
      k: size,
      outer: parts,
      a: { tensor: g, row: n, outer: size * n, f16: f16.g },
      b: { tensor: x, row: k, outer: size * k, f16: f16.x },
      c: { tensor: partial, row: k, outer: n * k },
      limit: { tensor: limits, total: rows },
      ...(bias ? { sums: biasPartial } : {}),
    },
    caps,
  );
  // As many parts as one dispatch adds need no scratch.
  const added = (from: string, size: number, to: string) =>
    columnSum(label, from, parts, size, to, `${to}_sum`, caps).dispatches;
  return {
    dispatches: [products, ...added(partial, n * k, out), ...(bias ? added(biasPartial, n, bias) : [])],
    scratch: { [partial]: spec([parts, n, k]), ...(bias ? { [biasPartial]: spec([parts, n]) } : {}) },
    data: { [limits]: Int32Array.from({ length: parts }, (_, part) => Math.min(size, rows - part * size)) },
  };
}
