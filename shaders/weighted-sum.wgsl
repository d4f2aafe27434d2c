// MODE 0: out = sum of weights[p] x_p. MODE 1: grad_x_p = weights[p] grad_out. MODE 2: partial[t, p] = sum of grad_out x_p.
// Grid: MODE 0, 1: one invocation per `lanes`; MODE 2: one per STEPS elements. 64 a workgroup, folded.
// Each tensor is read once; in MODE 2 the elements of an invocation lie 64 apart, so a workgroup reads whole lines.
// Outputs: out; grad_x of each part; partial [invocations, COUNT], for column-sum to add.
struct Params {
  size: u32, // in lanes
#if MODE == 2
  groups: u32,
#else
#for p in PARTS
  weight_$p: u32, // index of the part's weight
#endfor
#endif
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#if MODE == 2
@group(0) @binding(0) var<storage, read_write> partial: array<f32>; // [invocations, COUNT]
@group(0) @binding(1) var<storage, read> grad_out: array<f32>;
#else
@group(0) @binding(0) var<storage, read> weights: array<f32>;
#if MODE == 0
@group(0) @binding(1) var<storage, read_write> out: array<lanes>;
#else
@group(0) @binding(1) var<storage, read> grad_out: array<lanes>;
#endif
#endif
#for p in PARTS
#if MODE == 1
@group(0) @binding($(2 + p)) var<storage, read_write> grad_x$p: array<lanes>;
#else
@group(0) @binding($(2 + p)) var<storage, read> x$p: array<lanes>;
#endif
#endfor
@group(0) @binding($(2 + COUNT)) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let block = group_index(group, grid);
#if MODE == 2
  if (block >= params.groups) { return; }
#for p in PARTS
  var sum_$p = 0.0;
#endfor
  for (var step = 0u; step < $(STEPS)u; step++) {
    let i = (block * $(STEPS)u + step) * 64u + lane;
    if (i >= params.size) { break; }
    let g = grad_out[i];
#for p in PARTS
    sum_$p += g * x$p[i];
#endfor
  }
  let row = (block * 64u + lane) * $(COUNT)u;
#for p in PARTS
  partial[row + $(p)u] = sum_$p;
#endfor
#else
  let i = block * 64u + lane;
  if (i >= params.size) { return; }
#if MODE == 0
  var sum = lanes();
#for p in PARTS
  sum += weights[params.weight_$p] * x$p[i];
#endfor
  out[i] = sum;
#else
  let g = grad_out[i];
#for p in PARTS
  grad_x$p[i] = weights[params.weight_$p] * g;
#endfor
#endif
#endif
}
