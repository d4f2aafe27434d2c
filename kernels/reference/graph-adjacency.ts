import { bindShapes, checkLengths, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

/** Calls `visit` for each valid node i of each graph and view: where its row begins, its number, 1 + Σ_j w_ij. */
function forEachRow(
  inputs: RefTensors,
  visit: (row: number, i: number, nodes: number, total: number) => void,
): void {
  const { B, V, N } = bindShapes('graph-adjacency', inputs, { weights: 'B V N N', lengths: 'i32 B' });
  checkLengths('graph-adjacency', inputs.lengths, N);
  for (let square = 0; square < B * V; square++) {
    const nodes = inputs.lengths.data[Math.floor(square / V)];
    for (let i = 0; i < nodes; i++) {
      const row = (square * N + i) * N;
      let total = 1;
      for (let j = 0; j < nodes; j++) total += inputs.weights.data[row + j];
      visit(row, i, nodes, total);
    }
  }
}

/**
 * `graph-adjacency`: out = (w + I) / (1 + row sum of w) over the first lengths[b] nodes of weights [B,V,N,N]; 0 in
 * padding, whatever its weights hold.
 */
export const graphAdjacencyReference: Reference = {
  forward(inputs) {
    const { weights } = inputs;
    const out = zeros(weights.shape);
    forEachRow(inputs, (row, i, nodes, total) => {
      for (let j = 0; j < nodes; j++) out.data[row + j] = (weights.data[row + j] + Number(i === j)) / total;
    });
    return { out };
  },

  backward(inputs, _params, grads) {
    const { weights } = inputs;
    const gradOut = upstream('graph-adjacency', grads, 'out', weights.shape);
    const gradWeights = zeros(weights.shape);
    forEachRow(inputs, (row, i, nodes, total) => {
      for (let j = 0; j < nodes; j++) {
        const out = (weights.data[row + j] + Number(i === j)) / total;
        gradWeights.data[row + j] += gradOut[row + j] / total;
        for (let k = 0; k < nodes; k++) gradWeights.data[row + k] -= (gradOut[row + j] * out) / total;
      }
    });
    return { grad_weights: gradWeights };
  },
};
