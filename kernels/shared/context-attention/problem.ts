/** What a request to `context-attention` asks for, checked. */
import { InputError } from '../../errors.ts';
import { expectShape, hostOf, integerParam, shapeOf, type PlanRequest } from '../../plan.ts';
import type { AttentionSizes } from '../attention-strips.ts';
import { lengthsOf } from '../lengths.ts';
import { segmentsByKey, type Segments } from '../segments.ts';

/** Self-attention of L tokens, and a query more, `mask_query`, after each strip's own. */
export interface ContextProblem extends AttentionSizes {
  lengths: Int32Array;
  /** [S, 3] = (b, start, end). */
  spans: Int32Array;
  /** Numbers of the spans of each batch row, in the order given. */
  spansOf: Segments;
}

/**
 * Checks q, k, v [B,L,D], mask_query [D], spans i32[S,3], lengths i32[B] and heads.
 * Errors: InputError that names the kernel and what is wrong, a span by its row.
 */
export function contextProblem(kernel: string, request: PlanRequest): ContextProblem {
  const shape = shapeOf(kernel, request, 'q', 3);
  const [batches, tokens, hidden] = shape;
  for (const name of ['k', 'v']) expectShape(kernel, name, shapeOf(kernel, request, name), shape);
  expectShape(kernel, 'mask_query', shapeOf(kernel, request, 'mask_query'), [hidden]);
  const heads = integerParam(kernel, request.params, 'heads', undefined, 1);
  if (hidden % heads !== 0)
    throw new InputError(`${kernel}: D = ${hidden} is not a multiple of heads = ${heads}`);
  const lengths = lengthsOf(kernel, request, batches, tokens);
  const spans = hostOf(kernel, request, 'spans');
  const count = Math.ceil(spans.length / 3);
  expectShape(kernel, 'spans', shapeOf(kernel, request, 'spans'), [count, 3]);
  const rows = new Int32Array(count);
  for (let s = 0; s < count; s++) {
    const b = spans[3 * s];
    const start = spans[3 * s + 1];
    const end = spans[3 * s + 2];
    const span = (): string => `spans row ${s} = (${b}, ${start}, ${end})`;
    if (b < 0 || b >= batches)
      throw new InputError(`${kernel}: ${span()} is not of a row of q, B = ${batches}`);
    if (start < 0 || start >= end || end > lengths[b])
      throw new InputError(`${kernel}: ${span()} is not a span of its row, of length ${lengths[b]}`);
    rows[s] = b;
  }
  return {
    ...{ batches, heads, queries: tokens, keys: tokens, hidden, headSize: hidden / heads },
    ...{ lengths, paddedQueries: true, extraQueries: 1, spans },
    spansOf: segmentsByKey(
      rows,
      rows.map((_, s) => s),
      batches,
    ),
  };
}
