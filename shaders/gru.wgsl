// r, z = sigmoid(gates + W_hh h + b_hh); n = tanh(gate + r hn), hn = W_hn h + b_hn; h' = (1 - z) n + z h (PyTorch).
// Grid: one workgroup per direction and batch row, or ROWS of them, which loops over the rows' valid tokens.
// WG lanes share the units; 64 on a software device, whose barriers are slow, else up to 256.
// Outputs: out (h, 0 at padding); gates after activation and state (hn) at valid tokens, for the backward.
#if STEPS
#include "common/recurrent-step.wgsl"
#else
#include "common/recurrent.wgsl"
#endif

fn cell(row: u32, unit: u32, u: u32, product: vec4f) -> f32 {
  let at = row * $(3 * HIDDEN)u + unit;
  let r = sigmoid(gates[at] + product.x);
  let z = sigmoid(gates[at + HIDDEN] + product.y);
  let n = safe_tanh(gates[at + 2u * HIDDEN] + r * product.z);
  let h = (1.0 - z) * n + z * carried[u];
  gates[at] = r;
  gates[at + HIDDEN] = z;
  gates[at + 2u * HIDDEN] = n;
  state[row * HIDDEN + unit] = product.z;
  carried[u] = h;
  return h;
}
