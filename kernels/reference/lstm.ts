import { sigmoid } from './math.ts';
import { recurrentReference, type Cell, type Step } from './recurrent.ts';

/** The activated gates of unit j, in PyTorch's order input, forget, cell, output, and the cell state after the step. */
function gatesOf({ fromInput, fromHidden, states: [, cell] }: Step, j: number) {
  const h = cell.length;
  const [zi, zf, zg, zo] = [0, 1, 2, 3].map((gate) => fromInput[gate * h + j] + fromHidden[gate * h + j]);
  const [i, f, g, o] = [sigmoid(zi), sigmoid(zf), Math.tanh(zg), sigmoid(zo)];
  return { i, f, g, o, nextCell: f * cell[j] + i * g };
}

const lstmCell: Cell = {
  gates: 4,
  states: 2,

  forward(step) {
    const units = Array.from(step.states[1], (_, j) => gatesOf(step, j));
    const hidden = Float64Array.from(units, ({ o, nextCell }) => o * Math.tanh(nextCell));
    return [hidden, Float64Array.from(units, ({ nextCell }) => nextCell)];
  },

  backward(step, [gradHidden, gradCell]) {
    const cell = step.states[1];
    const h = cell.length;
    const gradGates = new Float64Array(4 * h);
    const gradPrevious = new Float64Array(h);
    for (let j = 0; j < h; j++) {
      const { i, f, g, o, nextCell } = gatesOf(step, j);
      const tanhCell = Math.tanh(nextCell);
      const gradNext = gradCell[j] + gradHidden[j] * o * (1 - tanhCell ** 2);
      gradGates[j] = gradNext * g * i * (1 - i);
      gradGates[h + j] = gradNext * cell[j] * f * (1 - f);
      gradGates[2 * h + j] = gradNext * i * (1 - g ** 2);
      gradGates[3 * h + j] = gradHidden[j] * tanhCell * o * (1 - o);
      gradPrevious[j] = gradNext * f;
    }
    // Both halves of a gate enter as one sum, and the hidden state acts through the gates alone.
    return { fromInput: gradGates, fromHidden: gradGates, states: [new Float64Array(h), gradPrevious] };
  },
};

/**
 * `lstm` (docs/spec.md#lstm): c' = f·c + i·g, h' = o·tanh(c') with PyTorch's parameter names and gate order (i, f, g,
 * o); x [B,L,d], weight_ih_l0 [4h,d], weight_hh_l0 [4h,h], bias_ih_l0 and bias_hh_l0 [4h], their `_reverse` with param
 * `bidirectional` (default false), lengths i32[B]; out [B,L,h] or [B,L,2h], 0 at padded tokens. Both states start
 * at 0, the reverse direction at each row's last valid token.
 */
export const lstmReference = recurrentReference('lstm', lstmCell);
