// Sums and maxima over the rows of a matrix, in a fixed order (kernels/shared/row-reduction.ts chooses the constants).
// ROW_PER_LANE: each lane walks a row of its own, no barriers. Otherwise the WG lanes of a workgroup share one row:
// each lane sums every WG-th column, then FAN lanes add WG / FAN slots each, then every lane adds the FAN results:
// three barriers a reduction, where a tree over 64 lanes takes seven. VEC: the columns are read as vec4f.
#include "common/nan.wgsl"
#if VEC
alias Columns = vec4f;
fn total(v: Columns) -> f32 { return (v.x + v.y) + (v.z + v.w); }
fn highest(v: Columns) -> f32 { return max(max(v.x, v.y), max(v.z, v.w)); }
fn columns_or_nan(y: Columns, x: Columns) -> Columns { return or_nan4(y, x); }
#else
alias Columns = f32;
fn total(v: Columns) -> f32 { return v; }
fn highest(v: Columns) -> f32 { return v; }
fn columns_or_nan(y: Columns, x: Columns) -> Columns { return or_nan(y, x); }
#endif
// Below every value that a kernel meets; finite, since WGSL may assume that there are no infinities.
const LOWEST = -3.0e38;

#if ROW_PER_LANE
const STEP = 1u;
fn row_of(group: u32, lane: u32) -> u32 { return group * $(WG)u + lane; }
fn first_of(lane: u32) -> u32 { return 0u; }
fn row_sum(value: Columns, lane: u32) -> f32 { return total(value); }
fn row_max(value: Columns, lane: u32) -> f32 { return highest(value); }
#else
const STEP = $(WG)u;
const FAN = $(FAN)u;
var<workgroup> slots: array<f32, $WG>;
fn row_of(group: u32, lane: u32) -> u32 { return group; }
fn first_of(lane: u32) -> u32 { return lane; }

fn row_sum(value: Columns, lane: u32) -> f32 {
  slots[lane] = total(value);
  workgroupBarrier();
  if (lane < FAN) {
    var part = slots[lane];
    for (var i = lane + FAN; i < STEP; i += FAN) { part += slots[i]; }
    slots[lane] = part;
  }
  workgroupBarrier();
  var sum = slots[0];
  for (var i = 1u; i < FAN; i += 1u) { sum += slots[i]; }
  workgroupBarrier(); // the slots are free for the next reduction
  return sum;
}

fn row_max(value: Columns, lane: u32) -> f32 {
  slots[lane] = highest(value);
  workgroupBarrier();
  if (lane < FAN) {
    var part = slots[lane];
    for (var i = lane + FAN; i < STEP; i += FAN) { part = max(part, slots[i]); }
    slots[lane] = part;
  }
  workgroupBarrier();
  var top = slots[0];
  for (var i = 1u; i < FAN; i += 1u) { top = max(top, slots[i]); }
  workgroupBarrier();
  return top;
}
#endif
