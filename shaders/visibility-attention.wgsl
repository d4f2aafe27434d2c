// out = softmax(q k^T scale over the keys that the query sees by kind or by group) v, by head, and lse [B, L, H].
// Grid: one invocation per block of four queries of one kind and head, heads fastest, WG a workgroup, linear, folded.
// A tile is 4 queries x 4 keys, in scratch a vec4 of queries per key; only its own lane uses it: no barriers. Members of
// the group whose kind is not seen come first, one by one. Outputs: out, 0 where nothing is seen and in padding; lse.
#include "common/visibility.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(3) var<storage, read> tables: array<i32>;
@group(0) @binding(4) var<storage, read_write> weights: array<vec4f>; // [tile][head][key]
@group(0) @binding(5) var<storage, read_write> out: array<lanes>; // [B, L, D]
@group(0) @binding(6) var<storage, read_write> lse: array<f32>; // [B, L, H]
@group(0) @binding(7) var<uniform> params: Params;

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
#endfor

  // Running maximum and sum by query; out holds the weighted sum of the members so far.
  var largest = vec4f(NOTHING);
  var total = vec4f(0.0);
#if GROUPS
#for r in 0..4
  if ($(r)u < count) {
    let end = tables[own + MEMBERS + $(2 * r + 1)u];
    for (var at = tables[own + MEMBERS + $(2 * r)u]; at < end; at += 3) {
      if ((tables[at + 1] & tables[own + SEES]) != 0) { continue; } // counts by its kind
      let key = u32(tables[at]) * params.row + column;
      var score = 0.0;
      for (var c = 0u; c < params.head; c += 1u) { score += inner(q[query_$r + c], k[key + c]); }
      score *= params.scale;
      let apart = -abs(score - largest[$r]);
      let e = or_nan(exp(apart), apart);
      let old_part = select(1.0, e, score > largest[$r]);
      let new_part = select(e, 1.0, score > largest[$r]);
      for (var c = 0u; c < params.head; c += 1u) {
        var sum = lanes();
        if (total[$r] > 0.0) { sum = out[query_$r + c] * old_part; } // else out holds nothing yet
        out[query_$r + c] = fma(lanes(new_part), v[key + c], sum);
      }
      total[$r] = fma(total[$r], old_part, new_part);
      largest[$r] = max(largest[$r], score);
    }
  }
#endfor
  let members = total > vec4f(0.0);
  let members_largest = largest;
#endif

  let first = ((u32(tables[own + TILE]) - params.origin) * params.heads + head) * 4u;
  let step = params.heads * 4u;
  let ranges_end = tables[own + RANGES + 1u];
  var tile = first;
  for (var range = tables[own + RANGES]; range < ranges_end; range += 2) {
    for (var block = u32(tables[range]); block < u32(tables[range + 1]); block += 1u) {
      let keys = block * RECORD;
      let key_count = u32(tables[keys + COUNT]);
#for j in 0..4
      let key_$j = u32(tables[keys + $(j)u]) * params.row + column;
      var score_$j = vec4f(0.0);
#endfor
      for (var c = 0u; c < params.head; c += 1u) {
#for r in 0..4
        let q_$r = q[query_$r + c];
#endfor
#for j in 0..4
        let k_$j = k[key_$j + c];
        score_$j += vec4f(inner(q_0, k_$j), inner(q_1, k_$j), inner(q_2, k_$j), inner(q_3, k_$j));
#endfor
      }
#for j in 0..4
      score_$j = select(vec4f(NOTHING), score_$j * params.scale, $(j)u < key_count);
      largest = max(largest, score_$j);
      weights[tile + $(j)u] = score_$j;
#endfor
      tile += step;
    }
  }

#if GROUPS
  // The sum is of the members alone here: in units of the largest score of all from now on.
  let rescale = select(vec4f(0.0), exp(members_largest - largest), members);
  total *= rescale;
#endif
  for (var at = first; at < tile; at += step) {
#for j in 0..4
    let below_$j = weights[at + $(j)u] - largest;
    let e_$j = or_nan4(exp(below_$j), below_$j);
    weights[at + $(j)u] = e_$j;
    total += e_$j;
#endfor
  }
  // Where anything is seen the sum is at least 1, the largest score's own term.
  total = or_nan4(max(total, vec4f(1.0)), total);
  let inverse = 1.0 / total;
  let row_lse = largest + or_nan4(log(total), total);
#for r in 0..4
  if ($(r)u < count) { lse[token_$r * params.heads + head] = row_lse[$r]; }
#endfor

  for (var c = 0u; c < params.head; c += $(CHUNK)u) {
#for r in 0..4
#for i in 0..CHUNK
    var sum_$(r)_$i = lanes();
#endfor
#endfor
#if GROUPS
#for r in 0..4
    if (members[$r]) {
#for i in 0..CHUNK
      sum_$(r)_$i = out[query_$r + c + $(i)u] * rescale[$r];
#endfor
    }
#endfor
#endif
    var at = first;
    for (var range = tables[own + RANGES]; range < ranges_end; range += 2) {
      for (var block = u32(tables[range]); block < u32(tables[range + 1]); block += 1u) {
#for j in 0..4
        let weight_$j = weights[at + $(j)u];
        let key_$j = u32(tables[block * RECORD + $(j)u]) * params.row + column + c;
#for i in 0..CHUNK
        let v_$(j)_$i = v[key_$j + $(i)u];
#for r in 0..4
        sum_$(r)_$i = fma(lanes(weight_$j[$r]), v_$(j)_$i, sum_$(r)_$i);
#endfor
#endfor
#endfor
        at += step;
      }
    }
#for r in 0..4
    if ($(r)u < count) {
#for i in 0..CHUNK
      out[query_$r + c + $(i)u] = sum_$(r)_$i * inverse[$r];
#endfor
    }
#endfor
  }
}
