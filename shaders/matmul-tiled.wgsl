// C as in matmul.wgsl, both operands staged in workgroup memory, the next BK steps of k while these multiply: for GPUs.
// Grid: one workgroup of SPLIT x (TILE / BLOCK)^2 invocations per TILE x TILE of C, (batch, row, column) linear, folded.
// A lane has BLOCK x BLOCK of C in registers: of 8 x 8, 32 loads of 16 bytes feed 512 multiply-adds, of 4 x 4 256. SPLIT = 4:
// for few tiles; each quarter of the lanes takes a quarter of k, and the first adds the others' sums in their order.
// Outputs: c, with SAVE_PRE the value before the activation in pre, with SUMS the sums of A's rows in sums.
#include "common/matmul.wgsl"
#include "common/matmul-stage.wgsl"

@compute @workgroup_size($(SPLIT * (TILE / BLOCK) * (TILE / BLOCK)))
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) index: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let tile = tile_at(linear);
  // Never more: told, since constants become part of an address only where that is known to stay in bounds.
  let part = min(index / (LANES * LANES), $(SPLIT - 1)u);
  let lane = index % (LANES * LANES);
  let y = min(lane / LANES, LANES - 1u);
  let x = min(lane % LANES, LANES - 1u);
#for r in 0..BLOCK
#for q in 0..BLOCK
  var acc_$(r)_$q = 0.0;
#endfor
#endfor
#if SUMS
  var row_sum = vec4f(0.0); // of four rows, over the steps that this lane stages, added from the registers that it stages
#endif
#if TAIL
  // The last steps of k go first, so that the loop need not mask any. A part has as many buffers as the others: all lanes meet
  // at the barriers.
  let steps = (tile.k_end + $(SPLIT * BK - 1)u) / $(SPLIT * BK)u * $(BK)u;
  let first = $(SPLIT)u * (steps - $(BK)u) + part * $(BK)u;
  let second = part * (steps - $(BK)u);
#else
  let steps = tile.k_end / $(SPLIT)u;
  let first = part * steps;
  let second = first + $(BK)u;
#endif

#for i in 0..BLOCK*BLOCK*BK/TILE/4
  let slot_$i = lane + $(i)u * LANES * LANES;
  let a_lines_$i = lines_of_a(slot_$i, second + step_of_a(slot_$i), tile);
  let b_lines_$i = lines_of_b(slot_$i, second + step_of_b(slot_$i), tile);
  let a_first_$i = first + step_of_a(slot_$i);
  let b_first_$i = first + step_of_b(slot_$i);
  let a_$i = first_of_a(lines_of_a(slot_$i, a_first_$i, tile), a_first_$i, tile.k_end);
  stage_a(slot_$i, part, 0u, a_$i);
#if SUMS
  row_sum += a_$i;
#endif
  stage_b(slot_$i, part, 0u, first_of_b(lines_of_b(slot_$i, b_first_$i, tile), b_first_$i, tile.k_end));
#endfor
  workgroupBarrier();
#for h in 0..BK/4
  let y_$h = turned(y, $(h)u);
  let x_$h = turned(x, $(h)u);
