/** `binary-cross-entropy`: the mean of −t log σ(x) − (1 − t) log(1 − σ(x)), from logits. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  f32,
  foldGrid,
  hostOf,
  shapeOf,
  sizeOf,
  spec,
  type Dispatch,
  type Kernel,
  type Plan,
  type PlanRequest,
  type Port,
} from './plan.ts';
import { columnSum } from './column-sum.ts';
import { LOG1P_FLOPS } from './cross-entropy.ts';
import { fill } from './shared/elementwise.ts';
import binaryCrossEntropyWgsl from '../shaders/binary-cross-entropy.wgsl';
import binaryCrossEntropyBackwardWgsl from '../shaders/binary-cross-entropy-backward.wgsl';

/** Elements that one invocation of the forward adds up. */
const RUN = 16;

const inputs: readonly Port[] = [
  { name: 'logits', dtype: 'f32', shape: '[...]' },
  { name: 'targets', dtype: 'i32', shape: '[...]', host: true },
  { name: 'mask', dtype: 'i32', shape: '[...]', host: true, optional: true },
];

const tables = { labels: 'the host input targets, with -1 where the host input mask is 0' };

/** Checked labels: the targets, with −1 where the mask is 0; and how many count. */
function prepare(kernel: string, request: PlanRequest) {
  const shape = shapeOf(kernel, request, 'logits');
  const size = sizeOf(shape);
  expectShape(kernel, 'targets', shapeOf(kernel, request, 'targets'), shape);
  const targets = hostOf(kernel, request, 'targets');
  const masked = request.shapes.mask !== undefined;
  if (masked) expectShape(kernel, 'mask', shapeOf(kernel, request, 'mask'), shape);
  const mask = masked ? hostOf(kernel, request, 'mask') : undefined;
  const labels = mask ? targets.map((target, i) => (mask[i] === 0 ? -1 : target)) : targets;
  let counted = 0;
  for (let i = 0; i < size; i++) {
    if (mask?.[i] === 0) continue;
    if (targets[i] !== 0 && targets[i] !== 1)
      throw new InputError(`${kernel}: targets element ${i} is ${targets[i]}, not 0 or 1`);
    counted++;
  }
  return { shape, size, labels, counted };
}

/**
 * loss [] = mean over what counts of −t log σ(x) − (1 − t) log(1 − σ(x)); 0 if nothing does
 * (docs/spec.md#binary-cross-entropy). logits [...], targets i32[...] of 0 and 1, mask i32[...] optional (0: does not
 * count), both on the host.
 * Errors: a target that counts and is neither 0 nor 1, naming the element.
 *
 * Forward: 23 operations per element that counts (19 of them log1p), one per partial sum, and their sum. Backward: 7.
 */
export const binaryCrossEntropy: Kernel = {
  name: 'binary-cross-entropy',
  doc: 'loss = mean of −t log σ(x) − (1 − t) log(1 − σ(x)) from logits',
  inputs,
  outputs: [{ name: 'loss', dtype: 'f32', shape: '[]' }],
  params: [],
  tables,
  plan(request): Plan {
    const { size, labels, counted } = prepare('binary-cross-entropy', request);
    const outputs = { loss: spec([]) };
    if (counted === 0)
      return {
        dispatches: [fill('binary-cross-entropy', 'loss', 1, 0, request.caps)],
        scratch: {},
        outputs,
        data: {},
      };
    const partials = ceilDiv(size, RUN);
    const runs: Dispatch = {
      label: 'binary-cross-entropy',
      shader: binaryCrossEntropyWgsl,
      entryPoint: 'main',
      constants: {},
      bindings: [
        { name: 'logits', access: 'read', tensor: 'logits' },
        { name: 'labels', access: 'read', tensor: 'labels' },
        { name: 'partial', access: 'read_write', tensor: 'partial' },
      ],
      uniforms: [size, partials, f32(1 / counted)],
      workgroups: foldGrid(ceilDiv(partials, 64), request.caps),
      macs: 0,
      flops: counted * (LOG1P_FLOPS + 4) + partials,
      bytesRead: 4 * (counted + size),
      bytesWritten: 4 * partials,
    };
    const sum = columnSum('binary-cross-entropy', 'partial', partials, 1, 'loss', 'partial', request.caps);
    return {
      dispatches: [runs, ...sum.dispatches],
      scratch: { partial: spec([partials]), ...sum.scratch },
      outputs,
      data: { labels },
    };
  },
  backward: {
    name: 'binary-cross-entropy-backward',
    doc: 'grad_logits = grad_loss · (σ(logits) − targets) / (elements that count)',
    inputs: [...inputs, { name: 'grad_loss', dtype: 'f32', shape: '[]' }],
    outputs: [{ name: 'grad_logits', dtype: 'f32', shape: '[...]' }],
    params: [],
    tables,
    plan(request): Plan {
      const kernel = 'binary-cross-entropy-backward';
      const { shape, size, labels, counted } = prepare(kernel, request);
      expectShape(kernel, 'grad_loss', shapeOf(kernel, request, 'grad_loss'), []);
      const outputs = { grad_logits: spec(shape) };
      if (counted === 0)
        return {
          dispatches: [fill(kernel, 'grad_logits', size, 0, request.caps)],
          scratch: {},
          outputs,
          data: {},
        };
      const dispatch: Dispatch = {
        label: kernel,
        shader: binaryCrossEntropyBackwardWgsl,
        entryPoint: 'main',
        constants: {},
        bindings: [
          { name: 'logits', access: 'read', tensor: 'logits' },
          { name: 'labels', access: 'read', tensor: 'labels' },
          { name: 'grad_loss', access: 'read', tensor: 'grad_loss' },
          { name: 'grad_logits', access: 'read_write', tensor: 'grad_logits' },
        ],
        uniforms: [size, f32(1 / counted)],
        workgroups: foldGrid(ceilDiv(size, 64), request.caps),
        macs: 0,
        flops: counted * 7,
        bytesRead: 4 * (counted + size + 1),
        bytesWritten: 4 * size,
      };
      return { dispatches: [dispatch], scratch: {}, outputs, data: { labels } };
    },
  },
};
