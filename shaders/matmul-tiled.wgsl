// C as in matmul.wgsl, both operands staged in workgroup memory: for GPUs, whose barriers are cheap.
// Grid: one workgroup of 8 x 8 invocations per TILE x TILE of C, (batch, row, column) linear, folded.
// TILE x BK = 1024 elements are one 4 x 4 block a lane; a lane's quads of C lie 32 apart: neighbours read neighbours.
// Outputs: c, and with SAVE_PRE the value before the activation in pre.
#include "common/matmul.wgsl"

// [BK, TILE / 4 + 1] quads along the rows of A and the columns of B; the odd stride spreads a column over the banks.
var<workgroup> a_tile: array<vec4f, $(BK * (TILE / 4 + 1))>;
var<workgroup> b_tile: array<vec4f, $(BK * (TILE / 4 + 1))>;

// Four elements from `at` on; those past `last` repeat elements within the matrix.
fn quad_of_a(at: u32, last: u32) -> vec4f {
#if VEC_A
  return a[min(at, last) >> 2u];
#else
  return vec4f(a[min(at, last)], a[min(at + 1u, last)], a[min(at + 2u, last)], a[min(at + 3u, last)]);
#endif
}

fn quad_of_b(at: u32, last: u32) -> vec4f {
#if VEC_B
  return b[min(at, last) >> 2u];
#else
  return vec4f(b[min(at, last)], b[min(at + 1u, last)], b[min(at + 2u, last)], b[min(at + 3u, last)]);
#endif
}

// Elements past the end of k become 0 in both operands, whatever they hold; rows past the edge are never stored.
fn stage_a(lane: u32, base: u32, row0: u32, k: u32, k_end: u32) {
#if TRANS_A
  let quad = lane % $(TILE / 4)u;
  let s = lane / $(TILE / 4)u * 4u;
#for t in 0..4
  let line_$t = base + min(k + s + $(t)u, k_end - 1u) * params.a_row;
  let value_$t = quad_of_a(line_$t + row0 + quad * 4u, line_$t + params.m - 1u);
  a_tile[(s + $(t)u) * $(TILE / 4 + 1)u + quad] = select(vec4f(0.0), value_$t, k + s + $(t)u < k_end);
#endfor
#else
  let quad = lane / $(BK / 4)u;
  let s = lane % $(BK / 4)u * 4u;
  let inside = vec4u(k + s) + vec4u(0u, 1u, 2u, 3u) < vec4u(k_end);
#for t in 0..4
  let line_$t = base + min(row0 + quad * 4u + $(t)u, params.m - 1u) * params.a_row;
  let value_$t = select(vec4f(0.0), quad_of_a(line_$t + k + s, line_$t + k_end - 1u), inside);
#endfor
#for t in 0..4
  a_tile[(s + $(t)u) * $(TILE / 4 + 1)u + quad] = vec4f(value_0[$t], value_1[$t], value_2[$t], value_3[$t]);
#endfor
#endif
}

fn stage_b(lane: u32, base: u32, col0: u32, k: u32, k_end: u32) {
#if TRANS_B
  let quad = lane / $(BK / 4)u;
  let s = lane % $(BK / 4)u * 4u;
  let inside = vec4u(k + s) + vec4u(0u, 1u, 2u, 3u) < vec4u(k_end);
#for t in 0..4
  let line_$t = base + min(col0 + quad * 4u + $(t)u, params.n - 1u) * params.b_row;
  let value_$t = select(vec4f(0.0), quad_of_b(line_$t + k + s, line_$t + k_end - 1u), inside);
#endfor
#for t in 0..4
  b_tile[(s + $(t)u) * $(TILE / 4 + 1)u + quad] = vec4f(value_0[$t], value_1[$t], value_2[$t], value_3[$t]);
#endfor
#else
  let quad = lane % $(TILE / 4)u;
  let s = lane / $(TILE / 4)u * 4u;
#for t in 0..4
  let line_$t = base + min(k + s + $(t)u, k_end - 1u) * params.b_row;
  let value_$t = quad_of_b(line_$t + col0 + quad * 4u, line_$t + params.n - 1u);
  b_tile[(s + $(t)u) * $(TILE / 4 + 1)u + quad] = select(vec4f(0.0), value_$t, k + s + $(t)u < k_end);
#endfor
#endif
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let tile = tile_at(linear);
  let row0 = tile.row * $(TILE)u;
  let col0 = tile.col * $(TILE)u;
  let y = lane / 8u;
  let x = lane % 8u;

#for r in 0..TILE/8
#for q in 0..TILE/32
  var acc_$(r)_$(q) = vec4f(0.0);
#endfor
#endfor
#if SUMS
  var row_sum = 0.0; // of row `lane` of the tile
#endif
  // The bounds are those of the workgroup, so all its lanes meet at the barriers.
  for (var k = 0u; k < tile.k_end; k += $(BK)u) {
    stage_a(lane, tile.a, row0, k, tile.k_end);
    stage_b(lane, tile.b, col0, k, tile.k_end);
    workgroupBarrier();
#if SUMS
    if (tile.col == 0u && lane < $(TILE)u) {
      for (var s = 0u; s < $(BK)u; s += 1u) { row_sum += a_tile[s * $(TILE / 4 + 1)u + (lane >> 2u)][lane & 3u]; }
    }
#endif
    for (var s = 0u; s < $(BK)u; s += 1u) {
      let at = s * $(TILE / 4 + 1)u;
#for q in 0..TILE/32
      let a_$q = a_tile[at + $(q * 8)u + y];
      let b_$q = b_tile[at + $(q * 8)u + x];
#endfor
#for r in 0..TILE/8
#for q in 0..TILE/32
      acc_$(r)_$(q) = fma(vec4f(a_$(r / 4)[$(r % 4)]), b_$q, acc_$(r)_$(q));
#endfor
#endfor
    }
    workgroupBarrier();
  }

#if SUMS
  if (tile.col == 0u && lane < $(TILE)u && row0 + lane < params.m) { sums[tile.sums + row0 + lane] = row_sum; }
#endif
#for r in 0..TILE/8
  {
    let row = row0 + $(r / 4 * 32 + r % 4)u + y * 4u;
    if (row < params.m) {
      let at = tile.c + row * params.c_row;
#for q in 0..TILE/32
#for t in 0..4
      {
        let col = col0 + $(q * 32 + t)u + x * 4u;
        if (col < params.n) { store(at + col, col, acc_$(r)_$(q)[$t]); }
      }
#endfor
#endfor
    }
  }
#endfor
}
