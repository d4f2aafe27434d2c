import { InputError } from '../errors.ts';
import { bindShapes, checkLengths, integerParam, upstream, zeros } from './shapes.ts';
import type { Reference, RefParams, RefTensors } from './types.ts';

const name = 'gaussian-kl';

function bind(inputs: RefTensors, params: RefParams) {
  const batched = inputs.mu?.shape.length === 3;
  const shape = batched ? 'B N D' : 'N D';
  const sizes = bindShapes(name, inputs, {
    mu: shape,
    sigma: shape,
    ...(batched ? { lengths: 'i32 B' } : {}),
  });
  if (!batched && inputs.lengths) throw new InputError(`${name}: lengths need mu of shape [B,N,D]`);
  if (batched) checkLengths(name, inputs.lengths, sizes.N);
  const views = integerParam(name, params, 'views', { min: 1 });
  const { B = 1, N, D } = sizes;
  if (D % views !== 0) throw new InputError(`${name}: D = ${D} is not a multiple of views = ${views}`);
  const outShape = [...(batched ? [B] : []), views, N, N];
  return { B, N, D, views, outShape };
}

/** Calls `visit` for two different valid nodes: where their pair is in `out`, and where the view begins in mu of each. */
function forEachPair(
  { lengths }: RefTensors,
  { B, N, D, views }: ReturnType<typeof bind>,
  visit: (pair: number, i: number, j: number) => void,
): void {
  for (let b = 0; b < B; b++) {
    const nodes = lengths ? lengths.data[b] : N;
    for (let v = 0; v < views; v++)
      for (let i = 0; i < nodes; i++)
        for (let j = 0; j < nodes; j++) {
          const viewOf = (node: number): number => (b * N + node) * D + v * (D / views);
          if (i !== j) visit(((b * views + v) * N + i) * N + j, viewOf(i), viewOf(j));
        }
  }
}

/**
 * `gaussian-kl` (docs/spec.md#gaussian-kl): out[v,i,j] = Σ over the dimensions of view v of
 * log(σ_j/σ_i) + (σ_i² + (μ_i − μ_j)²)/(2σ_j²) − ½; mu, sigma [N,D], out [views,N,N], or [B,N,D] with lengths i32[B],
 * out [B,views,N,N]. 0 on the diagonal and in padding.
 */
export const gaussianKlReference: Reference = {
  forward(inputs, params) {
    const sizes = bind(inputs, params);
    const [mu, sigma] = [inputs.mu.data, inputs.sigma.data];
    const out = zeros(sizes.outShape);
    forEachPair(inputs, sizes, (pair, i, j) => {
      for (let d = 0; d < sizes.D / sizes.views; d++) {
        const [si, sj, delta] = [sigma[i + d], sigma[j + d], mu[i + d] - mu[j + d]];
        out.data[pair] += Math.log(sj / si) + (si ** 2 + delta ** 2) / (2 * sj ** 2) - 0.5;
      }
    });
    return { out };
  },

  backward(inputs, params, grads) {
    const sizes = bind(inputs, params);
    const [mu, sigma] = [inputs.mu.data, inputs.sigma.data];
    const gradOut = upstream(name, grads, 'out', sizes.outShape);
    const [gradMu, gradSigma] = [zeros(inputs.mu.shape), zeros(inputs.mu.shape)];
    forEachPair(inputs, sizes, (pair, i, j) => {
      const g = gradOut[pair];
      for (let d = 0; d < sizes.D / sizes.views; d++) {
        const [si, sj, delta] = [sigma[i + d], sigma[j + d], mu[i + d] - mu[j + d]];
        gradMu.data[i + d] += (g * delta) / sj ** 2;
        gradMu.data[j + d] -= (g * delta) / sj ** 2;
        gradSigma.data[i + d] += g * (si / sj ** 2 - 1 / si);
        gradSigma.data[j + d] += g * (1 / sj - (si ** 2 + delta ** 2) / sj ** 3);
      }
    });
    return { grad_mu: gradMu, grad_sigma: gradSigma };
  },
};
