/** `clip-grad-norm`: the L2 norm of all gradients together, and the factor that brings it down to a maximum. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  f32,
  foldGrid,
  hostOf,
  numberParam,
  sizeOf,
  spec,
  type Dispatch,
  type Kernel,
  type PlanRequest,
} from './plan.ts';
import { columnSum } from './column-sum.ts';
import { LANES, runTable, type Run } from './shared/runs.ts';
import clipGradNormWgsl from '../shaders/clip-grad-norm.wgsl';

/** Elements that one workgroup squares and sums: 256 a lane. */
const GROUP_ELEMENTS = LANES * 256;
/** How many of them a lane loads before it uses the first, while there are so many. */
const STEPS: readonly number[] = [8, 1];

/** The sizes of grad0, grad1, … Errors: a gap between the numbers. */
function sizesOf({ shapes: { runs: _, ...shapes } }: PlanRequest): number[] {
  return Object.keys(shapes).map((_, i) => {
    const name = `grad${i}`;
    if (!Object.hasOwn(shapes, name))
      throw new InputError(
        `clip-grad-norm: inputs must be grad0, grad1, … without a gap; "${name}" is missing`,
      );
    return sizeOf(shapes[name]);
  });
}

/** (i of grad i, first element, size) of the runs of a request: all of every input where it has none. Errors: a run outside. */
function runsOf(
  request: PlanRequest,
  sizes: readonly number[],
): [grad: number, first: number, size: number][] {
  if (!request.shapes.runs) return sizes.map((size, grad) => [grad, 0, size]);
  const values = hostOf('clip-grad-norm', request, 'runs');
  expectShape('clip-grad-norm', 'runs', request.shapes.runs, [Math.ceil(values.length / 3), 3]);
  return Array.from({ length: values.length / 3 }, (_, row) => {
    const grad = values[3 * row];
    const first = values[3 * row + 1];
    const size = values[3 * row + 2];
    if (!(grad >= 0 && first >= 0 && size >= 0 && first + size <= sizes[grad]))
      throw new InputError(
        `clip-grad-norm: runs row ${row} = (${grad}, ${first}, ${size}) is no part of grad${grad}`,
      );
    return [grad, first, size];
  });
}

/** Errors: no power of two that an f32 has the reciprocal of. */
function lossScaleOf({ params }: PlanRequest): number | undefined {
  if (params.lossScale === undefined) return undefined;
  const scale = numberParam('clip-grad-norm', params, 'lossScale');
  if (!(scale >= 1 && scale <= 2 ** 126 && Number.isInteger(Math.log2(scale))))
    throw new InputError(
      `clip-grad-norm: parameter "lossScale" must be a power of two from 1 to 2^126, got ${scale}`,
    );
  return scale;
}

/**
 * norm = √(Σ over all gradients g²), scale = min(1, maxNorm / (norm + 1e-6)): PyTorch's clip_grad_norm_, whose factor
 * `adamw` takes as `grad_scale`, so the gradients are not written again. Inputs: `grad0`, `grad1`, … of any shapes,
 * numbered without a gap; with none the norm is 0. `runs` i32[R, 3], rows of (i, first, size), takes those elements of
 * `grad<i>` alone: the bits are those of as many inputs in that order. Additions have a fixed order. It has no gradient.
 *
 * `lossScale`: gradients are those of a loss times so much. norm is then that of the loss's own, scale divides by it too, and
 * `found_inf` is 1 where the norm is not finite, else 0: what `adamw` takes, as PyTorch's fused one with a GradScaler does.
 */
