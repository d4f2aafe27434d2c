// C as in matmul.wgsl for B stored [n, k], both operands rounded to f16, sums in f32: by the matrices of a subgroup, M x K by
// K x N at once. For GPUs that have them, and only on request: an operand of over 65,504 becomes infinite.
// Grid: one workgroup of 4 LANES invocations per TILE x TILE of C, (batch, row, column) linear, folded. Of its subgroups the
// first four have a quarter of the tile each; where they are smaller than LANES the others only stage.
// Outputs: c, with SAVE_PRE the value before the activation in pre.
enable chromium_experimental_subgroup_matrix;
enable f16;
enable subgroups;
#include "common/matmul.wgsl"

alias Left = subgroup_matrix_left<f16, $K, $M>;
alias Right = subgroup_matrix_right<f16, $N, $K>;
alias Sums = subgroup_matrix_result<f32, $N, $M>;
const LINE = $(BK + 8)u; // f16 from one staged row to the next: eight more than it has, which puts eight rows in other banks
var<workgroup> a_tile: array<f16, $(TILE * (BK + 8))>;
var<workgroup> b_tile: array<f16, $(TILE * (BK + 8))>;
var<workgroup> c_part: array<f32, 1024>; // on their way to C, 256 a subgroup

// Four elements of A side by side, the first at 4 i.
fn a_at(i: u32) -> vec4f {
#if F16_A
  return read_a(i);
#else
  return a[i];
#endif
}

// A quad of steps of k from `step` on: 0 past the end of k, whatever memory holds there.
fn kept(quad: vec4f, step: u32, k_end: u32) -> vec4f {
#if TAIL
  return select(vec4f(0.0), quad, step + vec4u(0u, 1u, 2u, 3u) < vec4u(k_end));
#else
  return quad;
#endif
}

@compute @workgroup_size($(4 * LANES))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32, @builtin(subgroup_id) part: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let tile = tile_at(linear);
  // Rows past the edge repeat the last one; their sums are never stored.
#for i in 0..128/LANES
  let slot_$i = lane + $(4 * i * LANES)u;
  let row_$i = min(slot_$i / $(BK / 4)u, $(TILE - 1)u);
  let step_$i = slot_$i % $(BK / 4)u * 4u;
  let staged_$i = row_$i * LINE + step_$i;
  let a_first_$i = tile.a + min(tile.row * $(TILE)u + row_$i, params.m - 1u) * params.a_row + step_$i;
  let b_first_$i = tile.b + min(tile.col * $(TILE)u + row_$i, params.n - 1u) * params.b_row + step_$i;
  var a_$i = kept(a_at(a_first_$i >> 2u), step_$i, tile.k_end);
  var b_$i = kept(b_at(b_first_$i >> 2u), step_$i, tile.k_end);
#endfor
#for s in 0..TILE*TILE/4/M/N
  var sum_$s: Sums;
#endfor
  // Never more: told, since Dawn then leaves out the checks of indices, and whole quads and rows move at once.
  let a_part = min(part / 2u, 1u) * $(TILE / 2 * (BK + 8))u;
  let b_part = part % 2u * $(TILE / 2 * (BK + 8))u;
  let c_at = min(part, 3u) * 256u;
  var k = 0u;
  // Counted up to a constant, which is never reached, since Dawn guards other loops by a counter of 64 bits.
  for (var round = 0u; round < 0xffffffffu; round += 1u) {
#for i in 0..128/LANES
#for t in 0..4
    a_tile[staged_$i + $(t)u] = f16(a_$i[$t]);
    b_tile[staged_$i + $(t)u] = f16(b_$i[$t]);
#endfor
#endfor
    workgroupBarrier();
    // The next steps come while these multiply. What is read past the last is never staged.
    k += $(BK)u;
#for i in 0..128/LANES
    a_$i = kept(a_at((a_first_$i + k) >> 2u), k + step_$i, tile.k_end);
    b_$i = kept(b_at((b_first_$i + k) >> 2u), k + step_$i, tile.k_end);
#endfor
    if (part < 4u) {
#for h in 0..BK/K
      {
#for i in 0..TILE/2/M
        let left_$i = subgroupMatrixLoad<Left, row_major>(&a_tile, a_part + $(i * M)u * LINE + $(h * K)u, LINE);
#endfor
#for j in 0..TILE/2/N
        let right_$j = subgroupMatrixLoad<Right, col_major>(&b_tile, b_part + $(j * N)u * LINE + $(h * K)u, LINE);
#for i in 0..TILE/2/M
        sum_$(i * (TILE / 2 / N) + j) = subgroupMatrixMultiplyAccumulate(left_$i, right_$j, sum_$(i * (TILE / 2 / N) + j));
#endfor
#endfor
      }
#endfor
    }
    if (k >= tile.k_end) { break; }
    workgroupBarrier();
  }

  // To C by way of workgroup memory, 256 elements of each subgroup at a time.
#for round in 0..TILE*TILE/1024
  if (part < 4u) {
#for s in 0..256/M/N
    subgroupMatrixStore<row_major>(&c_part, c_at + $(s * M * N)u, sum_$(round * (256 / M / N) + s), $(N)u);
#endfor
  }
  workgroupBarrier();
#for i in 0..64/LANES
  {
    let quad = lane + $(4 * i * LANES)u;
    let owner = quad / 64u;
    let s = $(round * (256 / M / N))u + quad % 64u / $(M * N / 4)u;
    let block = vec2u(s / $(TILE / 2 / N)u * $(M)u, s % $(TILE / 2 / N)u * $(N)u);
    let row = tile.row * $(TILE)u + owner / 2u * $(TILE / 2)u + block.x + quad % $(M * N / 4)u / $(N / 4)u;
    let col = tile.col * $(TILE)u + owner % 2u * $(TILE / 2)u + block.y + quad % $(N / 4)u * 4u;
    if (row < tile.m_end && col < params.n) {
      store(tile.c + row * params.c_row + col, col,
            vec4f(c_part[4u * quad], c_part[4u * quad + 1u], c_part[4u * quad + 2u], c_part[4u * quad + 3u]));
    }
  }
#endfor
#if round + 1 < TILE * TILE / 1024
  workgroupBarrier();
#endif
#endfor
}
