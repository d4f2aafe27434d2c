/** `span-enumerate`: every span of at most maxWidth tokens of every sentence. */
import { InputError } from './errors.ts';
import {
  ceilDiv,
  foldGrid,
  hostOf,
  integerParam,
  MOST_ELEMENTS,
  spec,
  type Dispatch,
  type Kernel,
} from './plan.ts';
import { lengthsOf } from './shared/lengths.ts';
import spanEnumerateWgsl from '../shaders/span-enumerate.wgsl';

/** Number of spans of at most `maxWidth` of `length` tokens. */
function spanCount(length: number, maxWidth: number): number {
  const widest = Math.min(length, maxWidth);
  return length * widest - (widest * (widest - 1)) / 2;
}

/**
 * spans i32[S, 3] = (b, start, end), end exclusive, of at most `maxWidth` of the lengths[b] tokens of each sentence,
 * ordered by b, start, end (docs/spec.md#span-enumerate). It has no gradient; integer operations are no FLOPs.
 * Errors: a negative length, with its row; maxWidth below 1; more spans than can be bound.
 */
export const spanEnumerate: Kernel = {
  name: 'span-enumerate',
  doc: 'spans = every (b, start, end) of at most maxWidth tokens, in order',
  inputs: [{ name: 'lengths', dtype: 'i32', shape: '[B]', host: true }],
  outputs: [{ name: 'spans', dtype: 'i32', shape: '[S, 3]' }],
  params: [{ name: 'maxWidth', doc: 'tokens of the widest span' }],
  tables: {
    sentences:
      'rows (length, number of its first span), a sentence each: the spans of those before it are counted',
  },
  plan(request) {
    const rows = hostOf('span-enumerate', request, 'lengths').length;
    const lengths = lengthsOf('span-enumerate', request, rows, Infinity);
    const maxWidth = integerParam('span-enumerate', request.params, 'maxWidth', undefined, 1);
    const sentences = new Int32Array(2 * lengths.length);
    let count = 0;
    let longest = 0;
    lengths.forEach((length, b) => {
      sentences.set([length, count], 2 * b);
      count += spanCount(length, maxWidth);
      longest = Math.max(longest, length);
    });
    const widest = Math.min(maxWidth, longest);
    const size = lengths.length * longest * widest;
    if (Math.max(size, 3 * count) > MOST_ELEMENTS)
      throw new InputError(`span-enumerate: ${count} spans of "lengths" are more than can be bound`);
    const dispatch: Dispatch = {
      label: 'span-enumerate',
      shader: spanEnumerateWgsl,
      entryPoint: 'main',
      constants: {},
      bindings: [
        { name: 'sentences', access: 'read', tensor: 'sentences' },
        { name: 'spans', access: 'read_write', tensor: 'spans' },
      ],
      uniforms: [size, longest, widest],
      workgroups: foldGrid(ceilDiv(size, 64), request.caps),
      macs: 0,
      flops: 0,
      bytesRead: 4 * sentences.length,
      bytesWritten: 12 * count,
    };
    return {
      dispatches: count > 0 ? [dispatch] : [],
      scratch: {},
      outputs: { spans: spec([count, 3], 'i32') },
      data: { sentences },
    };
  },
};
