/**
 * What the formulas of costs leave out of what is executed, or count in place of it (docs/spec.md#costs), by shader: each
 * exactly, from the dispatch alone, and where nothing is padding (cases.ts). What is not here is equal.
 */
import type { Dispatch, Plan } from '../../../kernels/plan.ts';
import { constant, list, uniform, type Beyond } from './beyond.ts';
import { fusedConventions } from './fused-conventions.ts';
import { visibilityConventions } from './visibility-conventions.ts';

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

/** Rows, columns and steps of k that a lane or a workgroup of each form takes at once. */
const blocks: Readonly<Record<string, (d: Dispatch) => [rows: number, columns: number, steps: number]>> = {
  matmul: (d) => [constant(d, 'TM'), constant(d, 'TN'), 1],
  'matmul-quads': (d) => [constant(d, 'TILE'), constant(d, 'TILE'), 4],
  'matmul-tiled': (d) => [constant(d, 'TILE'), constant(d, 'TILE'), constant(d, 'SPLIT') * constant(d, 'BK')],
};
const upTo = (count: number, step: number): number => step * Math.ceil(count / step);

/**
 * Blocks are whole, also at an edge. alpha is multiplied with where it is 1; every block of columns of C makes the sums of
 * A's rows again, and parts of k are added up. An operand that all products share is read for each of them.
 */
