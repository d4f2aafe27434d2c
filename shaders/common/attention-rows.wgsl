// Maxima and sums of own rows over the STREAM lanes of a row of lanes, in a fixed order: every lane gets the result.
// SUBGROUPS: within a subgroup by the device, the subgroups of a row through workgroup memory. Else all through it.
#if SUBGROUPS
const SLOTS = $(STREAM / SUBGROUPS)u; // SUBGROUPS is the smallest size that a subgroup may have
#else
const SLOTS = 8u;
#endif
var<workgroup> slots: array<vec4f, QUADS * SLOTS>;

#for sum in 0..2
#if sum
fn both_$sum(a: vec4f, b: vec4f) -> vec4f { return a + b; }
#else
fn both_$sum(a: vec4f, b: vec4f) -> vec4f { return max(a, b); }
#endif
fn rows_$sum(x: vec4f, lane: u32, subgroup: u32) -> vec4f {
  let first = lane / STREAM * SLOTS;
#if SUBGROUPS
  let count = STREAM / subgroup;
#if sum
  let part = subgroupAdd(x);
#else
  let part = subgroupMax(x);
#endif
  workgroupBarrier();
  if (lane % subgroup == 0u) { slots[first + lane % STREAM / subgroup] = part; }
#else
  let count = SLOTS;
  workgroupBarrier();
  put_0(lane, x);
  workgroupBarrier();
  if (lane % STREAM < SLOTS) {
    var part = get_0(lane);
    for (var i = SLOTS; i < STREAM; i += SLOTS) { part = both_$sum(part, get_0(lane + i)); }
    slots[first + lane % STREAM] = part;
  }
#endif
  workgroupBarrier();
  var all = slots[first];
  for (var i = 1u; i < count; i += 1u) { all = both_$sum(all, slots[first + i]); }
  return all;
}
#endfor
fn rows_max(x: vec4f, lane: u32, subgroup: u32) -> vec4f { return rows_0(x, lane, subgroup); }
fn rows_sum(x: vec4f, lane: u32, subgroup: u32) -> vec4f { return rows_1(x, lane, subgroup); }
