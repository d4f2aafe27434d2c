// grad_v = P^T grad_out, grad_k = scale dS^T q, P and dS as in attention-fused-queries, tile by tile of queries.
// Grid: a workgroup of 256 lanes for every OWN keys of a (batch, head), folded: 16 lanes a key.
// Both gradients in one pass, which makes P and dS once; a key's sum over queries has one order.
// Outputs: those of grad_v and grad_k that are wanted, [B, Lk, D], 0 past the lengths.
#include "common/attention-tile.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, Lq, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, Lk, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, Lk, D]
@group(0) @binding(3) var<storage, read> grad_out: array<lanes>; // [B, Lq, D]
@group(0) @binding(4) var<storage, read> stats: array<vec2f>; // lse and delta, [B, H, Lq]
#if GRAD_V
@group(0) @binding(5) var<storage, read_write> grad_v: array<lanes>; // [B, Lk, D]
#endif
#if GRAD_K
@group(0) @binding($(5 + GRAD_V)) var<storage, read_write> grad_k: array<lanes>; // [B, Lk, D]
#endif
#if LENGTHS || MASK
@group(0) @binding($(5 + GRAD_V + GRAD_K)) var<storage, read> tables: array<i32>; // common/attention-block.wgsl
#endif
@group(0) @binding($(5 + GRAD_V + GRAD_K + (LENGTHS || MASK))) var<uniform> params: Params;
#include "common/attention-block.wgsl"

#if LENGTHS
fn length_of(batch: u32) -> u32 { return u32(tables[batch]); }
#endif
#include "common/attention-keys.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
#include "common/attention-begin.wgsl"
  for (var first = 0u; first < block.stream_rows; first += STREAM) {
    let score = product_0(block, first, lane) * params.scale;
#if GRAD_K
    let grad = product_1(block, first, lane);
#endif
    let open = open_pairs(block, own, first + tx);
    var of_row = vec2f();
    if (first + tx < block.stream_rows) {
      of_row = stats[(block.batch * params.heads + block.head) * params.stream_rows + first + tx];
    }
    let below = select(vec4f(NOTHING), score, open) - of_row.x;
    let p = select(vec4f(), or_nan4(exp(below), below), open);
#if GRAD_V
    put_0(tx * QUADS + ty, p);
#endif
#if GRAD_K
    put_$(GRAD_V)(tx * QUADS + ty, select(vec4f(), p * (grad - of_row.y), open));
#endif
    workgroupBarrier();
#include "common/attention-sums.wgsl"
  }
#if GRAD_V
  let factor_0 = vec4f(1.0);
#endif
#if GRAD_K
  let factor_$(GRAD_V) = vec4f(params.scale);
#endif
#include "common/attention-end.wgsl"
}
