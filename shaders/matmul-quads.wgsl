// C as in matmul.wgsl, by quads of lanes that share what they load: for CPUs that run a quad as one vector (SwiftShader).
// Grid: one workgroup of 4 lanes per TILE x TILE of C, (batch, row, column) linear, folded. Subgroups hold 4 lanes or more.
// A load takes as long there as 12 multiply-adds, wherever its lanes point, so each lane loads a quarter of the rows and of
// the columns, and turning the columns around the quad pairs them all. Outputs: c, with SAVE_PRE what was activated in pre.
enable subgroups;
#include "common/matmul.wgsl"

// The elements at base + at; with VEC_A and VEC_B those four side by side.
fn quad_of_a(base: u32, at: vec4u) -> vec4f {
#if F16_A && VEC_A
  return read_a((base + at.x) >> 2u);
#elif F16_A
  return vec4f(read_a(base + at.x), read_a(base + at.y), read_a(base + at.z), read_a(base + at.w));
#elif VEC_A
  return a[(base + at.x) >> 2u];
#else
  return vec4f(a[base + at.x], a[base + at.y], a[base + at.z], a[base + at.w]);
#endif
}

fn quad_of_b(base: u32, at: vec4u) -> vec4f {
#if VEC_B
  return b_at((base + at.x) >> 2u);
#else
  return vec4f(b_at(base + at.x), b_at(base + at.y), b_at(base + at.z), b_at(base + at.w));
#endif
}

// With TAIL the last four steps may reach past the end of k: 0 there in both operands, whatever memory holds.
fn kept(x: f32, inside: bool) -> f32 {
#if TAIL
  return select(0.0, x, inside);
#else
  return x;
#endif
}

fn turned_0(x: f32) -> f32 { return x; }
fn turned_1(x: f32) -> f32 { return quadSwapX(x); }
fn turned_2(x: f32) -> f32 { return quadSwapY(x); }
fn turned_3(x: f32) -> f32 { return quadSwapDiagonal(x); }

@compute @workgroup_size(4)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(subgroup_invocation_id) invocation: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let tile = tile_at(linear);
  // Of every 16 rows and columns a lane has 4 that lie side by side.
  let lane = invocation & 3u;
  let row0 = tile.row * $(TILE)u + 4u * lane;
  let col0 = tile.col * $(TILE)u;
#for r in 0..TILE/4
#for q in 0..TILE/4
#for d in 0..4
  var acc_$(r)_$(q)_$d = 0.0;
#endfor
#endfor
#if SUMS
  var row_sum_$r = 0.0;
#endif
#endfor

  // Rows and columns past the edge repeat others; their sums are never stored.
  let side = vec4u(0u, 1u, 2u, 3u);
#for x in 0..TILE/16
#if VEC_A && TRANS_A
  let a_rows_$x = vec4u(min(row0 + $(16 * x)u, (params.m - 1u) & 0xfffffffcu));
#else
  let a_rows_$x = min(row0 + $(16 * x)u + side, vec4u(params.m - 1u));
#endif
#if VEC_B && !TRANS_B
  let b_cols_$x = vec4u(min(col0 + $(16 * x)u + 4u * lane, (params.n - 1u) & 0xfffffffcu));
#else
  let b_cols_$x = min(col0 + $(16 * x)u + 4u * lane + side, vec4u(params.n - 1u));
#endif
#endfor

  for (var k = 0u; k < tile.k_end; k += 4u) {
    let ks = min(k + side, vec4u(tile.k_end - 1u));
#for x in 0..TILE/16
#for y in 0..4
#if TRANS_A
    let a_$(x)_$y = quad_of_a(tile.a + ks[$y] * params.a_row, a_rows_$x);
#else
    let a_$(x)_$y = quad_of_a(tile.a + a_rows_$(x)[$y] * params.a_row, ks);
#endif
#if TRANS_B
    let b_$(x)_$y = quad_of_b(tile.b + b_cols_$(x)[$y] * params.b_row, ks);
#else
    let b_$(x)_$y = quad_of_b(tile.b + ks[$y] * params.b_row, b_cols_$x);
#endif
#endfor
#endfor
    // Row and column i of the lane at each of the four steps.
#for s in 0..4
    let inside_$s = k + $(s)u < tile.k_end;
#for i in 0..TILE/4
#if TRANS_A
    let row_$(i)_$s = kept(a_$(i / 4)_$s[$(i % 4)], inside_$s);
#else
    let row_$(i)_$s = kept(a_$(i / 4)_$(i % 4)[$s], inside_$s);
#endif
#if TRANS_B
    let col_$(i)_$s = kept(b_$(i / 4)_$(i % 4)[$s], inside_$s);
#else
    let col_$(i)_$s = kept(b_$(i / 4)_$s[$(i % 4)], inside_$s);
#endif
#endfor
#endfor
#if SUMS
#for r in 0..TILE/4
    row_sum_$r += (row_$(r)_0 + row_$(r)_1) + (row_$(r)_2 + row_$(r)_3);
#endfor
#endif
#for q in 0..TILE/4
#for d in 0..4
    {
#for s in 0..4
      let col_$s = turned_$(d)(col_$(q)_$s);
#endfor
#for r in 0..TILE/4
      acc_$(r)_$(q)_$d = fma(row_$(r)_3, col_3, fma(row_$(r)_2, col_2, fma(row_$(r)_1, col_1,
                         fma(row_$(r)_0, col_0, acc_$(r)_$(q)_$d))));
#endfor
    }
#endfor
#endfor
  }

#for r in 0..TILE/4
  {
    let row = row0 + $(r / 4 * 16 + r % 4)u;
    let at = tile.c + row * params.c_row;
#if SUMS
    if (tile.col == 0u && row < tile.m_end) { sums[tile.sums + row] = row_sum_$r; }
#endif
#for x in 0..TILE/16
#for d in 0..4
    {
      let col = col0 + $(16 * x)u + 4u * (lane ^ $(d)u);
#if VEC_C
      let sums = vec4f(acc_$(r)_$(4 * x)_$d, acc_$(r)_$(4 * x + 1)_$d, acc_$(r)_$(4 * x + 2)_$d, acc_$(r)_$(4 * x + 3)_$d);
      if (row < tile.m_end && col < params.n) { store(at + col, col, sums); }
#else
#for t in 0..4
      if (row < tile.m_end && col + $(t)u < params.n) { store(at + col + $(t)u, col + $(t)u, acc_$(r)_$(4 * x + t)_$d); }
#endfor
#endif
    }
#endfor
#endfor
  }
#endfor
}
