/**
 * What the formulas of costs leave out of what is executed, or count in place of it (docs/spec.md#costs), by shader: each
 * exactly, from the dispatch alone, and where nothing is padding (cases.ts). What is not here is equal.
 */
import type { Dispatch } from '../../../kernels/plan.ts';

/** What is executed beyond the formulas. */
export interface Beyond {
  macs?: number;
  /** Those that are no multiply-adds; `flops` has two more for each of `macs`. */
  others?: number;
  bytesRead?: number;
  bytesWritten?: number;
}

const constant = ({ constants }: Dispatch, name: string): number => Number(constants[name] ?? 0);
const uniform = ({ uniforms }: Dispatch, i: number): number => {
  const value = uniforms[i];
  return typeof value === 'number' ? value : value.f32;
};

/**
 * Rows whose columns several lanes, or the components of a vec4f, share: adding up what each has (`sums` times a row), and
 * what every lane computes of the row again (`scalars` operations).
 */
function rowSums(sums: number, scalars: number) {
  return (d: Dispatch): Beyond => {
    const [lanes, fan] = [constant(d, 'WG'), constant(d, 'FAN')];
    const components = 3 * constant(d, 'VEC');
    const row = constant(d, 'ROW_PER_LANE')
      ? sums * components
      : sums * (lanes * components + lanes - fan + lanes * (fan - 1)) + (lanes - 1) * scalars;
    return { others: uniform(d, 0) * row };
  };
}

/**
 * alpha is multiplied with where it is 1; every block of columns of C makes the sums of A's rows again, and parts of k are
 * added up. An operand that all products share is read for each of them.
 */
function product(columnBlocks: (d: Dispatch, n: number) => number) {
  return (d: Dispatch): Beyond => {
    const [m, n, k, rowTiles, columnTiles, groups] = [0, 1, 2, 3, 4, 5].map((i) => uniform(d, i));
    const batches = groups / (rowTiles * columnTiles);
    const inner = uniform(d, 18);
    const alpha = uniform(d, 19) === 1 ? m * n * batches : 0;
    const parts = Math.max(0, constant(d, 'SPLIT') - 1) * m * n * batches;
    // The lanes that staged a row of A have a sum each.
    const lanes = constant(d, 'SPLIT') * ((4 * constant(d, 'TILE')) / constant(d, 'BLOCK') ** 2);
    const sums = constant(d, 'SUMS') ? m * batches * (k * (columnBlocks(d, n) - 1) + (lanes || 0)) : 0;
    // Strides from batch to batch: 0 where it is the same matrix.
    const shared = (at: number): number =>
      (uniform(d, at) === 0 ? batches / inner : 1) * (uniform(d, at + 1) === 0 ? inner : 1);
    const again = (elements: number, at: number): number =>
      (elements * batches * (1 - shared(at))) / shared(at);
    return { others: alpha + parts + sums, bytesRead: 4 * (again(m * k, 8) + again(k * n, 12)) };
  };
}

/** A recurrence backward: the parts of the gates for the token before lie in a vec4f, a gru's fourth for nothing. */
function recurrentBackward(d: Dispatch): Beyond {
  const [batch, length] = [uniform(d, 0), uniform(d, 1)];
  const units = constant(d, 'HIDDEN') * constant(d, 'DIRECTIONS') * batch;
  if (constant(d, 'STEPS')) return {};
  return { macs: constant(d, 'GATES') === 3 ? d.macs / 3 : 0, others: 4 * units * (length - 1) };
}

/** Rows and lanes of a pass of sliding-average-pool, whose lanes have TILE rows each. */
function sliding(d: Dispatch) {
  const [size, width, length, tiles] = [0, 1, 2, 3].map((i) => uniform(d, i));
  const scales = [...(d.constants.SCALES as readonly number[])].sort((a, b) => a - b);
  const lanes = constant(d, 'LANES');
  return { columns: (size / tiles) * lanes, length, tiles, tile: constant(d, 'TILE'), scales, width };
}

/** Sums of rows after the last window go on with the others. */
function slidingForward(d: Dispatch): Beyond {
  const { columns, length, tiles, tile, scales } = sliding(d);
  const idle = scales.map(
    (r, i) => (tiles * tile - (length - r + 1)) * (r - Math.max(scales[i - 1] ?? 0, 1)),
  );
  return { others: columns * idle.reduce((a, b) => a + b, 0) };
}

/** Executed by column: a division for each tile that a window touches; TILE sums a step, and those of the scales. */
function slidingBackward(d: Dispatch): Beyond {
  const { columns, length, tiles, tile, scales } = sliding(d);
  const divisions = scales.flatMap((r) =>
    Array.from(
      { length: length - r + 1 },
      (_, j) => Math.floor((j + r - 1) / tile) - Math.floor(j / tile) + 1,
    ),
  );
  const steps = scales.map((r, i) => (r - (scales[i - 1] ?? 0)) * (tile + scales.length - 1 - i));
  const sums = tiles * steps.reduce((a, b) => a + b, scales.length * (tile - 1));
  return { others: columns * divisions.reduce((a, b) => a + b, sums) - d.flops };
}

export const conventions: Readonly<Record<string, (d: Dispatch) => Beyond>> = {
  'cross-entropy': rowSums(2, 0),
  'cross-entropy-backward': rowSums(2, 5),
  // `x · factor + offset` is counted as two operations, no multiply-add.
  elementwise: (d) =>
    d.flops === 2 * uniform(d, 0) ? { macs: uniform(d, 0), others: -2 * uniform(d, 0) } : {},
  'gaussian-kl': rowSums(2, 2),
  'graph-adjacency': (d) => (constant(d, 'BACKWARD') ? rowSums(2, 3) : rowSums(1, 2))(d),
  // A gru's three gates are summed in a vec4f.
  gru: (d) => ({ macs: d.macs / 3 }),
  'gru-backward': recurrentBackward,
  'layer-norm': rowSums(3, 8),
  'layer-norm-backward': rowSums(2, 2),
  'lstm-backward': recurrentBackward,
  matmul: product((d, n) => Math.ceil(n / constant(d, 'TN'))),
  'matmul-quads': product((d, n) => Math.ceil(n / constant(d, 'TILE'))),
  'matmul-tiled': product((d, n) => Math.ceil(n / constant(d, 'TILE'))),
  // A comparison of two values is counted as one.
  'range-max-pool': (d) => ({ others: -d.flops }),
  // An item that several segments name is read for each: a span's gradient is its first token's, its last's and its width's.
  'segment-sum': (d) =>
    d.label === 'span-score-backward' && d.bindings.some(({ tensor }) => tensor === 'grad_out')
      ? { bytesRead: (-4 * d.flops * 2) / 3 }
      : {},
  'sliding-average-pool': slidingForward,
  'sliding-average-pool-backward': slidingBackward,
  softmax: rowSums(2, 1),
  'softmax-backward': rowSums(1, 0),
  // Products that are added are counted as multiply-adds, though WGSL has a multiplication and an addition.
  'weighted-sum': (d) => ({ macs: -d.macs, others: 2 * d.macs }),
};
