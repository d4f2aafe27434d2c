// How matmul-tiled.wgsl stages operands: two buffers a part of k, each of TILE x BK elements in quads. A lane has every
// fourth line (row of A, column of B) of 4 LANES. Where memory has lines side by side: [BK, BLOCK / 4, LANES] quads of four
// lines. Where it has steps of k side by side: [BLOCK, BK / 4, LANES] quads of four steps, turned so that eight lanes side
// by side write different banks. Dimensions, not one index: the check of an index against its own is made once for all steps.
const LANES = $(TILE / BLOCK)u; // along a side
#if TRANS_A
var<workgroup> a_tile: array<array<array<array<vec4f, LANES>, $(BLOCK / 4)>, $BK>, $(2 * SPLIT)>;
#else
var<workgroup> a_tile: array<array<array<array<vec4f, LANES>, $(BK / 4)>, $BLOCK>, $(2 * SPLIT)>;
#endif
#if TRANS_B
var<workgroup> b_tile: array<array<array<array<vec4f, LANES>, $(BK / 4)>, $BLOCK>, $(2 * SPLIT)>;
#else
var<workgroup> b_tile: array<array<array<array<vec4f, LANES>, $(BLOCK / 4)>, $BK>, $(2 * SPLIT)>;
#endif

// Where in its row of quads of one step a lane's quad lies.
fn turned(lane: u32, quad: u32) -> u32 { return lane ^ (quad * $(32 / BK)u); }

// With TAIL the last steps may lie past the end of k: the last one is read then, and 0 taken, whatever memory holds.
fn within(steps: vec4u, k_end: u32) -> vec4u {
#if TAIL
  return min(steps, vec4u(max(k_end, 1u) - 1u));
#else
  return steps;
#endif
}

fn kept(quad: vec4f, steps: vec4u, k_end: u32) -> vec4f {
#if TAIL
  return select(vec4f(0.0), quad, steps < vec4u(k_end));
#else
  return quad;
#endif
}

// Where the four elements of a slot lie in A at `step` (with TAIL: at step 0); past the edge others are repeated, never stored.
fn lines_of_a(slot: u32, step: u32, tile: Tile) -> vec4u {
#if TRANS_A
  let line = tile.row * $(TILE)u + slot % $(TILE / 4)u * 4u;
#if VEC_A
  let lines = vec4u((tile.a + min(line, (params.m - 1u) & 0xfffffffcu)) >> 2u);
#else
  let lines = tile.a + min(line + vec4u(0u, 1u, 2u, 3u), vec4u(params.m - 1u));
#endif
#else
  let run = slot / $(BK / 4)u / LANES;
  let line = tile.row * $(TILE)u + run / 4u * 4u * LANES + slot / $(BK / 4)u % LANES * 4u + run % 4u;
#if VEC_A
  let lines = vec4u((tile.a + min(line, params.m - 1u) * params.a_row) >> 2u);
#elif TAIL
  let lines = vec4u(tile.a + min(line, params.m - 1u) * params.a_row);
#else
  let lines = tile.a + min(line, params.m - 1u) * params.a_row + vec4u(0u, 1u, 2u, 3u);
#endif
#endif
#if TAIL
  return lines;
#else
  return lines + steps_of_a(step);
#endif
}

// The step of k, from the first of a buffer, that the first of these four elements belongs to.
fn step_of_a(slot: u32) -> u32 {
#if TRANS_A
  return slot / $(TILE / 4)u;
#else
  return slot % $(BK / 4)u * 4u;
#endif
}

// How far step k is from step 0: in elements, or in fours where those are read.
fn steps_of_a(k: u32) -> vec4u {
#if TRANS_A
  return vec4u(k * (params.a_row >> $(2 * VEC_A)u));
#elif VEC_A
  return vec4u(k >> 2u);
#else
  return vec4u(k);
#endif
}

