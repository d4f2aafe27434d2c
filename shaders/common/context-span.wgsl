// A span of a strip of context-attention: a row of eight integers (kernels/context-attention/tables.ts).
// The including file binds them as `spans`.
struct Span {
  number: u32, // among all S
  batch: u32, // of the strip
  start: u32,
  end: u32,
  before: u32, // slots of the states of the keys before it and behind it
  behind: u32,
  length: u32, // of its batch row
}

fn span_at(place: u32) -> Span {
  let at = 8u * place;
  return Span(u32(spans[at]), u32(spans[at + 1u]), u32(spans[at + 2u]), u32(spans[at + 3u]), u32(spans[at + 4u]),
              u32(spans[at + 5u]), u32(spans[at + 6u]));
}
