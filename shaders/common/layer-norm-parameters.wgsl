// What the gradients of LayerNorm's parameters are summed from and where they go, and a row's part of them, in `Columns`.
@group(0) @binding(0) var<storage, read> x: array<Columns>; // [rows, n]
#if RESIDUAL
@group(0) @binding(1) var<storage, read> residual: array<Columns>; // [rows, n]
#endif
@group(0) @binding($(1 + RESIDUAL)) var<storage, read> mean: array<vec2f>; // [rows], mean and what it lacks
@group(0) @binding($(2 + RESIDUAL)) var<storage, read> rstd: array<f32>; // [rows]
@group(0) @binding($(3 + RESIDUAL)) var<storage, read> grad_out: array<Columns>; // [rows, n]
@group(0) @binding($(4 + RESIDUAL)) var<storage, read_write> grad_weight: array<Columns>;
@group(0) @binding($(5 + RESIDUAL)) var<storage, read_write> grad_bias: array<Columns>;
@group(0) @binding($(6 + RESIDUAL)) var<uniform> params: Params;

// `to` and what element i of a row, whose grad_out is g, adds to the gradient of weight.
fn with_weight(to: Columns, g: Columns, i: u32, row: u32) -> Columns {
#if RESIDUAL
  let s = x[i] + residual[i];
#else
  let s = x[i];
#endif
  return fma(g, (s - mean[row].x - mean[row].y) * rstd[row], to);
}
