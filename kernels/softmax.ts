/** `softmax`: out = e^x / Σ e^x over the last axis. */
import { InputError } from './errors.ts';
import { expectShape, shapeOf, spec, type Kernel, type PlanRequest, type Shape } from './plan.ts';
import { rowsOf } from './shared/matmul.ts';
import { rowGrid } from './shared/row-reduction.ts';
import softmaxWgsl from '../shaders/softmax.wgsl';
import softmaxBackwardWgsl from '../shaders/softmax-backward.wgsl';

/** Shape of the input `name`, its rows and their width; a scalar has no last axis. */
function matrixOf(
  kernel: string,
  request: PlanRequest,
  name: string,
): { shape: Shape; rows: number; n: number } {
  const shape = shapeOf(kernel, request, name);
  if (shape.length === 0)
    throw new InputError(`${kernel}: input "${name}" must have at least 1 dimension, got []`);
  return { shape, rows: rowsOf(shape), n: shape[shape.length - 1] };
}

/**
 * out [..., n] = e^(x − max) / Σ e^(x − max) over the last axis of x [..., n] (docs/spec.md#softmax).
 * Gradient from the output alone: grad_x = out · (grad_out − Σ grad_out · out). Errors: x without an axis.
 *
 * Forward: rows · (5n + 1) FLOPs (maximum, difference, exp, sum, scale; one division).
 * Backward: rows · n multiply-adds and 2 further operations per element.
 */
export const softmax: Kernel = {
  name: 'softmax',
  doc: 'out = e^x / Σ e^x over the last axis',
  inputs: [{ name: 'x', dtype: 'f32', shape: '[..., n]' }],
  outputs: [{ name: 'out', dtype: 'f32', shape: '[..., n]' }],
  params: [],
  plan(request) {
    const { shape, rows, n } = matrixOf('softmax', request, 'x');
    const size = rows * n;
    return {
      dispatches:
        size === 0
          ? []
          : [
              {
                label: 'softmax',
                shader: softmaxWgsl,
                entryPoint: 'main',
                bindings: [
                  { name: 'x', access: 'read', tensor: 'x' },
                  { name: 'out', access: 'read_write', tensor: 'out' },
                ],
                ...rowGrid(rows, n, request.caps),
                macs: 0,
                flops: rows * (5 * n + 1),
                bytesRead: 4 * size,
                bytesWritten: 4 * size,
              },
            ],
      scratch: {},
      outputs: { out: spec(shape) },
      data: {},
    };
  },
  backward: {
    name: 'softmax-backward',
    doc: 'grad_x = out · (grad_out − Σ grad_out · out)',
    inputs: [
      { name: 'out', dtype: 'f32', shape: '[..., n]' },
      { name: 'grad_out', dtype: 'f32', shape: '[..., n]' },
    ],
    outputs: [{ name: 'grad_x', dtype: 'f32', shape: '[..., n]' }],
    params: [],
    plan(request) {
      const { shape, rows, n } = matrixOf('softmax-backward', request, 'out');
      expectShape('softmax-backward', 'grad_out', shapeOf('softmax-backward', request, 'grad_out'), shape);
      const size = rows * n;
      return {
        dispatches:
          size === 0
            ? []
            : [
                {
                  label: 'softmax-backward',
                  shader: softmaxBackwardWgsl,
                  entryPoint: 'main',
                  bindings: [
                    { name: 'out', access: 'read', tensor: 'out' },
                    { name: 'grad_out', access: 'read', tensor: 'grad_out' },
                    { name: 'grad_x', access: 'read_write', tensor: 'grad_x' },
                  ],
                  ...rowGrid(rows, n, request.caps),
                  macs: size,
                  flops: 4 * size,
                  bytesRead: 8 * size,
                  bytesWritten: 4 * size,
                },
              ],
        scratch: {},
        outputs: { grad_x: spec(shape) },
        data: {},
      };
    },
  },
};
