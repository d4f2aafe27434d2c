// sums[key] (+)= scale sum over the queries that see the key by kind of W[query, key] rows[query], W = P or dS in scratch.
// Grid: one invocation per block of four keys and head, heads fastest, WG a workgroup, linear, folded.
// The list of those who see a block leads to its column of tiles: every element is written by one lane, in one order.
// Output: sums = grad_v (rows grad_out, W = P, PART 0) or grad_k (rows q, W = dS, PART 4); 0 in padding.
#include "common/visibility.wgsl"
@group(0) @binding(0) var<storage, read> rows: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> tables: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<vec4f>; // [tile][head][P, dS][key]
@group(0) @binding(3) var<storage, read_write> sums: array<lanes>; // [B, L, D]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * $(WG)u + lane;
  if (index >= params.lanes) { return; }
  let head = index % params.heads;
  let column = head * params.head;
  let block = params.first_block + index / params.heads;
  let own = block * RECORD;
  let count = u32(tables[own + COUNT]);
#for j in 0..4
  let key_$j = u32(tables[own + $(j)u]) * params.row + column;
#endfor

  for (var c = 0u; c < params.head; c += $(CHUNK)u) {
#for j in 0..4
#for i in 0..CHUNK
    var sum_$(j)_$i = lanes();
#endfor
#endfor
    for (var reader = tables[own + READERS]; reader < tables[own + READERS + 1u]; reader += 4) {
      let first = u32(tables[reader]);
      let end = min(u32(tables[reader + 1]), params.end_query);
      for (var queries = max(first, params.first_query); queries < end; queries += 1u) {
        let tile = u32(tables[reader + 2]) + (queries - first) * u32(tables[reader + 3]) + block - params.origin;
        let at = (tile * params.heads + head) * 8u + $(PART)u;
#for j in 0..4
        let weight_$j = weights[at + $(j)u];
#endfor
#for r in 0..4
        let query_$r = u32(tables[queries * RECORD + $(r)u]) * params.row + column + c;
#for i in 0..CHUNK
        let row_$(r)_$i = rows[query_$r + $(i)u];
#for j in 0..4
        sum_$(j)_$i = fma(lanes(weight_$j[$r]), row_$(r)_$i, sum_$(j)_$i);
#endfor
#endfor
#endfor
      }
    }
#for j in 0..4
    if ($(j)u < count) {
#for i in 0..CHUNK
      let before_$i = select(lanes(), sums[key_$j + c + $(i)u], params.accumulate != 0u);
      sums[key_$j + c + $(i)u] = fma(lanes(params.scale), sum_$(j)_$i, before_$i);
#endfor
    }
#endfor
  }
}
