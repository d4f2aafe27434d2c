/** A graph among nodes that are Gaussians to one another (docs/spec.md#graph). */
import type { Tensor } from '../gpu/tensor.ts';
import {
  concat,
  gaussianKl,
  graphAdjacency,
  graphConvolution,
  hostInts,
  linear,
  reshape,
  scale,
  split,
} from '../ops/index.ts';
import { Linear } from './modules.ts';
import type { Parameters } from './parameters.ts';

/** Least σ of a node: the divergences stay finite and exact in float32. */
const LEAST_SIGMA = 0.01;

/**
 * Edges once from the first nodes, the divergences of their Gaussians in each of K views of their features; then layers
 * X ← ReLU([A_1 Y_1 ; … ; A_K Y_K]), Y = X Wᵀ + b: `mu.weight` [g, g], `sigma` and `layers.l` g → g.
 */
export class GaussianGraph {
  readonly #mu: Tensor;
  readonly #sigma: Linear;
  readonly #layers: Linear[];
  readonly #views: number;

  /** @param views divide `size` */
  constructor(parameters: Parameters, size: number, layers: number, views: number) {
    // A bias would be common to all nodes, and means count through their differences alone.
    this.#mu = parameters.in('mu').take('weight', [size, size], { normal: 1 / Math.sqrt(size) });
    this.#sigma = new Linear(parameters, 'sigma', size, size);
    this.#layers = Array.from(
      { length: layers },
      (_, l) => new Linear(parameters, `layers.${l}`, size, size),
    );
    this.#views = views;
  }

  /**
   * The graph of all `fixed` [B, T, g] and the first `counts` i32[B] of `others` [B, C, g] → what the layers make of
   * the others [B, C, g].
   */
  forward(fixed: Tensor, others: Tensor, counts: Int32Array): Tensor {
    return fixed.runtime.tidy(() => {
      const [rows, count, size] = fixed.shape;
      const columns = others.shape[1];
      // The fixed ones first: then the nodes of a row lie together, before its padding.
      const widths = [count * size, columns * size];
      const joined = concat(reshape(fixed, [rows, widths[0]]), reshape(others, [rows, widths[1]]));
      const x = reshape(joined, [rows, count + columns, size]);
      const lengths = hostInts(counts.map((other) => count + other));
      const adjacency = x.runtime.tidy(() => {
        const sigma = scale(this.#sigma.forward(x, 'softplus'), 1, LEAST_SIGMA);
        const divergences = gaussianKl(linear(x, this.#mu), sigma, { views: this.#views, lengths });
        return graphAdjacency(divergences, lengths);
      });
      const last = this.#layers.reduce(
        (nodes, layer) => graphConvolution(adjacency, layer.forward(nodes), lengths),
        x,
      );
      const [, enriched] = split(reshape(last, [rows, widths[0] + widths[1]]), widths);
      return reshape(enriched, [rows, columns, size]);
    });
  }
}
