/** Names of inputs and outputs that a kernel has as many of as are asked for: x0, x1, x2, … */

const known = new Map<string, string[]>();

/** `prefix` with the numbers from 0 on, `count` of them or more. */
export function numberedNames(prefix: string, count: number): readonly string[] {
  let names = known.get(prefix);
  if (!names) known.set(prefix, (names = []));
  while (names.length < count) names.push(`${prefix}${names.length}`);
  return names;
}

/** Items by such names, behind what `all` has. */
export function numbered<T>(
  prefix: string,
  items: readonly T[],
  all: Record<string, T> = {},
): Record<string, T> {
  const names = numberedNames(prefix, items.length);
  for (let i = 0; i < items.length; i++) all[names[i]] = items[i];
  return all;
}
