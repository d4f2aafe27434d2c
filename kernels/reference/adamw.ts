import type { Params } from '../plan.ts';
import { nearestF16 } from './f16.ts';
import { bindShapes, integerParam, numberParam, tensor } from './shapes.ts';
import type { Reference } from './types.ts';

/**
 * `adamw` (docs/spec.md#adamw): one step of PyTorch's AdamW over param, grad, m, v, all of one shape; outputs param, m,
 * v. The gradient g is grad times `grad_scale` [1] where that is given.
 * Decoupled decay comes first: param ← param·(1 − lr·weightDecay); then m ← β₁m + (1 − β₁)g, v ← β₂v + (1 − β₂)g²,
 * and param ← param − lr/(1 − β₁ᵗ) · m / (√v/√(1 − β₂ᵗ) + eps). Params `lr` and `step` (t, from 1) are required;
 * `beta1` 0.9, `beta2` 0.999, `eps` 1e-8, `weightDecay` 0.01 as in PyTorch. With `runs`, a list of {first, size, step,
 * weightDecay}, the elements of each take its own step and decay, and all others stay. Where `found_inf` [1] is not 0 there is
 * no step. `copy`, of their shape too, is param to the nearest f16 wherever that was written. It has no gradient.
 */
export const adamwReference: Reference = {
  forward(inputs, params) {
    bindShapes('adamw', inputs, {
      ...{ param: '...', grad: '...', m: '...', v: '...', 'copy?': '...' },
      ...{ 'grad_scale?': '1', 'found_inf?': '1' },
    });
    const lr = numberParam('adamw', params, 'lr');
    const beta1 = numberParam('adamw', params, 'beta1', 0.9);
    const beta2 = numberParam('adamw', params, 'beta2', 0.999);
    const eps = numberParam('adamw', params, 'eps', 1e-8);
    const [param, m, v] = [inputs.param, inputs.m, inputs.v].map(({ shape, data }) =>
      tensor(shape, Float64Array.from(data)),
    );
    const copy = inputs.copy && tensor(inputs.copy.shape, Float64Array.from(inputs.copy.data));
    const outputs = { param, m, v, ...(copy && { copy }) };
    if (inputs.found_inf && inputs.found_inf.data[0] !== 0) return outputs;
    const scale = inputs.grad_scale?.data[0] ?? 1;
    const whole = { ...params, first: 0, size: param.data.length };
    for (const run of (params.runs as readonly Params[] | undefined) ?? [whole]) {
      const step = integerParam('adamw', run, 'step', { min: 1 });
      const weightDecay = numberParam('adamw', run, 'weightDecay', 0.01);
      const first = integerParam('adamw', run, 'first', { min: 0 });
      for (let i = first; i < first + integerParam('adamw', run, 'size', { min: 0 }); i++) {
        const g = scale * inputs.grad.data[i];
        m.data[i] = beta1 * inputs.m.data[i] + (1 - beta1) * g;
        v.data[i] = beta2 * inputs.v.data[i] + (1 - beta2) * g ** 2;
        const decayed = inputs.param.data[i] * (1 - lr * weightDecay);
        const denominator = Math.sqrt(v.data[i]) / Math.sqrt(1 - beta2 ** step) + eps;
        param.data[i] = decayed - ((lr / (1 - beta1 ** step)) * m.data[i]) / denominator;
        if (copy) copy.data[i] = nearestF16(Math.fround(param.data[i]));
      }
    }
    return outputs;
  },
};
