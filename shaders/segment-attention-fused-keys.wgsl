// grad_v = C^T grad_out, grad_k = scale dS^T q, C and dS as in segment-attention-fused-queries, by tiles of queries.
// Grid: a workgroup of 256 lanes for every block_rows keys of a (batch, head), folded; it reads HALO more at both ends.
// Both gradients in one pass, which makes C and dS once; a key's sum over queries has one order.
// Outputs: those of grad_v and grad_k that are wanted, [B, L, D], 0 past the lengths.
#include "common/attention-tile.wgsl"
@group(0) @binding(0) var<storage, read> q: array<lanes>; // [B, L, D]
@group(0) @binding(1) var<storage, read> k: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(3) var<storage, read> stats: array<f32>; // as segment-attention-stats leaves them
@group(0) @binding(4) var<storage, read> grad_out: array<lanes>; // [B, L, D]
#if !PER_SCALE
@group(0) @binding(5) var<storage, read> weights: array<f32>; // [S], [H, S] or [B, L, H, S]
#endif
#if GRAD_V
@group(0) @binding($(6 - PER_SCALE)) var<storage, read_write> grad_v: array<lanes>; // [B, L, D]
#endif
#if GRAD_K
@group(0) @binding($(6 - PER_SCALE + GRAD_V)) var<storage, read_write> grad_k: array<lanes>; // [B, L, D]
#endif
@group(0) @binding($(6 - PER_SCALE + GRAD_V + GRAD_K)) var<uniform> params: Params;
#include "common/attention-block.wgsl"

const NO_TOKEN = -1e35; // the score of a key that is none: exp2 of a mean with it is 0
fn length_of(batch: u32) -> u32 { return u32(stats[params.lengths_at + batch]); }
#include "common/attention-keys.wgsl"

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group_id: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
#include "common/attention-begin.wgsl"
  let row = lane / QUADS;
  let chunk = lane % QUADS;
  let tokens = params.own_rows;
  let length = block.own_rows;
  for (var first = 0u; first < block.stream_rows; first += STREAM) {
#include "common/segment-tile.wgsl"
    let query = first + row;
#include "common/segment-row.wgsl"
#include "common/segment-ends.wgsl"
#include "common/segment-combine.wgsl"
#include "common/attention-sums.wgsl"
  }
#if GRAD_V
  let factor_0 = vec4f(1.0);
#endif
#if GRAD_K
  let factor_$(GRAD_V) = vec4f(params.factor);
#endif
#include "common/attention-end.wgsl"
}
