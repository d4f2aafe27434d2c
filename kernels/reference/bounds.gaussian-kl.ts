/** Error bounds of gaussian-kl (bounds.ts). */
import { allMagnitudes, type Checked, type KernelBounds } from './rounding.ts';

/** Roundings of a term: m and s take 3.5 and 2.5 each time they occur, s up to four times; f(x) is a polynomial of 25. */
const TERM = 45;

/** One dimension of a node, as the kernel has it, with the sizes of what is subtracted: x = s² − 1, y = 1 / s² − 1. */
interface Part {
  m: number;
  square: number;
  inverse: number;
  x: number;
  y: number;
  width: number;
}

/**
 * Calls `visit` for each two different nodes of an instance and each dimension of each view, with the pair's place in
 * out and those of both in mu. The kernel shifts and scales a dimension by the same for all nodes, which no divergence
 * sees, also where that is rounded.
 */
function forEachTerm(
  { inputs, params }: Checked,
  visit: (pair: number, i: number, j: number, from: Part, to: Part) => void,
): { n: number; nodes: number } {
  const { mu, sigma } = inputs;
  const [D, N, B = 1] = mu.shape.toReversed();
  const n = D / Number(params.views);
  for (let b = 0; b < B; b++) {
    const nodes = (inputs as Partial<Checked['inputs']>).lengths?.data[b] ?? N;
    for (let column = 0; column < D; column++) {
      const at = Array.from({ length: nodes }, (_, node) => (b * N + node) * D + column);
      const mean = at.reduce((sum, i) => sum + mu.data[i], 0) / nodes;
      const width = Math.exp(at.reduce((sum, i) => sum + Math.log(sigma.data[i]), 0) / nodes);
      const parts = at.map((i): Part => {
        const square = (sigma.data[i] / width) ** 2;
        const m = Math.abs(mu.data[i] - mean) / width;
        return { m, square, inverse: 1 / square, x: square + 1, y: 1 + 1 / square, width };
      });
      const first = (b * Number(params.views) + Math.floor(column / n)) * N * N;
      for (let i = 0; i < nodes; i++)
        for (let j = 0; j < nodes; j++)
          if (i !== j) visit(first + i * N + j, at[i], at[j], parts[i], parts[j]);
    }
  }
  return { n, nodes: N };
}

export const gaussianKlBounds: KernelBounds = {
  why: 'log, divisions by s up to four times; a product of 2 n + 2 terms that cancel; backward sums of nodes',
  forward(c) {
    const of = new Float64Array(c.expected.out.data.length);
    const { n } = forEachTerm(c, (pair, _i, _j, a, b) => {
      of[pair] += ((a.x + a.m ** 2) * b.y) / 2 + a.m * b.m * b.inverse;
      of[pair] += (a.x + a.y + a.m ** 2 + b.x + b.y + b.m ** 2 * b.inverse) / 2;
    });
    return { out: { ulps: TERM + 3 * n + 2, of } };
  },
  backward(c) {
    const g = allMagnitudes(c.grads).grad_out.data;
    const [mu, sigma] = [c.inputs.mu, c.inputs.sigma].map(({ data }) => new Float64Array(data.length));
    const { nodes } = forEachTerm(c, (pair, i, j, a, b) => {
      mu[i] += (g[pair] * (a.m * (1 + b.y) + b.m * b.inverse)) / a.width;
      mu[j] += (g[pair] * (a.m + b.m) * b.inverse) / b.width;
      sigma[i] += (g[pair] * (a.square * b.y + a.x)) / c.inputs.sigma.data[i];
      sigma[j] += (g[pair] * (b.y + (a.x + (a.m + b.m) ** 2) * b.inverse)) / c.inputs.sigma.data[j];
    });
    const ulps = TERM + 2 * nodes + 6;
    return { grad_mu: { ulps, of: mu }, grad_sigma: { ulps, of: sigma } };
  },
};