#endfor
  // $TURNS times the same, so that which buffer is read and which is written needs no arithmetic. What is staged past the last
  // step of k is never read; leaving before it is staged, compilers would load only afterwards.
  let end = steps / 4u;
  var quads = 0u; // of steps
  // Counted up to a constant, which is never reached, since Dawn guards other loops by a counter of 64 bits.
  for (var round = 0u; round < 0xffffffffu; round += 1u) {
#for turn in 0..TURNS
#for i in 0..BLOCK*BLOCK*BK/TILE/4
    let a_$(turn)_$i = quad_of_a(a_lines_$i, quads);
    let b_$(turn)_$i = quad_of_b(b_lines_$i, quads);
#endfor
#for h in 0..BK/4
    { // The first needed last, so that one wait is for most.
#for i in 0..BLOCK
#if TRANS_A
      let a_$(BLOCK - 1 - i) = a_tile[part][$(turn % 2)][$(4 * h + 3 - i % 4)][$((BLOCK - 1 - i) / 4)][y];
#else
      let a_$(BLOCK - 1 - i) = a_tile[part][$(turn % 2)][$(BLOCK - 1 - i)][$h][y_$h];
#endif
#if TRANS_B
      let b_$(BLOCK - 1 - i) = b_tile[part][$(turn % 2)][$(BLOCK - 1 - i)][$h][x_$h];
#else
      let b_$(BLOCK - 1 - i) = b_tile[part][$(turn % 2)][$(4 * h + 3 - i % 4)][$((BLOCK - 1 - i) / 4)][x];
#endif
#endfor
#for s in 0..4
#for r in 0..BLOCK
#for q in 0..BLOCK
#if TRANS_A
      acc_$(r)_$q = fma(a_$(r / 4 * 4 + s)[$(r % 4)], b_$(q / 4 * 4 + s)[$(q % 4)], acc_$(r)_$q);
#elif TRANS_B
      acc_$(r)_$q = fma(a_$(r)[$s], b_$(q)[$s], acc_$(r)_$q);
#else
      acc_$(r)_$q = fma(a_$(r)[$s], b_$(q / 4 * 4 + s)[$(q % 4)], acc_$(r)_$q);
#endif
#endfor
#endfor
#endfor
    }
#endfor
#for i in 0..BLOCK*BLOCK*BK/TILE/4
    stage_a(slot_$i, part, $(1 - turn % 2)u, a_$(turn)_$i);
    stage_b(slot_$i, part, $(1 - turn % 2)u, b_$(turn)_$i);
#endfor
    workgroupBarrier();
    quads += $(BK / 4)u;
    if (quads >= end) { break; }
#if SUMS
#for i in 0..BLOCK*BLOCK*BK/TILE/4
    row_sum += a_$(turn)_$i; // Past the last step of k nothing is, hence after the break.
#endfor
#endif
#endfor
  }

#if SPLIT > 1
  // The buffers are free: eight of A and four of B take the sums of three parts, the last four of B those of rows.
#for p in 1..SPLIT
  if (part == $(p)u) {
#for r in 0..BLOCK
#if p * BLOCK + r < 3 * BLOCK
    stage_a(lane, $((p - 1) * BLOCK + r)u / 2u, $(r % 2)u, vec4f(acc_$(r)_0, acc_$(r)_1, acc_$(r)_2, acc_$(r)_3));
#else
    stage_b(lane, $(r / 2)u, $(r % 2)u, vec4f(acc_$(r)_0, acc_$(r)_1, acc_$(r)_2, acc_$(r)_3));
#endif
#endfor
  }
#endfor
#endif
#if SUMS
  stage_b(lane, $(SPLIT / 2)u + part / 2u, part % 2u, row_sum);
#endif
#if SPLIT > 1 || SUMS
  workgroupBarrier();
#endif
#if SUMS
  // TILE / 4 lanes staged the rows of a step, the next ones those of the next.
  if (tile.col == 0u && index < $(TILE)u && tile.row * $(TILE)u + index < tile.m_end) {
    var sum = 0.0;
    for (var p = 0u; p < $(SPLIT)u; p += 1u) {
      for (var i = index / 4u; i < LANES * LANES; i += $(TILE / 4)u) {
        sum += staged_b(i, $(SPLIT / 2)u + p / 2u, p % 2u)[index % 4u];
      }
    }
    sums[tile.sums + tile.row * $(TILE)u + index] = sum;
  }
#endif
#if SPLIT > 1
  if (part > 0u) { return; }
#for p in 1..SPLIT
#for r in 0..BLOCK
  {
#if p * BLOCK + r < 3 * BLOCK
    let sum = staged_a(lane, $((p - 1) * BLOCK + r)u / 2u, $(r % 2)u);
#else
    let sum = staged_b(lane, $(r / 2)u, $(r % 2)u);
#endif
#for q in 0..4
    acc_$(r)_$q += sum[$q];
#endfor
  }
#endfor
#endfor
#endif
#for r in 0..BLOCK
  {
    let row = tile.row * $(TILE)u + $(r / 4)u * 4u * LANES + y * 4u + $(r % 4)u;
    let at = tile.c + row * params.c_row;
#for q in 0..BLOCK/4
    {
      let col = tile.col * $(TILE)u + $(q)u * 4u * LANES + x * 4u;
#if VEC_C
      let sum = vec4f(acc_$(r)_$(4 * q), acc_$(r)_$(4 * q + 1), acc_$(r)_$(4 * q + 2), acc_$(r)_$(4 * q + 3));
      if (row < tile.m_end && col < params.n) { store(at + col, col, sum); }
#else
#for t in 0..4
      if (row < tile.m_end && col + $(t)u < params.n) { store(at + col + $(t)u, col + $(t)u, acc_$(r)_$(4 * q + t)); }
#endfor
#endif
    }
#endfor
  }
#endfor
}
