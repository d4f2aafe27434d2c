/** A traced batch against what PyTorch computed for it. */
import type test from 'tape';
import type { HostTensor } from '../../src/io/safetensors.ts';
import type { TraceOptions } from '../../src/tasks/trace.ts';
import { relativeError } from '../relative-error.ts';

type Tensors = ReadonlyMap<string, HostTensor>;

/** The training steps behind the fixtures' `param.*`. */
export const fixtureSteps = (expected: Tensors): TraceOptions => ({
  steps: [...expected.keys()].some((name) => name.startsWith('param.')) ? 3 : 0,
  lr: 1e-3,
  weightDecay: 0.01,
});

/**
 * Asserts that `actual` holds the tensors of `expected`: logits and losses to 3e-5, gradients to 5e-4, parameters to
 * 1e-4 and how far they moved from `initial` to 1e-3 (a bias that decays is off by 3e-3), all relative. Attention key
 * biases, whose true gradient is 0, are left out.
 */
export function checkParity(t: test.Test, actual: Tensors, expected: Tensors, initial: Tensors): void {
  t.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort(), 'the same tensors');
  const limits = { logits: 3e-5, grad: 5e-4, param: 1e-4, moved: 1e-3 };
  const worst = { logits: 0, grad: 0, param: 0, moved: 0 };
  const check = (kind: keyof typeof limits, key: string, error: number) => {
    worst[kind] = Math.max(worst[kind], error);
    if (!(error <= limits[kind])) t.fail(`${key}: ${kind} has a relative error of ${error}`);
  };
  for (const [key, { data, shape }] of expected) {
    const ours = actual.get(key);
    if (!ours) continue;
    t.deepEqual(ours.shape, shape, `${key}: shape`);
    if (/(key|k_lin)\.bias$/.test(key)) continue;
    const kind = key.startsWith('grad.') ? 'grad' : key.startsWith('param.') ? 'param' : 'logits';
    check(kind, key, relativeError(ours.data, data));
    if (kind !== 'param') continue;
    const start = initial.get(key.slice('param.'.length))?.data ?? new Float32Array();
    const movement = (values: HostTensor['data']) => Array.from(values, (v, i) => v - start[i]);
    check('moved', key, relativeError(movement(ours.data), movement(data)));
  }
  for (const [kind, error] of Object.entries(worst))
    t.ok(error <= limits[kind as keyof typeof limits], `${kind}: at most ${error.toExponential(1)}`);
}
