import { InputError } from '../errors.ts';
import { bindShapes, upstream, zeros } from './shapes.ts';
import type { Reference, RefTensors } from './types.ts';

/**
 * Checks the inputs x [B,L,d], width_embedding [maxWidth,dw] and spans i32[S,3] that `kernel` shares with
 * `span-representation`, and returns their sizes by symbol.
 *
 * @throws InputError that names the row of a span that is empty, outside x, or wider than maxWidth.
 */
export function bindSpans(kernel: string, inputs: RefTensors): Record<string, number> {
  const sizes = bindShapes(kernel, inputs, {
    x: 'B L d',
    width_embedding: 'maxWidth dw',
    spans: 'i32 S 3',
  });
  for (let s = 0; s < sizes.S; s++) {
    const [b, start, end] = inputs.spans.data.subarray(s * 3, s * 3 + 3);
    const inside = b >= 0 && b < sizes.B && start >= 0 && start < end && end <= sizes.L;
    const span = `spans row ${s} = (${b}, ${start}, ${end})`;
    if (!inside) {
      throw new InputError(`${kernel}: ${span} is not a span of x, B = ${sizes.B}, L = ${sizes.L}`);
    }
    if (end - start > sizes.maxWidth) {
      throw new InputError(`${kernel}: ${span} is wider than maxWidth = ${sizes.maxWidth}`);
    }
  }
  return sizes;
}

/** Calls `visit` for each element of out [S,2d+dw] with its offset and where it is copied from. */
function forEachElement(
  inputs: RefTensors,
  sizes: Record<string, number>,
  visit: (out: number, source: 'x' | 'width_embedding', offset: number) => void,
): void {
  const { L, d, dw, S } = sizes;
  for (let s = 0; s < S; s++) {
    const [b, start, end] = inputs.spans.data.subarray(s * 3, s * 3 + 3);
    const row = s * (2 * d + dw);
    for (let j = 0; j < d; j++) visit(row + j, 'x', (b * L + start) * d + j);
    for (let j = 0; j < d; j++) visit(row + d + j, 'x', (b * L + end - 1) * d + j);
    for (let j = 0; j < dw; j++) visit(row + 2 * d + j, 'width_embedding', (end - start - 1) * dw + j);
  }
}

/**
 * `span-representation` (docs/spec.md#span-representation): out [S,2d+dw] = [x_start ; x_(end−1) ;
 * width_embedding_(end−start−1)] for each row (b, start, end) of spans i32[S,3]; x [B,L,d], width_embedding
 * [maxWidth,dw].
 * Throws InputError that names the row of a span that is empty, outside x, or wider than maxWidth.
 */
export const spanRepresentationReference: Required<Reference> = {
  forward(inputs) {
    const sizes = bindSpans('span-representation', inputs);
    const out = zeros([sizes.S, 2 * sizes.d + sizes.dw]);
    forEachElement(inputs, sizes, (to, source, offset) => (out.data[to] = inputs[source].data[offset]));
    return { out };
  },

  backward(inputs, _params, grads) {
    const sizes = bindSpans('span-representation', inputs);
    const gradOut = upstream('span-representation', grads, 'out', [sizes.S, 2 * sizes.d + sizes.dw]);
    const gradient = { x: zeros(inputs.x.shape), width_embedding: zeros(inputs.width_embedding.shape) };
    forEachElement(inputs, sizes, (from, source, offset) => (gradient[source].data[offset] += gradOut[from]));
    return { grad_x: gradient.x, grad_width_embedding: gradient.width_embedding };
  },
};
