/** Spans and padded tokens for the tests of the span kernels. */
import type test from 'tape';
import { InputError } from '../../kernels/errors.ts';
import { defaultCaps, type Kernel, type Shape } from '../../kernels/plan.ts';
import type { RefTensor } from '../../kernels/reference/types.ts';
import { ints, random } from './harness.ts';

/** Every (b, start, end) of at most `maxWidth` tokens, in the order of `span-enumerate`. */
export const allSpans = (lengths: readonly number[], maxWidth: number): number[][] =>
  lengths.flatMap((length, b) =>
    Array.from({ length }, (_, start) => start).flatMap((start) =>
      Array.from({ length: Math.min(maxWidth, length - start) }, (_, w) => [b, start, start + w + 1]),
    ),
  );

/** Spans as i32[S, 3]. */
export const spanTensor = (spans: readonly (readonly number[])[]): RefTensor =>
  ints([spans.length, 3], spans.flat());

/** Random x [B, L, d] whose rows at and after each length hold NaN. */
export function paddedRows(lengths: readonly number[], l: number, d: number): RefTensor {
  const x = random([lengths.length, l, d]);
  lengths.forEach((length, b) => x.data.fill(NaN, (b * l + length) * d, (b + 1) * l * d));
  return x;
}

/** Asserts that the kernel refuses each kind of bad span and names its row; `shapes`: B = 2, L = 4, maxWidth = 2. */
export function throwsOnBadSpans(t: test.Test, kernel: Kernel, shapes: Record<string, Shape>): void {
  const bad: [span: number[], why: string][] = [
    [[2, 0, 1], 'is not a span of x, B = 2, L = 4'],
    [[-1, 0, 1], 'is not a span of x'],
    [[0, -1, 1], 'is not a span of x'],
    [[0, 3, 5], 'is not a span of x'],
    [[0, 2, 2], 'is not a span of x'],
    [[0, 2, 1], 'is not a span of x'],
    [[1, 0, 3], 'is wider than maxWidth = 2'],
  ];
  for (const [span, why] of bad)
    try {
      kernel.plan({
        shapes: { ...shapes, spans: [2, 3] },
        params: {},
        caps: defaultCaps,
        host: { spans: Int32Array.of(0, 0, 1, ...span) },
      });
      t.fail(`(${span.join(', ')}) was accepted`);
    } catch (error) {
      const expected = `${kernel.name}: spans row 1 = (${span.join(', ')}) ${why}`;
      t.ok(error instanceof InputError && error.message.startsWith(expected), expected);
    }
}
