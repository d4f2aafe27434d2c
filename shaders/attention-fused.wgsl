// out = softmax(scale q k^T over the keys that a query may attend to) v by head, and lse = log sum exp, in one pass.
// Grid: a workgroup of 256 lanes for every OWN queries of a (batch, head), folded: 16 lanes a query fill a GPU.
// Scores never leave it: tile by tile of keys the running maximum moves, and what was summed is scaled to it.
// Outputs: out [B, Lq, D] and lse [B, H, Lq], 0 and -1e30 where nothing is attended.
#if SUBGROUPS
enable subgroups;
#endif
#include "common/attention-tile.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, Lq, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, Lk, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, Lk, D]
@group(0) @binding(3) var<storage, read_write> out: array<lanes>; // [B, Lq, D]
@group(0) @binding(4) var<storage, read_write> lse: array<f32>; // [B, H, Lq]
#if LENGTHS || MASK
@group(0) @binding(5) var<storage, read> tables: array<i32>; // common/attention-block.wgsl
#endif
@group(0) @binding($(5 + (LENGTHS || MASK))) var<uniform> params: Params;
#include "common/attention-rows.wgsl"
#include "common/attention-block.wgsl"

#if LENGTHS
fn length_of(batch: u32) -> u32 { return u32(tables[batch]); }
#endif
fn own_0(at: u32) -> lanes { return q[at]; }
fn stream_0(at: u32) -> lanes { return k[at]; }
fn value_0(at: u32) -> lanes { return v[at]; }
fn store_0(at: u32, x: lanes) { out[at] = x; }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) grid: vec3u,
#if SUBGROUPS
        @builtin(subgroup_size) subgroup: u32,
#endif
        @builtin(local_invocation_index) lane: u32) {
#if !SUBGROUPS
  let subgroup = 1u;
#endif
#include "common/attention-begin.wgsl"
  var largest = vec4f(NOTHING);
  var total = vec4f(); // of the lane's own keys
  for (var first = 0u; first < block.stream_rows; first += STREAM) {
    let score = product_0(block, first, lane) * params.scale;
    let open = open_pairs(block, own, first + tx);
    let top = max(largest, rows_max(select(vec4f(NOTHING), score, open), lane, subgroup));
    let below = select(vec4f(NOTHING), score, open) - top;
    let p = select(vec4f(), or_nan4(exp(below), below), open);
    let moved = exp(largest - top);
    largest = top;
    total = fma(total, moved, p);
#for j in 0..VECS
#for a in 0..4
    sum_0_$(j)_$a *= moved[$a];
#endfor
#endfor
    put_0(tx * QUADS + ty, p);
    workgroupBarrier();
#include "common/attention-sums.wgsl"
  }
  // Where any key counts the sum is at least 1, the largest score's own term.
  let terms = rows_sum(total, lane, subgroup);
  let row_total = or_nan4(max(terms, vec4f(1.0)), terms);
  let factor_0 = 1.0 / row_total;
  let row_lse = largest + or_nan4(log(row_total), row_total);
  if (tx == 0u) {
    let at = (block.batch * params.heads + block.head) * params.own_rows + own;
#for a in 0..4
    if (own + $(a)u < params.own_rows) { lse[at + $(a)u] = row_lse[$a]; }
#endfor
  }
#include "common/attention-end.wgsl"
}
