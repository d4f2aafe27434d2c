/** Random Unicode, the same on every run. */
export function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Where offsets go wrong: marks, controls, Hangul, both cases, full-width forms, surrogates paired and alone. */
const ranges: [from: number, to: number][] = [
  [0x20, 0x7e],
  [0x61, 0x7a],
  [0x61, 0x7a],
  [0x00, 0x24f],
  [0x300, 0x36f],
  [0x386, 0x3ce],
  [0x400, 0x45f],
  [0x900, 0x9ff],
  [0x1100, 0x11ff],
  [0x1e00, 0x1fff],
  [0x2000, 0x206f],
  [0x2200, 0x22ff],
  [0x3000, 0x30ff],
  [0x4e00, 0x4eff],
  [0xac00, 0xacff],
  [0xd800, 0xdfff],
  [0xf900, 0xfaff],
  [0xfe00, 0xffff],
  [0x10400, 0x1044f],
  [0x1d150, 0x1d4ff],
  [0x1f600, 0x1f64f],
  [0x20000, 0x200ff],
  [0x2f800, 0x2fa1f],
  [0xe0100, 0xe01ef],
];

export function randomTexts(seed: number, count: number): string[] {
  const random = mulberry32(seed);
  const pick = (from: number, to: number) => from + Math.floor(random() * (to - from + 1));
  return Array.from({ length: count }, () =>
    Array.from({ length: pick(1, 40) }, () => {
      const [from, to] = ranges[pick(0, ranges.length - 1)];
      return String.fromCodePoint(random() < 0.12 ? 0x20 : pick(from, to));
    }).join(''),
  );
}
