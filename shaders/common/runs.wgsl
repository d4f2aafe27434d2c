// The run that a workgroup works on: `runs` is sorted by the first workgroup of each, `params.runs` counts them.
fn run_of(group: u32) -> u32 {
  var low = 0u;
  var high = params.runs;
  while (high - low > 1u) {
    let middle = (low + high) / 2u;
    if (runs[middle].group <= group) { low = middle; } else { high = middle; }
  }
  return low;
}