fn quad_of_a(lines: vec4u, step: u32, k: u32, k_end: u32) -> vec4f {
#if !TAIL
  let steps = vec4u(0u);
  let at = lines + steps_of_a(k);
#elif TRANS_A
  let steps = vec4u(step + k);
  let at = lines + within(steps, k_end) * (params.a_row >> $(2 * VEC_A)u);
#else
  let steps = step + k + vec4u(0u, 1u, 2u, 3u);
  let at = lines + (within(steps, k_end) >> vec4u($(2 * VEC_A)u));
#endif
#if VEC_A
  return kept(a[at.x], steps, k_end);
#else
  return kept(vec4f(a[at.x], a[at.y], a[at.z], a[at.w]), steps, k_end);
#endif
}

fn stage_a(slot: u32, buffer: u32, quad: vec4f) {
#if TRANS_A
  a_tile[buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES] = quad;
#else
  a_tile[buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)] = quad;
#endif
}

#if SPLIT > 1
fn staged_a(slot: u32, buffer: u32) -> vec4f {
#if TRANS_A
  return a_tile[buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES];
#else
  return a_tile[buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)];
#endif
}
#endif

// Where the four elements of a slot lie in B at `step` (with TAIL: at step 0); past the edge others are repeated, never stored.
fn lines_of_b(slot: u32, step: u32, tile: Tile) -> vec4u {
#if !TRANS_B
  let line = tile.col * $(TILE)u + slot % $(TILE / 4)u * 4u;
#if VEC_B
  let lines = vec4u((tile.b + min(line, (params.n - 1u) & 0xfffffffcu)) >> 2u);
#else
  let lines = tile.b + min(line + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u));
#endif
#else
  let run = slot / $(BK / 4)u / LANES;
  let line = tile.col * $(TILE)u + run / 4u * 4u * LANES + slot / $(BK / 4)u % LANES * 4u + run % 4u;
#if VEC_B
  let lines = vec4u((tile.b + min(line, params.n - 1u) * params.b_row) >> 2u);
#elif TAIL
  let lines = vec4u(tile.b + min(line, params.n - 1u) * params.b_row);
#else
  let lines = tile.b + min(line, params.n - 1u) * params.b_row + vec4u(0u, 1u, 2u, 3u);
#endif
#endif
#if TAIL
  return lines;
#else
  return lines + steps_of_b(step);
#endif
}

// The step of k, from the first of a buffer, that the first of these four elements belongs to.
fn step_of_b(slot: u32) -> u32 {
#if !TRANS_B
  return slot / $(TILE / 4)u;
#else
  return slot % $(BK / 4)u * 4u;
#endif
}

// How far step k is from step 0: in elements, or in fours where those are read.
fn steps_of_b(k: u32) -> vec4u {
#if !TRANS_B
  return vec4u(k * (params.b_row >> $(2 * VEC_B)u));
#elif VEC_B
  return vec4u(k >> 2u);
#else
  return vec4u(k);
#endif
}

fn quad_of_b(lines: vec4u, step: u32, k: u32, k_end: u32) -> vec4f {
#if !TAIL
  let steps = vec4u(0u);
  let at = lines + steps_of_b(k);
#elif !TRANS_B
  let steps = vec4u(step + k);
  let at = lines + within(steps, k_end) * (params.b_row >> $(2 * VEC_B)u);
#else
  let steps = step + k + vec4u(0u, 1u, 2u, 3u);
  let at = lines + (within(steps, k_end) >> vec4u($(2 * VEC_B)u));
#endif
#if VEC_B
  return kept(b[at.x], steps, k_end);
#else
  return kept(vec4f(b[at.x], b[at.y], b[at.z], b[at.w]), steps, k_end);
#endif
}

fn stage_b(slot: u32, buffer: u32, quad: vec4f) {
#if !TRANS_B
  b_tile[buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES] = quad;
#else
  b_tile[buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)] = quad;
#endif
}

#if SPLIT > 1
fn staged_b(slot: u32, buffer: u32) -> vec4f {
#if !TRANS_B
  return b_tile[buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES];
#else
  return b_tile[buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)];
#endif
}
#endif
