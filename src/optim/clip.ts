import { clipGradNorm as kernel } from '../../kernels/clip-grad-norm.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { Arena, Chunk } from '../nn/arena.ts';
import type { Parameter, Parameters } from '../nn/parameters.ts';
import { hostInts, type HostInts } from '../ops/index.ts';
import { numbered } from '../ops/numbered.ts';

/** Where the gradients of all parameters lie. */
interface Layout {
  /** Of each what lies in its place, if any; the parameter itself where it lies elsewhere, in tensors that are others every step. */
  readonly grads: readonly (Tensor | Parameter | undefined)[];
  /** What is read: all that lies in a chunk, or a parameter's own gradient. */
  readonly inputs: readonly (Chunk | Parameter)[];
  /** Of each gradient the input, its first element there, and its size. */
  readonly runs: HostInts;
}

/** The last one of each model: most steps leave gradients where the last one did. */
const layouts = new WeakMap<Arena, Layout>();

function layoutOf({ arena, all }: Parameters): Layout {
  const known = layouts.get(arena);
  if (known?.grads.length === all.size && isOf(known, all.values())) return known;
  const grads: Layout['grads'][number][] = [];
  const inputs: (Chunk | Parameter)[] = [];
  const runs: number[] = [];
  for (const parameter of all.values()) {
    const { slot } = parameter;
    const { grad } = parameter.tensor;
    const together = grad && slot.home.holds(grad);
    grads.push(grad && !together ? parameter : grad);
    if (!grad) continue;
    const input = together ? slot.chunk : parameter;
    let index = inputs.lastIndexOf(input);
    if (index < 0) index = inputs.push(input) - 1;
    runs.push(index, together ? slot.first : 0, slot.size);
  }
  const layout = { grads, inputs, runs: hostInts(Int32Array.from(runs), [runs.length / 3, 3]) };
  layouts.set(arena, layout);
  return layout;
}

/** Whether the gradients of parameters lie so. */
function isOf({ grads }: Layout, parameters: Iterable<Parameter>): boolean {
  let at = 0;
  for (const parameter of parameters) {
    const { grad } = parameter.tensor;
    const known = grads[at++];
    if (known === parameter ? !grad || parameter.slot.home.holds(grad) : grad !== known || grad?.released)
      return false;
  }
  return true;
}

/**
 * The factor min(1, maxNorm / (‖g‖₂ + 1e-6)) over all gradients together (PyTorch's clip_grad_norm_), left on the
 * device for the optimizer.
 * @param lossScale what the loss was multiplied with, a power of two from 1 on: `scale` divides by it
 * @returns `scale` [1] and `norm` [1], the norm before clipping, of the loss itself; with `lossScale` also `foundInf` [1], 1 where
 *   the norm is not finite, else 0
 */
export function clipGradNorm(
  parameters: Parameters,
  maxNorm: number,
  lossScale?: number,
): { scale: Tensor; norm: Tensor; foundInf?: Tensor } {
  const { runtime } = parameters;
  const { inputs, runs } = layoutOf(parameters);
  const grads = inputs.map((input) => ('gradients' in input ? input.gradients : input.tensor.grad));
  runtime.meter.phase = 'optimizer';
  try {
    const { scale, norm, found_inf } = runtime.kernel(kernel, numbered('grad', grads), {
      params: { maxNorm, ...(lossScale !== undefined && { lossScale }) },
      host: { runs },
      label: 'scratch',
    });
    return { scale, norm, ...(lossScale !== undefined && { foundInf: found_inf }) };
  } finally {
    runtime.meter.phase = 'forward';
  }
}
