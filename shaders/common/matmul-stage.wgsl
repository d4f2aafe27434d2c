// How matmul-tiled.wgsl stages operands: two buffers a part of k, each of TILE x BK elements in quads. A lane has every
// fourth line (row of A, column of B) of 4 LANES. Where memory has lines side by side: [BK, BLOCK / 4, LANES] quads of four
// lines. Where it has steps of k side by side: [BLOCK, BK / 4, LANES] quads of four steps, turned so that eight lanes side
// by side write different banks. Dimensions, not one index: the check of an index against its own is made once for all steps.
const LANES = $(TILE / BLOCK)u; // along a side
#if TRANS_A
var<workgroup> a_tile: array<array<array<array<array<vec4f, LANES>, $(BLOCK / 4)>, $BK>, 2>, $SPLIT>;
#else
var<workgroup> a_tile: array<array<array<array<array<vec4f, LANES>, $(BK / 4)>, $BLOCK>, 2>, $SPLIT>;
#endif
#if TRANS_B
var<workgroup> b_tile: array<array<array<array<array<vec4f, LANES>, $(BK / 4)>, $BLOCK>, 2>, $SPLIT>;
#else
var<workgroup> b_tile: array<array<array<array<array<vec4f, LANES>, $(BLOCK / 4)>, $BK>, 2>, $SPLIT>;
#endif

// Where in its row of quads of one step a lane's quad lies.
fn turned(lane: u32, quad: u32) -> u32 { return min(lane ^ (quad * $(32 / BK)u), LANES - 1u); }

// A quad of steps of k from `step` on, or of one step: 0 past the end of k, whatever memory holds there.
fn kept(quad: vec4f, steps: vec4u, k_end: u32) -> vec4f { return select(vec4f(0.0), quad, steps < vec4u(k_end)); }

// Where the four elements of a slot lie in A at `step`; past the edge others are repeated, never stored.
fn lines_of_a(slot: u32, step: u32, tile: Tile) -> vec4u {
#if TRANS_A
  let line = tile.row * $(TILE)u + slot % $(TILE / 4)u * 4u;
#if VEC_A
  return vec4u((tile.a + min(line, (params.m - 1u) & 0xfffffffcu) + step * params.a_row) >> 2u);
#else
  return tile.a + min(line + vec4u(0u, 1u, 2u, 3u), vec4u(params.m - 1u)) + step * params.a_row;
#endif
#else
  let run = slot / $(BK / 4)u / LANES;
  let line = tile.row * $(TILE)u + run / 4u * 4u * LANES + slot / $(BK / 4)u % LANES * 4u + run % 4u;
#if VEC_A
  return vec4u((tile.a + min(line, params.m - 1u) * params.a_row + step) >> 2u);
#else
  return tile.a + min(line, params.m - 1u) * params.a_row + step + vec4u(0u, 1u, 2u, 3u);
#endif
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

// The four elements `quads` times four steps further.
fn quad_of_a(lines: vec4u, quads: u32) -> vec4f {
#if TRANS_A
  let at = lines + quads * (params.a_row << $(2 - 2 * VEC_A)u);
#else
  let at = lines + (quads << $(2 - 2 * VEC_A)u);
#endif
#if F16_A && VEC_A
  return read_a(at.x);
#elif F16_A
  return vec4f(read_a(at.x), read_a(at.y), read_a(at.z), read_a(at.w));
#elif VEC_A
  return a[at.x];
#else
  return vec4f(a[at.x], a[at.y], a[at.z], a[at.w]);
#endif
}

// The same, at `step`, for the buffer that may hold the end of k.
fn first_of_a(lines: vec4u, step: u32, k_end: u32) -> vec4f {
#if !TAIL
  return quad_of_a(lines, 0u);
#elif TRANS_A
  return kept(quad_of_a(lines, 0u), vec4u(step), k_end);
#else
  return kept(quad_of_a(lines, 0u), step + vec4u(0u, 1u, 2u, 3u), k_end);
#endif
}

fn stage_a(slot: u32, part: u32, buffer: u32, quad: vec4f) {
#if TRANS_A
  a_tile[part][buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES] = quad;
#else
  a_tile[part][buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)] = quad;
#endif
}

#if SPLIT > 1
fn staged_a(slot: u32, part: u32, buffer: u32) -> vec4f {
#if TRANS_A
  return a_tile[part][buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES];
#else
  return a_tile[part][buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)];
#endif
}
#endif

// Where the four elements of a slot lie in B at `step`; past the edge others are repeated, never stored.
fn lines_of_b(slot: u32, step: u32, tile: Tile) -> vec4u {
#if !TRANS_B
  let line = tile.col * $(TILE)u + slot % $(TILE / 4)u * 4u;
#if VEC_B
  return vec4u((tile.b + min(line, (params.n - 1u) & 0xfffffffcu) + step * params.b_row) >> 2u);
#else
  return tile.b + min(line + vec4u(0u, 1u, 2u, 3u), vec4u(params.n - 1u)) + step * params.b_row;
#endif
#else
  let run = slot / $(BK / 4)u / LANES;
  let line = tile.col * $(TILE)u + run / 4u * 4u * LANES + slot / $(BK / 4)u % LANES * 4u + run % 4u;
#if VEC_B
  return vec4u((tile.b + min(line, params.n - 1u) * params.b_row + step) >> 2u);
#else
  return tile.b + min(line, params.n - 1u) * params.b_row + step + vec4u(0u, 1u, 2u, 3u);
#endif
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

// The four elements `quads` times four steps further.
fn quad_of_b(lines: vec4u, quads: u32) -> vec4f {
#if !TRANS_B
  let at = lines + quads * (params.b_row << $(2 - 2 * VEC_B)u);
#else
  let at = lines + (quads << $(2 - 2 * VEC_B)u);
#endif
#if VEC_B
  return b_at(at.x);
#else
  return vec4f(b_at(at.x), b_at(at.y), b_at(at.z), b_at(at.w));
#endif
}

// The same, at `step`, for the buffer that may hold the end of k.
fn first_of_b(lines: vec4u, step: u32, k_end: u32) -> vec4f {
#if !TAIL
  return quad_of_b(lines, 0u);
#elif !TRANS_B
  return kept(quad_of_b(lines, 0u), vec4u(step), k_end);
#else
  return kept(quad_of_b(lines, 0u), step + vec4u(0u, 1u, 2u, 3u), k_end);
#endif
}

fn stage_b(slot: u32, part: u32, buffer: u32, quad: vec4f) {
#if !TRANS_B
  b_tile[part][buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES] = quad;
#else
  b_tile[part][buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)] = quad;
#endif
}

#if SPLIT > 1 || SUMS
fn staged_b(slot: u32, part: u32, buffer: u32) -> vec4f {
#if !TRANS_B
  return b_tile[part][buffer][slot / $(TILE / 4)u][slot % $(TILE / 4)u / LANES][slot % LANES];
#else
  return b_tile[part][buffer][slot / $(BK / 4)u / LANES][slot % $(BK / 4)u][turned(slot / $(BK / 4)u % LANES, slot % $(BK / 4)u)];
#endif
}
#endif
