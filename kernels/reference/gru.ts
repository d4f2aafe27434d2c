import { sigmoid } from './math.ts';
import { recurrentReference, type Cell, type Step } from './recurrent.ts';

/** The activated gates of unit j, in PyTorch's order reset, update, new; `hn` is the hidden part that r multiplies. */
function gatesOf({ fromInput, fromHidden, states: [hidden] }: Step, j: number) {
  const h = hidden.length;
  const r = sigmoid(fromInput[j] + fromHidden[j]);
  const z = sigmoid(fromInput[h + j] + fromHidden[h + j]);
  const hn = fromHidden[2 * h + j];
  return { r, z, hn, n: Math.tanh(fromInput[2 * h + j] + r * hn) };
}

const gruCell: Cell = {
  gates: 3,
  states: 1,

  forward(step) {
    const next = step.states[0].map((hidden, j) => {
      const { z, n } = gatesOf(step, j);
      return (1 - z) * n + z * hidden;
    });
    return [next];
  },

  backward(step, [gradNext]) {
    const [hidden] = step.states;
    const h = hidden.length;
    const fromInput = new Float64Array(3 * h);
    const fromHidden = new Float64Array(3 * h);
    const gradPrevious = new Float64Array(h);
    for (let j = 0; j < h; j++) {
      const { r, z, hn, n } = gatesOf(step, j);
      const gradN = gradNext[j] * (1 - z) * (1 - n ** 2);
      const gradZ = gradNext[j] * (hidden[j] - n) * z * (1 - z);
      const gradR = gradN * hn * r * (1 - r);
      fromInput[j] = gradR;
      fromInput[h + j] = gradZ;
      fromInput[2 * h + j] = gradN;
      fromHidden[j] = gradR;
      fromHidden[h + j] = gradZ;
      fromHidden[2 * h + j] = gradN * r;
      gradPrevious[j] = gradNext[j] * z;
    }
    return { fromInput, fromHidden, states: [gradPrevious] };
  },
};

/**
 * `gru` (docs/spec.md#gru): n = tanh(W_in x + b_in + r·(W_hn h + b_hn)), h' = (1 − z)·n + z·h with PyTorch's parameter
 * names and gate order (r, z, n); x [B,L,d], weight_ih_l0 [3h,d], weight_hh_l0 [3h,h], bias_ih_l0 and bias_hh_l0 [3h],
 * their `_reverse` with param `bidirectional` (default false), lengths i32[B]; out [B,L,h] or [B,L,2h], 0 at padded
 * tokens. The state starts at 0, the reverse direction at each row's last valid token.
 */
export const gruReference = recurrentReference('gru', gruCell);
