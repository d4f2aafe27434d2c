import { bindShapes, checkLengths, integerParam } from './shapes.ts';
import type { Reference } from './types.ts';

/**
 * `span-enumerate` (docs/spec.md#span-enumerate): spans i32[S,3] = every (b, start, end), end exclusive, of at most
 * `maxWidth` tokens inside the first lengths[b] tokens of row b, ordered by b, start, end. It has no gradient.
 * Throws InputError that names the row of a negative length.
 */
export const spanEnumerateReference: Reference = {
  forward(inputs, params) {
    bindShapes('span-enumerate', inputs, { lengths: 'i32 B' });
    const maxWidth = integerParam('span-enumerate', params, 'maxWidth', { min: 1 });
    checkLengths('span-enumerate', inputs.lengths);
    const spans: number[] = [];
    inputs.lengths.data.forEach((length, b) => {
      for (let start = 0; start < length; start++) {
        for (let end = start + 1; end <= Math.min(start + maxWidth, length); end++) spans.push(b, start, end);
      }
    });
    return { spans: { shape: [spans.length / 3, 3], data: Int32Array.from(spans) } };
  },
};
