/** `gru`: a gated recurrent unit layer (Cho et al. 2014), in the form of PyTorch's nn.GRU. */
import { recurrentKernel, sigmoidFlops, tanhFlops } from './shared/recurrent.ts';
import gruWgsl from '../shaders/gru.wgsl';
import gruBackwardWgsl from '../shaders/gru-backward.wgsl';

/**
 * r, z = σ(W_ih x + b_ih + W_hh h + b_hh); n = tanh(W_in x + b_in + r·(W_hn h + b_hn)); h' = (1 − z)·n + z·h. x [B,L,d],
 * weight_ih_l0 [3h,d], weight_hh_l0 [3h,h], bias_ih_l0 and bias_hh_l0 [3h], with `bidirectional` also their `_reverse`;
 * lengths i32[B]. out [B,L,h or 2h] is 0 at padded tokens; h starts at 0, in reverse at each row's last valid token.
 * Saved: the activated gates and W_hn h + b_hn. InputError on shapes that disagree and on a length outside 0..L.
 */
export const gru = recurrentKernel({
  name: 'gru',
  wgsl: { forward: gruWgsl, backward: gruBackwardWgsl },
  doc: 'gated recurrent units over the valid tokens of each row, in one or both directions (PyTorch nn.GRU)',
  backwardDoc: 'back through time for the gates, then one matrix product per weight and for x',
  gates: 3,
  state: 'W_hn h + b_hn',
  // r and z with their sum, tanh of gate + r·hn, (1 − z)·n + z·h.
  flops: 2 * (1 + sigmoidFlops) + (2 + tanhFlops) + 4,
  // grad_out + carried, 5 for n, 5 for z, 4 for r, the factor r, and h's direct part z.
  backwardFlops: 1 + 5 + 5 + 4 + 1 + 1,
});
