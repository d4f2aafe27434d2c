// P = exp(S - lse), dS = P (Z - delta) of every tile, S = q k^T scale, Z = grad_out v^T; grad_q = scale dS k.
// Grid: as visibility-attention, and its tiles: in scratch four vec4 of P, then four of dS.
// What its own lane wrote it reads again for grad_q; visibility-attention-keys sums the same tiles over queries.
// Outputs: weights, 0 for queries and keys that a block lacks; grad_q, 0 where nothing is seen and in padding.
#include "common/visibility.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(3) var<storage, read> grad_out: array<lanes>; // [B, L, D]
@group(0) @binding(4) var<storage, read> stats: array<vec2f>; // [B, L, H]: lse, delta
@group(0) @binding(5) var<storage, read> tables: array<i32>;
@group(0) @binding(6) var<storage, read_write> weights: array<vec4f>; // [tile][head][P, dS][key]
#if GRAD_Q
@group(0) @binding(7) var<storage, read_write> grad_q: array<lanes>; // [B, L, D]
#endif
@group(0) @binding($(7 + GRAD_Q)) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * $(WG)u + lane;
  if (index >= params.lanes) { return; }
  let head = index % params.heads;
  let column = head * params.head;
  let own = (params.first_block + index / params.heads) * RECORD;
  let count = u32(tables[own + COUNT]);
#for r in 0..4
  let token_$r = u32(tables[own + $(r)u]);
  let query_$r = token_$r * params.row + column;
  let stats_$r = stats[token_$r * params.heads + head];
#endfor
  let row_lse = vec4f(stats_0.x, stats_1.x, stats_2.x, stats_3.x);
  let delta = vec4f(stats_0.y, stats_1.y, stats_2.y, stats_3.y);
  let here = vec4u(0u, 1u, 2u, 3u) < vec4u(count);

  let first = ((u32(tables[own + TILE]) - params.origin) * params.heads + head) * 8u;
  let step = params.heads * 8u;
  let ranges_end = tables[own + RANGES + 1u];
  var tile = first;
  for (var range = tables[own + RANGES]; range < ranges_end; range += 2) {
    for (var block = u32(tables[range]); block < u32(tables[range + 1]); block += 1u) {
      let keys = block * RECORD;
      let key_count = u32(tables[keys + COUNT]);
#for j in 0..4
      let key_$j = u32(tables[keys + $(j)u]) * params.row + column;
      var score_$j = vec4f(0.0);
      var grad_$j = vec4f(0.0);
#endfor
      for (var c = 0u; c < params.head; c += 1u) {
#for r in 0..4
        let q_$r = q[query_$r + c];
        let g_$r = grad_out[query_$r + c];
#endfor
#for j in 0..4
        let k_$j = k[key_$j + c];
        let v_$j = v[key_$j + c];
        score_$j += vec4f(inner(q_0, k_$j), inner(q_1, k_$j), inner(q_2, k_$j), inner(q_3, k_$j));
        grad_$j += vec4f(inner(g_0, v_$j), inner(g_1, v_$j), inner(g_2, v_$j), inner(g_3, v_$j));
#endfor
      }
#for j in 0..4
      let below_$j = score_$j * params.scale - row_lse;
      let here_$j = here & vec4<bool>($(j)u < key_count);
      let p_$j = select(vec4f(0.0), or_nan4(exp(below_$j), below_$j), here_$j);
      weights[tile + $(j)u] = p_$j;
      weights[tile + $(j + 4)u] = p_$j * (grad_$j - delta);
#endfor
      tile += step;
    }
  }

#if GRAD_Q
  for (var c = 0u; c < params.head; c += $(CHUNK)u) {
#for r in 0..4
#for i in 0..CHUNK
    var sum_$(r)_$i = lanes();
#endfor
#endfor
    var at = first;
    for (var range = tables[own + RANGES]; range < ranges_end; range += 2) {
      for (var block = u32(tables[range]); block < u32(tables[range + 1]); block += 1u) {
#for j in 0..4
        let weight_$j = weights[at + $(j + 4)u];
        let key_$j = u32(tables[block * RECORD + $(j)u]) * params.row + column + c;
#for i in 0..CHUNK
        let k_$(j)_$i = k[key_$j + $(i)u];
#for r in 0..4
        sum_$(r)_$i = fma(lanes(weight_$j[$r]), k_$(j)_$i, sum_$(r)_$i);
#endfor
#endfor
#endfor
        at += step;
      }
    }
#for r in 0..4
    if ($(r)u < count) {
#for i in 0..CHUNK
      grad_q[query_$r + c + $(i)u] = sum_$(r)_$i * params.scale;
#endfor
    }
#endfor
  }
#if GROUPS
#for r in 0..4
  if ($(r)u < count) {
    let end = tables[own + MEMBERS + $(2 * r + 1)u];
    for (var at = tables[own + MEMBERS + $(2 * r)u]; at < end; at += 3) {
      if ((tables[at + 1] & tables[own + SEES]) != 0) { continue; } // counts by its kind
      let key = u32(tables[at]) * params.row + column;
      var score = 0.0;
      var grad = 0.0;
      for (var c = 0u; c < params.head; c += 1u) {
        score += inner(q[query_$r + c], k[key + c]);
        grad += inner(grad_out[query_$r + c], v[key + c]);
      }
      let below = score * params.scale - row_lse[$r];
      let grad_score = params.scale * or_nan(exp(below), below) * (grad - delta[$r]);
      for (var c = 0u; c < params.head; c += 1u) {
        grad_q[query_$r + c] = fma(lanes(grad_score), k[key + c], grad_q[query_$r + c]);
      }
    }
  }
#endfor
#endif
#endif
}