function product(d: Dispatch): Beyond {
  const [m, n, k, rowTiles, columnTiles, groups] = [0, 1, 2, 3, 4, 5].map((i) => uniform(d, i));
  const [tm, tn, tk] = blocks[d.shader.name](d);
  const [rows, columns, steps] = [upTo(m, tm), upTo(n, tn), upTo(k, tk)];
  const batches = groups / (rowTiles * columnTiles);
  const inner = uniform(d, 18);
  const alpha = uniform(d, 19) === 1 ? m * n : 0;
  const split = constant(d, 'SPLIT');
  const parts = Math.max(0, split - 1) * rows * columns;
  // The lanes that staged a row of A have a sum each.
  const lanes = split ? split * ((4 * constant(d, 'TILE')) / constant(d, 'BLOCK') ** 2) : 0;
  const sums = constant(d, 'SUMS') ? (rows * steps * columns) / tn - m * k + m * lanes : 0;
  // Rounding what is stored as f16 takes an addition.
  const halves = constant(d, 'F16_C') * (1 + constant(d, 'SAVE_PRE')) * m * n;
  // Strides from batch to batch: 0 where it is the same matrix.
  const shared = (at: number): number =>
    (uniform(d, at) === 0 ? batches / inner : 1) * (uniform(d, at + 1) === 0 ? inner : 1);
  // vec4s lie along the rows of a matrix as it is stored, and are read whole.
  const wide = (name: string, along: number, across: number, ofSteps: boolean): number =>
    constant(d, name) && (!ofSteps || tk > 1) ? (upTo(along, 4) - along) * across : 0;
  const a = constant(d, 'TRANS_A') ? wide('VEC_A', m, k, false) : wide('VEC_A', k, m, true);
  const b = constant(d, 'TRANS_B') ? wide('VEC_B', k, n, true) : wide('VEC_B', n, k, false);
  const again = (elements: number, at: number): number => elements * (1 / shared(at) - 1);
  return {
    macs: batches * (rows * columns * steps - m * n * k),
    others: batches * (alpha + parts + sums + halves),
    bytesRead: 4 * batches * (again(m * k, 8) + again(k * n, 12) + a / shared(8) + b / shared(12)),
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
  const scales = [...list(d, 'SCALES')].sort((a, b) => a - b);
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

/** In a scan over scores a maximum is a comparison and a choice, and keys loaded together are added up, for a NaN among them. */
function sumsForNaN(d: Dispatch, rows: number, keys: number): number {
  const [together] = list(d, 'STEPS');
  return rows * (together - 1) * Math.floor(keys / together);
}

/** A walk over the scores of segment-attention, whose multiply-adds are counted as two operations: so many by segment. */
function segmentScan(multiplyAdds: number, tensors: number) {
  return (d: Dispatch): Beyond => {
    const [rows, keys] = [uniform(d, 0), uniform(d, 2)];
    const scales = list(d, 'SCALES').length;
    const pairs = rows * keys;
    const macs = multiplyAdds * scales * pairs;
    // The first keys complete no sum. Both walks read the scores; all rows have the same weights.
    return {
      macs,
      others:
        sumsForNaN(d, rows, keys) - scales * pairs - 2 * macs - tensors * rows * (constant(d, 'WINDOW') - 1),
      bytesRead: -4 * (tensors * pairs + scales * (rows - 1)),
    };
  };
}

/** Columns of a head in a scan of context-attention, and the invocations that share them. */
const columnsOf = (d: Dispatch): [headSize: number, group: number] => [
  constant(d, 'WIDTH') * constant(d, 'LANES'),
  constant(d, 'GROUP'),
];

/** Each invocation of a group makes what is made by row, by key or by state; running sums are multiply-adds. */
function contextScan(d: Dispatch): Beyond {
  const [headSize, group] = columnsOf(d);
  const visited = d.macs / headSize;
  const states = d.bytesWritten / (4 * (headSize + 1));
  return {
    macs: visited * group,
    others: visited * (3 * group - 5) + states * (2 * group - 1),
  };
}
function contextMerge(d: Dispatch): Beyond {
  const [headSize, group] = columnsOf(d);
  return { others: (d.macs / headSize) * (6 * group - 4) };
}
function contextSums(d: Dispatch): Beyond {
  const [headSize, group] = columnsOf(d);
  const rows = d.macs / headSize;
  return { macs: rows * group, others: rows * (4 * group - 6) };
}
function contextValues(d: Dispatch): Beyond {
  const [headSize, group] = columnsOf(d);
  return { others: (d.macs / headSize) * 2 * (group - 1) };
}
/** The components of a product's vec4f are added up. */
function contextBackward(d: Dispatch): Beyond {
  const visited = d.macs / columnsOf(d)[0];
  return { macs: visited, others: visited * (constant(d, 'LANES') - 1 - 2) };
}

/** As segmentScan; the formulas count every time that a segment reads its scores, and adds to sums in scratch. */
function segmentWide(multiplyAdds: number, tensors: number) {
  return (d: Dispatch): Beyond => {
    const [rows, keys] = [uniform(d, 0), uniform(d, 2)];
    const scales = list(d, 'SCALES');
    const macs = multiplyAdds * rows * scales.reduce((sum, r) => sum + keys - r + 1, 0);
    const read = tensors * rows * keys + scales.length + 1;
    const written = tensors * rows * (keys + constant(d, 'WINDOW'));
    const rowGrads = constant(d, 'GRAD_WEIGHTS') * rows * scales.length;
    return {
      macs,
      others: -2 * macs,
      bytesRead: 4 * read - d.bytesRead,
      bytesWritten: 4 * (written + rowGrads) - d.bytesWritten,
    };
  };
}

/** The scores are read in each of the two walks. */
function attention(d: Dispatch): Beyond {
  const [rows, keys] = [uniform(d, 0), uniform(d, 2)];
  const attended = (d.flops - 4 * rows) / 9;
  return { others: sumsForNaN(d, rows, keys) - attended, bytesRead: -4 * rows * keys };
}

export const conventions: Readonly<Record<string, (d: Dispatch, data: Plan['data']) => Beyond>> = {
  ...fusedConventions,
  ...visibilityConventions,
  // Rounding to f16 takes an addition. param, m and v are 12 bytes of an element, its copy 2.
  adamw: (d) => ({ others: constant(d, 'COPY') * (d.bytesWritten / 14) }),
  'activation-backward': (d) => ({ others: 4 * constant(d, 'F16') * uniform(d, 0) }),
  attention,
  'attention-delta': (d) => ({ others: uniform(d, 0) * (16 * (constant(d, 'LANES') - 1) + 15) }),
  'context-attention': contextMerge,
  'context-attention-backward': contextBackward,
  'context-attention-delta': (d) => ({
    others: (d.macs / columnsOf(d)[0]) * (constant(d, 'LANES') - 1),
  }),
  'context-attention-scan': contextScan,
  'context-attention-sums': contextSums,
  'context-attention-values': contextValues,
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
  matmul: product,
  'matmul-quads': product,
  'matmul-tiled': product,
  // A comparison of two values is counted as one.
  'range-max-pool': (d) => ({ others: -d.flops }),
  'segment-attention': segmentScan(2, 1),
  'segment-attention-backward': segmentScan(3, 2),
  'segment-attention-wide': segmentWide(1, 1),
  'segment-attention-wide-backward': segmentWide(2, 2),
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
