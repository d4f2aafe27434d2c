// grad_v[j] += sum P grad_out[i], grad_k[j] += scale sum dS q[i], over the queries i of j's group that do not see j's kind.
// Grid: one invocation per block of four keys and head, heads fastest, WG a workgroup, linear, folded.
// Few pairs: their scores are made again, from what the softmax left in stats, and nothing of them is ever stored.
// Outputs: grad_k and grad_v, added to what visibility-attention-keys wrote.
#include "common/visibility.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(3) var<storage, read> grad_out: array<lanes>; // [B, L, D]
@group(0) @binding(4) var<storage, read> stats: array<vec2f>; // [B, L, H]: lse, delta
@group(0) @binding(5) var<storage, read> tables: array<i32>;
#if GRAD_K
@group(0) @binding(6) var<storage, read_write> grad_k: array<lanes>; // [B, L, D]
#endif
#if GRAD_V
@group(0) @binding($(6 + GRAD_K)) var<storage, read_write> grad_v: array<lanes>; // [B, L, D]
#endif
@group(0) @binding($(6 + GRAD_K + GRAD_V)) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * $(WG)u + lane;
  if (index >= params.lanes) { return; }
  let head = index % params.heads;
  let column = head * params.head;
  let own = (params.first_block + index / params.heads) * RECORD;
  for (var r = 0u; r < u32(tables[own + COUNT]); r += 1u) {
    let key = u32(tables[own + r]) * params.row + column;
    let end = tables[own + MEMBERS + 2u * r + 1u];
    for (var at = tables[own + MEMBERS + 2u * r]; at < end; at += 3) {
      if ((tables[at + 2] & tables[own + KIND]) != 0) { continue; } // counts by its kind
      let token = u32(tables[at]);
      let query = token * params.row + column;
      var score = 0.0;
      for (var c = 0u; c < params.head; c += 1u) { score += inner(q[query + c], k[key + c]); }
      let row = stats[token * params.heads + head];
      let below = score * params.scale - row.x;
      let p = or_nan(exp(below), below);
#if GRAD_K
      var grad = 0.0;
      for (var c = 0u; c < params.head; c += 1u) { grad += inner(grad_out[query + c], v[key + c]); }
      let grad_score = params.scale * p * (grad - row.y);
      for (var c = 0u; c < params.head; c += 1u) {
        grad_k[key + c] = fma(lanes(grad_score), q[query + c], grad_k[key + c]);
      }
#endif
#if GRAD_V
      for (var c = 0u; c < params.head; c += 1u) {
        grad_v[key + c] = fma(lanes(p), grad_out[query + c], grad_v[key + c]);
      }
#endif
    }
  }
}
