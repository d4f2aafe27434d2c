type Values = Readonly<Record<string, unknown>>;

/** Whether two values are the same: numbers, texts, lists and plain objects of them. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || !a || !b) return false;
  if (Array.isArray(a)) {
    if (!Array.isArray(b) || a.length !== b.length) return false;
    for (let i = 0; i < a.length; i++) if (!sameValue(a[i], b[i])) return false;
    return true;
  }
  let count = 0;
  for (const name in a) {
    if (!(name in b) || !sameValue((a as Values)[name], (b as Values)[name])) return false;
    count++;
  }
  for (const _ in b) count--;
  return count === 0;
}
