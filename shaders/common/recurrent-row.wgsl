// Which batch rows a workgroup of a recurrence takes: one, or ROWS of nearly the same length, by a host table.
// A batch row, its valid tokens, and where its padding ends. One past the last of the batch has nothing of either.
struct Row { b: u32, length: u32, end: u32 }

fn row_groups() -> u32 { return (params.batch + $(ROWS - 1)u) / $(ROWS)u; }

fn row_of(group: u32, r: u32) -> Row {
#if ROWS > 1
  let i = group * $(ROWS)u + r;
  if (i >= params.batch) { return Row(0u, 0u, 0u); }
  return Row(u32(rows[i]), u32(rows[params.batch + i]), params.length);
#else
  return Row(group, u32(lengths[group]), params.length);
#endif
}
