// grad_q = scale dS k with dS = P (grad_out v^T - delta), P = exp(scale q k^T - lse), tile by tile of keys, by head.
// Grid: a workgroup of 256 lanes for every OWN queries of a (batch, head), folded: 16 lanes a query.
// Scores and their gradients never leave it; with lse and delta known every pair is on its own: no reduction.
// Output: grad_q [B, Lq, D].
#include "common/attention-tile.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, Lq, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, Lk, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, Lk, D]
@group(0) @binding(3) var<storage, read> grad_out: array<lanes>; // [B, Lq, D]
@group(0) @binding(4) var<storage, read> stats: array<vec2f>; // lse and delta, [B, H, Lq]
@group(0) @binding(5) var<storage, read_write> grad_q: array<lanes>; // [B, Lq, D]
#if LENGTHS || MASK
@group(0) @binding(6) var<storage, read> tables: array<i32>; // common/attention-block.wgsl
#endif
@group(0) @binding($(6 + (LENGTHS || MASK))) var<uniform> params: Params;
#include "common/attention-block.wgsl"

#if LENGTHS
fn length_of(batch: u32) -> u32 { return u32(tables[batch]); }
#endif
fn own_0(at: u32) -> lanes { return q[at]; }
fn stream_0(at: u32) -> lanes { return k[at]; }
fn own_1(at: u32) -> lanes { return grad_out[at]; }
fn stream_1(at: u32) -> lanes { return v[at]; }
fn value_0(at: u32) -> lanes { return k[at]; }
fn store_0(at: u32, x: lanes) { grad_q[at] = x; }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
#include "common/attention-begin.wgsl"
  var lse = vec4f();
  var delta = vec4f();
  let row_at = (block.batch * params.heads + block.head) * params.own_rows + own;
#for a in 0..4
  if (own + $(a)u < params.own_rows) {
    let of_row = stats[row_at + $(a)u];
    lse[$a] = of_row.x;
    delta[$a] = of_row.y;
  }
#endfor
  for (var first = 0u; first < block.stream_rows; first += STREAM) {
    let score = product_0(block, first, lane) * params.scale;
    let grad = product_1(block, first, lane);
    let open = open_pairs(block, own, first + tx);
    // Where a pair does not count the exponent is one of a query that may attend to nothing: 0 or very negative.
    let below = select(vec4f(NOTHING), score, open) - lse;
    let p = or_nan4(exp(below), below);
    put_0(tx * QUADS + ty, select(vec4f(), p * (grad - delta), open));
    workgroupBarrier();
#include "common/attention-sums.wgsl"
  }
  let factor_0 = vec4f(params.scale);
#include "common/attention-end.wgsl"
}
