import { InputError } from '../errors.ts';
import { bindShapes, checkLengths, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

const name = 'graph-convolution';

function bind(inputs: RefTensors) {
  const patterns = { adjacency: 'B V N N', x: 'B N g', lengths: 'i32 B' };
  const { B, V, N, g } = bindShapes(name, inputs, patterns);
  checkLengths(name, inputs.lengths, N);
  if (V === 0 || g % V !== 0) throw new InputError(`${name}: g = ${g} is not a multiple of ${V} views`);
  return { B, V, N, g };
}

/** Calls `visit` for each pair of valid nodes and column of x: where A_ij is, and the column in rows i and j. */
function forEachTerm(inputs: RefTensors, visit: (pair: number, i: number, j: number) => void): void {
  const { B, V, N, g } = bind(inputs);
  for (let b = 0; b < B; b++)
    for (let i = 0; i < inputs.lengths.data[b]; i++)
      for (let j = 0; j < inputs.lengths.data[b]; j++)
        for (let c = 0; c < g; c++) {
          const view = Math.floor(c / (g / V));
          visit(((b * V + view) * N + i) * N + j, (b * N + i) * g + c, (b * N + j) * g + c);
        }
}

/**
 * `graph-convolution`: out [B,N,g] = ReLU([A_1 x_1 ; … ; A_V x_V]) over the first lengths[b] nodes, for adjacency
 * [B,V,N,N] and x_v the v-th chunk of g/V columns of x [B,N,g]; 0 in padding, whatever the inputs hold there.
 */
export const graphConvolutionReference: Reference = {
  forward(inputs) {
    bind(inputs);
    const out = zeros(inputs.x.shape);
    forEachTerm(inputs, (pair, i, j) => {
      out.data[i] += inputs.adjacency.data[pair] * inputs.x.data[j];
    });
    out.data.forEach((value, i) => (out.data[i] = Math.max(0, value)));
    return { out };
  },

  backward(inputs, params, grads) {
    const gradOut = upstream(name, grads, 'out', inputs.x.shape);
    const { out } = graphConvolutionReference.forward(inputs, params);
    const [gradAdjacency, gradX] = [zeros(inputs.adjacency.shape), zeros(inputs.x.shape)];
    forEachTerm(inputs, (pair, i, j) => {
      if (out.data[i] === 0) return;
      gradAdjacency.data[pair] += gradOut[i] * inputs.x.data[j];
      gradX.data[j] += gradOut[i] * inputs.adjacency.data[pair];
    });
    return { grad_adjacency: gradAdjacency, grad_x: gradX };
  },
};
