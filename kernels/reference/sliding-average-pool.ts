import { InputError } from '../errors.ts';
import { bindShapes, checkLengths, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensor, RefTensors } from './types.ts';

/**
 * The param `scales`: widths of the windows, in the order given.
 *
 * @throws InputError that names kernel and parameter unless they are distinct positive integers, at least one.
 */
export function scalesParam(kernel: string, params: RefParams): number[] {
  const scales: unknown = params.scales;
  const valid =
    Array.isArray(scales) &&
    scales.length > 0 &&
    scales.every((r) => Number.isInteger(r) && r > 0) &&
    new Set(scales).size === scales.length;
  if (!valid) {
    const given = JSON.stringify(scales);
    throw new InputError(`${kernel}: param scales must be distinct positive integers, got ${given}`);
  }
  return scales as number[];
}

/**
 * The first `length` rows of batch row b of x [B,L,n], each cut to columns first..first+width−1 and copied. Rows
 * beyond are never read.
 */
export function validRows(
  x: RefTensor,
  b: number,
  length: number,
  first: number,
  width: number,
): Float64Array[] {
  const [, L, n] = x.shape;
  return Array.from({ length }, (_, l) => {
    const start = (b * L + l) * n + first;
    return Float64Array.from(x.data.subarray(start, start + width));
  });
}

/** P_r times the rows: row j of the n−r+1 (none where n < r) is the mean of rows j..j+r−1. */
export function slidingMean(rows: readonly Float64Array[], r: number): Float64Array[] {
  return Array.from({ length: Math.max(0, rows.length - r + 1) }, (_, j) =>
    rows[0].map((_, c) => rows.slice(j, j + r).reduce((sum, row) => sum + row[c], 0) / r),
  );
}

/** P_rᵀ times the gradient of `slidingMean`, added to `gradRows`: each row j gives its r-th part to rows j..j+r−1. */
export function slidingMeanBackward(
  grad: readonly Float64Array[],
  r: number,
  gradRows: Float64Array[],
): void {
  grad.forEach((row, j) => {
    for (let m = 0; m < r; m++) row.forEach((g, c) => (gradRows[j + m][c] += g / r));
  });
}

function bind(inputs: RefTensors, params: RefParams) {
  const sizes = bindShapes('sliding-average-pool', inputs, { x: 'B L d', lengths: 'i32 B' });
  checkLengths('sliding-average-pool', inputs.lengths, sizes.L);
  return { B: sizes.B, L: sizes.L, d: sizes.d, scales: scalesParam('sliding-average-pool', params) };
}

/**
 * `sliding-average-pool` (docs/spec.md#sliding-average-pool): for every r of `scales`, `out.<r>` [B,max(0,L−r+1),d],
 * whose row j is the mean of rows j..j+r−1 of x [B,L,d]; 0 where j+r > lengths i32[B], whatever the padding holds.
 */
export const slidingAveragePoolReference: Reference = {
  forward(inputs, params) {
    const { B, L, d, scales } = bind(inputs, params);
    const outputs: RefTensors = {};
    for (const r of scales) {
      const segments = Math.max(0, L - r + 1);
      const out = zeros([B, segments, d]);
      for (let b = 0; b < B; b++) {
        const means = slidingMean(validRows(inputs.x, b, inputs.lengths.data[b], 0, d), r);
        means.forEach((row, j) => out.data.set(row, (b * segments + j) * d));
      }
      outputs[`out.${r}`] = out;
    }
    return outputs;
  },

  backward(inputs, params, grads) {
    const { B, L, d, scales } = bind(inputs, params);
    const gradX = zeros(inputs.x.shape);
    for (const r of scales) {
      const segments = Math.max(0, L - r + 1);
      const shape = [B, segments, d];
      const gradOut = { shape, data: upstream('sliding-average-pool', grads, `out.${r}`, shape) };
      for (let b = 0; b < B; b++) {
        const length = inputs.lengths.data[b];
        const gradRows = Array.from({ length }, () => new Float64Array(d));
        slidingMeanBackward(validRows(gradOut, b, Math.max(0, length - r + 1), 0, d), r, gradRows);
        gradRows.forEach((row, l) => row.forEach((g, c) => (gradX.data[(b * L + l) * d + c] += g)));
      }
    }
    return { grad_x: gradX };
  },
};
