/** `lstm`: a long short-term memory layer (Hochreiter & Schmidhuber 1997, with forget gates), as PyTorch's nn.LSTM. */
import { recurrentKernel, sigmoidFlops, tanhFlops } from './shared/recurrent.ts';
import lstmWgsl from '../shaders/lstm.wgsl';
import lstmBackwardWgsl from '../shaders/lstm-backward.wgsl';

/**
 * i, f, g, o = σ, σ, tanh, σ of W_ih x + b_ih + W_hh h + b_hh; c' = f·c + i·g; h' = o·tanh(c'). x [B,L,d], weight_ih_l0
 * [4h,d], weight_hh_l0 [4h,h], bias_ih_l0 and bias_hh_l0 [4h], with `bidirectional` also their `_reverse`; lengths
 * i32[B]. out [B,L,h or 2h] is 0 at padded tokens; h and c start at 0, in reverse at each row's last valid token.
 * Saved: the activated gates and c. InputError on shapes that disagree and on a length outside 0..L, naming the row.
 */
export const lstm = recurrentKernel({
  name: 'lstm',
  wgsl: { forward: lstmWgsl, backward: lstmBackwardWgsl },
  doc: 'long short-term memory over the valid tokens of each row, in one or both directions (PyTorch nn.LSTM)',
  backwardDoc: 'back through time for the gates, then one matrix product per weight and for x',
  gates: 4,
  state: 'c',
  // Four sums with the input, the activations, f·c + i·g, o·tanh(c).
  flops: 4 + 3 * sigmoidFlops + tanhFlops + 3 + (tanhFlops + 1),
  // grad_out + carried, tanh(c), the gradient of c, four gates of 4, and its part for the token before.
  backwardFlops: 1 + tanhFlops + 5 + 4 * 4 + 1,
});
