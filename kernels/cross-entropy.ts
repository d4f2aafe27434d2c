/** `cross-entropy`: the mean over rows of log Σ e^logits − logits[target]. */
import { InputError } from './errors.ts';
import {
  expectShape,
  f32,
  hostOf,
  integerParam,
  shapeOf,
  spec,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
} from './plan.ts';
import { columnSum } from './column-sum.ts';
import { fill } from './shared/elementwise.ts';
import { rowGrid } from './shared/row-reduction.ts';
import crossEntropyWgsl from '../shaders/cross-entropy.wgsl';
import crossEntropyBackwardWgsl from '../shaders/cross-entropy-backward.wgsl';

/** Operations of shaders/common/log1p.wgsl: 17 of the series, and of the other side a sum and a logarithm. */
export const LOG1P_FLOPS = 19;

const inputs = [
  { name: 'logits', dtype: 'f32', shape: '[N, C]' },
  { name: 'targets', dtype: 'i32', shape: '[N]', host: true },
] as const;
const params = [{ name: 'ignoreIndex', doc: 'target of the rows that do not count', default: -100 }];
const tables = { targets: 'the host input targets, as it is: [N]' };

/** The checked targets, how many rows count, and what both dispatches have in common. */
function prepare(kernel: string, request: PlanRequest) {
  const [n, c] = shapeOf(kernel, request, 'logits', 2);
  expectShape(kernel, 'targets', shapeOf(kernel, request, 'targets'), [n]);
  const targets = hostOf(kernel, request, 'targets');
  const ignoreIndex = integerParam(kernel, request.params, 'ignoreIndex', -100, -(2 ** 31));
  let counted = 0;
  for (let row = 0; row < n; row++) {
    if (targets[row] === ignoreIndex) continue;
    if (!(targets[row] >= 0 && targets[row] < c))
      throw new InputError(
        `${kernel}: targets row ${row} is ${targets[row]}, not in 0..${c - 1} nor the ignoreIndex ${ignoreIndex}`,
      );
    counted++;
  }
  const { constants, uniforms, workgroups } = rowGrid(n, c, request.caps, false);
  return {
    n,
    c,
    targets,
    counted,
    // A uniform is written as u32; `>>> 0` keeps the bits of a negative index.
    common: { constants, uniforms: [...uniforms, ignoreIndex >>> 0, f32(1 / counted)], workgroups },
  };
}

/**
 * loss [] = mean over the rows that count of log Σ e^logits − logits[target]; 0 if none (docs/spec.md#cross-entropy).
 * logits [N, C], targets i32[N] on the host. Errors: a target outside 0..C−1 that is not `ignoreIndex`, naming the row.
 *
 * Forward, per row that counts: C maxima and differences, 2 operations for each other class, 25 for the rest (19 of them log1p), and N
 * for the sum. Backward: as many maxima, 3 per other class, a product per class, and 5.
 */
export const crossEntropy: Kernel = {
  name: 'cross-entropy',
  doc: 'loss = mean over rows of log Σ e^logits − logits[target]',
  inputs,
  outputs: [{ name: 'loss', dtype: 'f32', shape: '[]' }],
  params,
  tables,
  plan(request): Plan {
    const { n, c, targets, counted, common } = prepare('cross-entropy', request);
    const outputs = { loss: spec([]) };
    if (counted === 0)
      return {
        dispatches: [fill('cross-entropy', 'loss', 1, 0, request.caps)],
        scratch: {},
        outputs,
        data: {},
      };
    const rows: Dispatch = {
      label: 'cross-entropy',
      shader: crossEntropyWgsl,
      entryPoint: 'main',
      bindings: [
        { name: 'logits', access: 'read', tensor: 'logits' },
        { name: 'targets', access: 'read', tensor: 'targets' },
        { name: 'row_loss', access: 'read_write', tensor: 'row_loss' },
      ],
      ...common,
      macs: 0,
      flops: counted * (2 * c + 2 * (c - 1) + LOG1P_FLOPS + 6),
      bytesRead: 4 * (counted * c + n),
      bytesWritten: 4 * n,
    };
    const sum = columnSum('cross-entropy', 'row_loss', n, 1, 'loss', 'partial', request.caps);
    return {
      dispatches: [rows, ...sum.dispatches],
      scratch: { row_loss: spec([n]), ...sum.scratch },
      outputs,
      data: { targets },
    };
  },
  backward: {
    name: 'cross-entropy-backward',
    doc: 'grad_logits = grad_loss · (softmax(logits) − onehot(target)) / (rows that count)',
    inputs: [...inputs, { name: 'grad_loss', dtype: 'f32', shape: '[]' }],
    outputs: [{ name: 'grad_logits', dtype: 'f32', shape: '[N, C]' }],
    params,
    tables,
    plan(request): Plan {
      const { n, c, targets, counted, common } = prepare('cross-entropy-backward', request);
      expectShape(
        'cross-entropy-backward',
        'grad_loss',
        shapeOf('cross-entropy-backward', request, 'grad_loss'),
        [],
      );
      const outputs = { grad_logits: spec([n, c]) };
      if (counted === 0)
        return {
          dispatches: [fill('cross-entropy-backward', 'grad_logits', n * c, 0, request.caps)],
          scratch: {},
          outputs,
          data: {},
        };
      const dispatch: Dispatch = {
        label: 'cross-entropy-backward',
        shader: crossEntropyBackwardWgsl,
        entryPoint: 'main',
        bindings: [
          { name: 'logits', access: 'read', tensor: 'logits' },
          { name: 'targets', access: 'read', tensor: 'targets' },
          { name: 'grad_loss', access: 'read', tensor: 'grad_loss' },
          { name: 'grad_logits', access: 'read_write', tensor: 'grad_logits' },
        ],
        ...common,
        macs: 0,
        flops: counted * (c + 3 * (c - 1) + c + 5),
        bytesRead: 4 * (counted * c + n + 1),
        bytesWritten: 4 * n * c,
      };
      return { dispatches: [dispatch], scratch: {}, outputs, data: { targets } };
    },
  },
};
