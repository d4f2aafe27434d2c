// The linear index of a workgroup in a grid that kernels/plan.ts `foldGrid` folded to two dimensions.
fn group_index(group: vec3u, groups: vec3u) -> u32 {
  return group.y * groups.x + group.x;
}