export const clipGradNorm: Kernel = {
  name: 'clip-grad-norm',
  doc: 'norm = L2 norm of grad0, grad1, … together; scale = min(1, maxNorm / (norm + 1e-6))',
  inputs: [
    {
      name: 'grad0',
      dtype: 'f32',
      shape: '[...]; and grad1, grad2, … as many as there are',
      optional: true,
      repeated: true,
    },
    { name: 'runs', dtype: 'i32', shape: '[R, 3]', optional: true, host: true },
  ],
  outputs: [
    { name: 'norm', dtype: 'f32', shape: '[1]' },
    { name: 'scale', dtype: 'f32', shape: '[1]' },
    { name: 'found_inf', dtype: 'f32', shape: '[1]', optional: true },
  ],
  params: [
    { name: 'maxNorm', doc: 'the largest norm that is left alone' },
    {
      name: 'lossScale',
      doc: 'what the loss was multiplied with, a power of two from 1 on; found_inf is given then',
    },
  ],
  tables: {
    'runs<i>':
      'a row for each run of elements of grad<i>: the first workgroup, 16384 elements each; first element; count; its first ' +
      'row of partials, those of all inputs numbered in the order of the runs',
  },
  plan(request) {
    const { caps } = request;
    const maxNorm = numberParam('clip-grad-norm', request.params, 'maxNorm');
    if (maxNorm < 0)
      throw new InputError(`clip-grad-norm: parameter "maxNorm" must be at least 0, got ${maxNorm}`);
    const lossScale = lossScaleOf(request);
    const isScaled = lossScale !== undefined;
    const sizes = sizesOf(request);
    const ofInput = sizes.map((): Run[] => []);
    let rows = 0;
    for (const [grad, first, size] of runsOf(request, sizes)) {
      ofInput[grad].push({ first, size, more: [rows] });
      rows += ceilDiv(size, GROUP_ELEMENTS);
    }
    const dispatches: Dispatch[] = [];
    const data: Record<string, Int32Array> = {};
    ofInput.forEach((runs, i) => {
      const table = runTable(runs, GROUP_ELEMENTS);
      if (table.groups === 0) return;
      data[`runs${i}`] = table.data;
      const size = runs.reduce((sum, run) => sum + run.size, 0);
      dispatches.push({
        label: 'clip-grad-norm',
        shader: clipGradNormWgsl,
        entryPoint: 'main',
        constants: { STAGE: 0, GROUP_ELEMENTS, STEPS },
        bindings: [
          { name: 'runs', access: 'read', tensor: `runs${i}` },
          { name: 'grad', access: 'read', tensor: `grad${i}` },
          { name: 'partials', access: 'read_write', tensor: 'partials' },
        ],
        uniforms: [table.count, table.groups],
        workgroups: foldGrid(table.groups, caps),
        macs: size,
        flops: 2 * size,
        bytesRead: 4 * size + table.data.byteLength,
        bytesWritten: 4 * LANES * table.groups,
      });
    });
    const sums = columnSum('clip-grad-norm', 'partials', rows, LANES, 'lane_sums', 'partial_sums', caps);
    dispatches.push(...sums.dispatches, {
      label: 'clip-grad-norm',
      shader: clipGradNormWgsl,
      entryPoint: 'main',
      constants: { STAGE: 1, LOSS_SCALE: Number(isScaled) },
      bindings: [
        { name: 'lane_sums', access: 'read', tensor: 'lane_sums' },
        { name: 'norm', access: 'read_write', tensor: 'norm' },
        { name: 'scale', access: 'read_write', tensor: 'scale' },
        ...(isScaled ? [{ name: 'found_inf', access: 'read_write', tensor: 'found_inf' } as const] : []),
      ],
      uniforms: [f32(maxNorm), ...(isScaled ? [f32(1 / lossScale)] : [])],
      workgroups: [1, 1, 1],
      macs: 0,
      flops: LANES + (isScaled ? 6 : 4),
      bytesRead: 4 * LANES,
      bytesWritten: isScaled ? 12 : 8,
    });
    return {
      dispatches,
      scratch: { partials: spec([rows, LANES]), lane_sums: spec([LANES]), ...sums.scratch },
      outputs: { norm: spec([1]), scale: spec([1]), ...(isScaled && { found_inf: spec([1]) }) },
      data,
    };
  },
};
