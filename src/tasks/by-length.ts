/** Inputs to a model in batches of like length, so that little of a batch is padding. */
import { InputError } from '../../kernels/errors.ts';
import type { UseOptions } from './definition.ts';

/** Errors: InputError where a number is not a count of at least `least`; `values` are named by their keys. */
export function checkCounts(values: Readonly<Record<string, number>>, least = 1): void {
  for (const [name, count] of Object.entries(values))
    if (!Number.isInteger(count) || count < least)
      throw new InputError(`predict: ${name} must be an integer of at least ${least}, it is ${count}`);
}

/** What `run` answers to the members of all groups at once, by group. */
export async function byGroup<T, R>(
  groups: readonly (readonly T[])[],
  run: (all: T[]) => Promise<R[]>,
): Promise<R[][]> {
  const answers = await run(groups.flat());
  let from = 0;
  return groups.map(({ length }) => answers.slice(from, (from += length)));
}

/**
 * What `run` answers to every input, in the order given, whatever the batches.
 * @param counted what the progress counts, in words, and which of these an input is a part of: the windows of a long text
 *   are one text
 * @param run answers a batch, in its order
 */
export async function byLength<T, R>(
  inputs: readonly T[],
  length: (input: T) => number,
  { batchSize = 16, progress }: UseOptions,
  counted: { what: string; of(input: T): number },
  run: (batch: T[]) => Promise<R[]>,
): Promise<R[]> {
  checkCounts({ batchSize });
  const lengths = inputs.map(length);
  const order = inputs.map((_, i) => i).sort((a, b) => lengths[a] - lengths[b] || a - b);
  const found = new Array<R>(inputs.length);
  const left = new Map<number, number>();
  for (const one of inputs.map(counted.of)) left.set(one, (left.get(one) ?? 0) + 1);
  const total = left.size;
  for (let at = 0; at < order.length; at += batchSize) {
    const chosen = order.slice(at, at + batchSize);
    const answers = await run(chosen.map((i) => inputs[i]));
    chosen.forEach((i, j) => {
      found[i] = answers[j];
      const one = counted.of(inputs[i]);
      const parts = (left.get(one) as number) - 1;
      if (parts > 0) left.set(one, parts);
      else left.delete(one);
    });
    progress?.(counted.what, total - left.size, total);
  }
  return found;
}
