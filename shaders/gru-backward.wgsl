// With dh the gradient of h: dn = dh (1 - z), dz = dh (h_before - n), dr = dn' hn, dhn = dn' r, dh_before += dh z.
// Grid: one workgroup per direction and batch row, or ROWS of them, which loops back over the rows' valid tokens.
// WG as in the forward.
// Outputs: grad_gates, before activation, and grad_hidden, of W_hh h + b_hh (its third gate has the factor r); 0 at padding.
#if STEPS
#include "common/recurrent-backward-step.wgsl"
#else
#include "common/recurrent-backward.wgsl"
@group(0) @binding(6) var<storage, read> out: array<f32>; // [B, L, D * h]
@group(0) @binding(7) var<storage, read_write> grad_hidden: array<f32>; // [D, B, L, 3 * h]
@group(0) @binding(8) var<uniform> params: Params;

fn load_gate_grads(row: u32, unit: u32) -> vec4f {
  let at = row * $(3 * HIDDEN)u + unit;
  return vec4f(grad_hidden[at], grad_hidden[at + HIDDEN], grad_hidden[at + 2u * HIDDEN], 0.0);
}
#endif

fn cell(token: Token, unit: u32, u: u32, grad: f32) -> vec4f {
  let at = token.row * $(3 * HIDDEN)u + unit;
  let r = gates[at];
  let z = gates[at + HIDDEN];
  let n = gates[at + 2u * HIDDEN];
  let hn = state[token.row * HIDDEN + unit];
  var h_before = 0.0;
  if (!token.first) { h_before = out[token.out_previous * HIDDEN + unit]; }
  let grad_n = grad * (1.0 - z) * (1.0 - n * n);
  let grads = vec4f(grad_n * hn * r * (1.0 - r), grad * (h_before - n) * z * (1.0 - z), grad_n * r, 0.0);
  grad_gates[at] = grads.x;
  grad_gates[at + HIDDEN] = grads.y;
  grad_gates[at + 2u * HIDDEN] = grad_n;
  carried[u] = vec2f(grad * z, 0.0);
  return grads;
}
