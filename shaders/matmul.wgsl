// C[m,n] = activate(alpha * sum_k A(m,k) B(k,n) + bias[n]), batched and strided; `accumulate` adds C's old value first.
// Grid: one invocation per TM x TN block of C, WG_X x WG_Y invocations a workgroup, (batch, row, column) linear, folded.
// TM = TN = 8: 16 vec4 loads feed 256 multiply-adds, no workgroup memory, so no barriers and no tail variants.
// Outputs: c, and with SAVE_PRE the value before the activation in pre.
#include "common/matmul.wgsl"

fn load_a(index: u32) -> f32 {
#if F16_A && VEC_A
  return read_a(index >> 2u)[index & 3u];
#elif F16_A
  return read_a(index);
#elif VEC_A
  return a[index >> 2u][index & 3u];
#else
  return a[index];
#endif
}

fn load_b(index: u32) -> f32 {
#if VEC_B
  return b_at(index >> 2u)[index & 3u];
#else
  return b_at(index);
#endif
}

@compute @workgroup_size($WG_X, $WG_Y)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_id) local: vec3u) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let tile = tile_at(linear);
  let row0 = (tile.row * $(WG_Y)u + local.y) * $(TM)u;
  let col0 = (tile.col * $(WG_X)u + local.x) * $(TN)u;
  if (row0 >= params.m || col0 >= params.n) { return; }
  let a_base = tile.a;
  let b_base = tile.b;
  let k_end = tile.k_end;

#for r in 0..TM
#for q in 0..TN/4
  var acc_$(r)_$(q) = vec4f(0.0);
#endfor
#endfor
#if SUMS
#for i in 0..TM/4
  var row_sums_$i = vec4f(0.0);
#endfor
#endif
  var k = 0u;

  // Rows and columns past the edge repeat the last one; their sums are never stored.
#if TRANS_A
#for i in 0..TM/4
  let row_quad_$i = min(row0 + $(i * 4)u, (params.m - 1u) & 0xfffffffcu);
#endfor
#else
#for r in 0..TM
  let a_row_$r = a_base + min(row0 + $(r)u, params.m - 1u) * params.a_row;
#endfor
#endif
#if TRANS_B
#for j in 0..TN
  let b_row_$j = b_base + min(col0 + $(j)u, params.n - 1u) * params.b_row;
#endfor
#else
#for q in 0..TN/4
  let col_quad_$q = min(col0 + $(q * 4)u, (params.n - 1u) & 0xfffffffcu);
#endfor
#endif

#if VEC_A && VEC_B
  for (; k + 4u <= k_end; k += 4u) {
#if !TRANS_A
#for r in 0..TM
#if F16_A
    let a_$r = read_a((a_row_$r + k) >> 2u);
#else
    let a_$r = a[(a_row_$r + k) >> 2u];
#endif
#endfor
#endif
#if TRANS_B
    // A rows by B rows: dot products along k.
#for q in 0..TN/4
    {
      let b0 = b_at((b_row_$(q * 4) + k) >> 2u);
      let b1 = b_at((b_row_$(q * 4 + 1) + k) >> 2u);
      let b2 = b_at((b_row_$(q * 4 + 2) + k) >> 2u);
      let b3 = b_at((b_row_$(q * 4 + 3) + k) >> 2u);
#for r in 0..TM
      acc_$(r)_$(q) += vec4f(dot(a_$r, b0), dot(a_$r, b1), dot(a_$r, b2), dot(a_$r, b3));
#endfor
    }
#endfor
#else
#for s in 0..4
    {
      let b_first = b_base + (k + $(s)u) * params.b_row;
#for q in 0..TN/4
      let b_$q = b_at((b_first + col_quad_$q) >> 2u);
#endfor
#if TRANS_A
      let a_at = a_base + (k + $(s)u) * params.a_row;
#for i in 0..TM/4
      {
#if F16_A
        let a_quad = read_a((a_at + row_quad_$i) >> 2u);
#else
        let a_quad = a[(a_at + row_quad_$i) >> 2u];
#endif
#if SUMS
        row_sums_$i += a_quad;
#endif
#for t in 0..4
#for q in 0..TN/4
        acc_$(i * 4 + t)_$(q) = fma(vec4f(a_quad[$t]), b_$q, acc_$(i * 4 + t)_$(q));
#endfor
#endfor
      }
#endfor
#else
#for r in 0..TM
#for q in 0..TN/4
      acc_$(r)_$(q) = fma(vec4f(a_$r[$s]), b_$q, acc_$(r)_$(q));
#endfor
#endfor
#endif
    }
#endfor
#endif
  }
#endif

  // The tail of k, or all of it where rows are not aligned to vec4.
  for (; k < k_end; k += 1u) {
#for q in 0..TN/4
#if TRANS_B
    let b_$q = vec4f(load_b(b_row_$(q * 4) + k), load_b(b_row_$(q * 4 + 1) + k),
                     load_b(b_row_$(q * 4 + 2) + k), load_b(b_row_$(q * 4 + 3) + k));
#else
    let b_first_$q = b_base + k * params.b_row;
    let b_$q = vec4f(load_b(b_first_$q + min(col0 + $(q * 4)u, params.n - 1u)),
                     load_b(b_first_$q + min(col0 + $(q * 4 + 1)u, params.n - 1u)),
                     load_b(b_first_$q + min(col0 + $(q * 4 + 2)u, params.n - 1u)),
                     load_b(b_first_$q + min(col0 + $(q * 4 + 3)u, params.n - 1u)));
#endif
#endfor
#for r in 0..TM
    {
#if TRANS_A
      let a_value = load_a(a_base + k * params.a_row + min(row0 + $(r)u, params.m - 1u));
#if SUMS
      row_sums_$(r / 4)[$(r % 4)] += a_value;
#endif
#else
      let a_value = load_a(a_row_$r + k);
#endif
#for q in 0..TN/4
      acc_$(r)_$(q) = fma(vec4f(a_value), b_$q, acc_$(r)_$(q));
#endfor
    }
#endfor
  }

#for r in 0..TM
  if (row0 + $(r)u < tile.m_end) {
#if SUMS
    if (col0 == 0u) { sums[tile.sums + row0 + $(r)u] = row_sums_$(r / 4)[$(r % 4)]; }
#endif
    let at = tile.c + (row0 + $(r)u) * params.c_row + col0;
#for q in 0..TN/4
#if VEC_C
    if (col0 + $(q * 4)u < params.n) { store(at + $(q * 4)u, col0 + $(q * 4)u, acc_$(r)_$(q)); }
#else
#for t in 0..4
    if (col0 + $(q * 4 + t)u < params.n) { store(at + $(q * 4 + t)u, col0 + $(q * 4 + t)u, acc_$(r)_$(q)[$t]); }
#endfor
#endif
#endfor
  }
#endfor
}
