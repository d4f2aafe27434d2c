// i, f, g, o = activate(gates + W_hh h + b_hh); c' = f c + i g; h' = o tanh(c'), PyTorch's order of gates.
// Grid: one workgroup per direction and batch row, or ROWS of them, which loops over the rows' valid tokens.
// WG lanes share the units; 64 on a software device, whose barriers are slow, else up to 256.
// Outputs: out (h, 0 at padding); gates after activation and state (c) at valid tokens, for the backward.
#if STEPS
#include "common/recurrent-step.wgsl"
#else
#include "common/recurrent.wgsl"
#endif

fn cell(row: u32, unit: u32, u: u32, product: vec4f) -> f32 {
  let at = row * $(4 * HIDDEN)u + unit;
  let i = sigmoid(gates[at] + product.x);
  let f = sigmoid(gates[at + HIDDEN] + product.y);
  let g = safe_tanh(gates[at + 2u * HIDDEN] + product.z);
  let o = sigmoid(gates[at + 3u * HIDDEN] + product.w);
  let c = f * carried[u] + i * g;
  gates[at] = i;
  gates[at + HIDDEN] = f;
  gates[at + 2u * HIDDEN] = g;
  gates[at + 3u * HIDDEN] = o;
  state[row * HIDDEN + unit] = c;
  carried[u] = c;
  return o * safe_tanh(c);
}
