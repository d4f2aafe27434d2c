/** `clip-grad-norm`: the L2 norm of all gradients together, and the factor that brings it down to a maximum. */
import { InputError } from './errors.ts';
import { ceilDiv, f32, foldGrid, numberParam, sizeOf, spec, type Dispatch, type Kernel } from './plan.ts';
import { columnSum } from './column-sum.ts';

const LANES = 64;
/** Elements that one workgroup squares and sums: 256 a lane. */
const GROUP_ELEMENTS = LANES * 256;

/**
 * norm = √(Σ over all gradients g²), scale = min(1, maxNorm / (norm + 1e-6)): PyTorch's clip_grad_norm_, whose factor
 * `adamw` takes as `grad_scale`, so the gradients are not written again. Inputs: `grad0`, `grad1`, … of any shapes,
 * numbered without a gap; with none the norm is 0. Additions have a fixed order. It has no gradient.
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
  ],
  outputs: [
    { name: 'norm', dtype: 'f32', shape: '[1]' },
    { name: 'scale', dtype: 'f32', shape: '[1]' },
  ],
  params: [{ name: 'maxNorm', doc: 'the largest norm that is left alone' }],
  plan(request) {
    const { caps, shapes } = request;
    const maxNorm = numberParam('clip-grad-norm', request.params, 'maxNorm');
    if (maxNorm < 0)
      throw new InputError(`clip-grad-norm: parameter "maxNorm" must be at least 0, got ${maxNorm}`);
    const dispatches: Dispatch[] = [];
    let rows = 0;
    for (let i = 0; i < Object.keys(shapes).length; i++) {
      const name = `grad${i}`;
      if (!Object.hasOwn(shapes, name))
        throw new InputError(
          `clip-grad-norm: inputs must be grad0, grad1, … without a gap; "${name}" is missing`,
        );
      const size = sizeOf(shapes[name]);
      const groups = ceilDiv(size, GROUP_ELEMENTS);
      if (groups === 0) continue;
      dispatches.push({
        label: 'clip-grad-norm',
        shader: 'clip-grad-norm',
        entryPoint: 'main',
        constants: { STAGE: 0, GROUP_ELEMENTS },
        bindings: [
          { name: 'grad', access: 'read', tensor: name },
          { name: 'partials', access: 'read_write', tensor: 'partials' },
        ],
        uniforms: [size, rows, groups],
        workgroups: foldGrid(groups, caps),
        macs: size,
        flops: 2 * size,
        bytesRead: 4 * size,
        bytesWritten: 4 * LANES * groups,
      });
      rows += groups;
    }
    const sums = columnSum('clip-grad-norm', 'partials', rows, LANES, 'lane_sums', 'partial_sums', caps);
    dispatches.push(...sums.dispatches, {
      label: 'clip-grad-norm',
      shader: 'clip-grad-norm',
      entryPoint: 'main',
      constants: { STAGE: 1 },
      bindings: [
        { name: 'lane_sums', access: 'read', tensor: 'lane_sums' },
        { name: 'norm', access: 'read_write', tensor: 'norm' },
        { name: 'scale', access: 'read_write', tensor: 'scale' },
      ],
      uniforms: [f32(maxNorm)],
      workgroups: [1, 1, 1],
      macs: 0,
      flops: LANES + 4,
      bytesRead: 4 * LANES,
      bytesWritten: 8,
    });
    return {
      dispatches,
      scratch: { partials: spec([rows, LANES]), lane_sums: spec([LANES]), ...sums.scratch },
      outputs: { norm: spec([1]), scale: spec([1]) },
      data: {},
    };
  },
};
