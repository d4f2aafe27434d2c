/** Entities that a format writes as the numbers of all their tokens. */
import type { RowReader } from '../dataset.ts';

/**
 * The first and the last of numbers of tokens; undefined where they leave some out.
 * @throws InputError naming `where` for what are no numbers, or none
 */
export function range(
  values: readonly unknown[],
  where: string,
  row: RowReader,
): [number, number] | undefined {
  const numbers = values.map((value, i) => row.asInteger(value, `${where}[${i}]`)).sort((a, b) => a - b);
  if (numbers.length === 0) row.fail(where, 'is empty');
  const [first, last] = [numbers[0], numbers[numbers.length - 1]];
  return last - first === numbers.length - 1 ? [first, last] : undefined;
}
