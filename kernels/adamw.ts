/** `adamw`: one step of AdamW (Loshchilov & Hutter 2019, as PyTorch computes it), in place. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  expectShape,
  f32,
  foldGrid,
  integerParam,
  numberParam,
  shapeOf,
  sizeOf,
  spec,
  type Binding,
  type Kernel,
  type Params,
  type Port,
} from './plan.ts';

/** Per element: m 3, v 4, denominator 3, quotient 1, decay, step and both sums 4; and the gradient's scale. */
const FLOPS = 15;

const state: readonly Port[] = [
  { name: 'param', dtype: 'f32', shape: '[...]' },
  { name: 'm', dtype: 'f32', shape: '[...]' },
  { name: 'v', dtype: 'f32', shape: '[...]' },
];

function rate(params: Params, name: string, fallback: number): number {
  const value = numberParam('adamw', params, name, fallback);
  if (value < 0 || value >= 1)
    throw new InputError(`adamw: parameter "${name}" must be at least 0 and below 1, got ${value}`);
  return value;
}

/**
 * m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g², param ← param·(1 − lr·weightDecay) − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps)
 * with g = grad · grad_scale (1 where absent). param, grad, m, v of one shape; param, m and v are written in place.
 * The bias corrections are computed here, in double precision. It has no gradient.
 */
export const adamw: Kernel = {
  name: 'adamw',
  doc: "one step of PyTorch's AdamW; param, m and v are updated in place",
  inputs: [
    state[0],
    { name: 'grad', dtype: 'f32', shape: '[...]' },
    state[1],
    state[2],
    { name: 'grad_scale', dtype: 'f32', shape: '[1]', optional: true },
  ],
  outputs: state,
  params: [
    { name: 'lr', doc: 'learning rate', live: true },
    { name: 'step', doc: 'number of this step, from 1', live: true },
    { name: 'beta1', doc: 'decay rate of the first moment', default: 0.9 },
    { name: 'beta2', doc: 'decay rate of the second moment', default: 0.999 },
    { name: 'eps', doc: 'added to the denominator', default: 1e-8 },
    { name: 'weightDecay', doc: 'decoupled weight decay, times lr', default: 0.01 },
  ],
  plan(request) {
    const shape = shapeOf('adamw', request, 'param');
    for (const name of ['grad', 'm', 'v']) expectShape('adamw', name, shapeOf('adamw', request, name), shape);
    const scaled = request.shapes.grad_scale !== undefined;
    if (scaled) expectShape('adamw', 'grad_scale', request.shapes.grad_scale, [1]);
    const lr = numberParam('adamw', request.params, 'lr');
    const step = integerParam('adamw', request.params, 'step', undefined, 1);
    const beta1 = rate(request.params, 'beta1', 0.9);
    const beta2 = rate(request.params, 'beta2', 0.999);
    const eps = numberParam('adamw', request.params, 'eps', 1e-8);
    const weightDecay = numberParam('adamw', request.params, 'weightDecay', 0.01);

    const size = sizeOf(shape);
    const vec = size % 4 === 0;
    const invocations = vec ? size / 4 : size;
    const bindings: Binding[] = [
      { name: 'param', access: 'read_write', tensor: 'param' },
      { name: 'grad', access: 'read', tensor: 'grad' },
      { name: 'm', access: 'read_write', tensor: 'm' },
      { name: 'v', access: 'read_write', tensor: 'v' },
    ];
    if (scaled) bindings.push({ name: 'grad_scale', access: 'read', tensor: 'grad_scale' });
    return {
      dispatches: [
        {
          label: 'adamw',
          shader: 'adamw',
          entryPoint: 'main',
          constants: { VEC: Number(vec), SCALED: Number(scaled) },
          bindings,
          uniforms: [
            invocations,
            f32(beta1),
            f32(1 - beta1),
            f32(beta2),
            f32(1 - beta2),
            f32(lr / (1 - beta1 ** step)),
            f32(1 / Math.sqrt(1 - beta2 ** step)),
            f32(eps),
            f32(lr * weightDecay),
          ],
          workgroups: foldGrid(ceilDiv(invocations, 64), request.caps),
          macs: 0,
          flops: size * (FLOPS + Number(scaled)),
          bytesRead: 4 * (4 * size + Number(scaled)),
          bytesWritten: 12 * size,
        },
      ],
      scratch: {},
      outputs: { param: spec(shape), m: spec(shape), v: spec(shape) },
      data: {},
      inPlace: { param: 'param', m: 'm', v: 'v' },
    };
  },
};
