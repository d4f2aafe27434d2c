/** What a request to `attention` asks for, checked. */
import { InputError } from '../../errors.ts';
import { expectShape, hostOf, integerParam, shapeOf, type PlanRequest } from '../../plan.ts';
import type { AttentionSizes } from '../attention-strips.ts';
import { lengthsOf } from '../lengths.ts';

/** Shapes and host values of a request, checked. */
export interface AttentionProblem extends AttentionSizes {
  mask?: Int32Array;
}

/**
 * Checks q [B,Lq,D], k and v [B,Lk,D], mask i32[B,Lq,Lk], lengths i32[B], heads.
 * Errors: InputError that names the kernel and what is wrong.
 */
export function attentionProblem(kernel: string, request: PlanRequest): AttentionProblem {
  const [batches, queries, hidden] = shapeOf(kernel, request, 'q', 3);
  const keys = shapeOf(kernel, request, 'k', 3)[1];
  expectShape(kernel, 'k', shapeOf(kernel, request, 'k'), [batches, keys, hidden]);
  expectShape(kernel, 'v', shapeOf(kernel, request, 'v'), [batches, keys, hidden]);
  const heads = integerParam(kernel, request.params, 'heads', undefined, 1);
  if (hidden % heads !== 0)
    throw new InputError(`${kernel}: D = ${hidden} is not a multiple of heads = ${heads}`);
  const problem: AttentionProblem = { batches, heads, queries, keys, hidden, headSize: hidden / heads };
  if (request.shapes.mask) {
    expectShape(kernel, 'mask', request.shapes.mask, [batches, queries, keys]);
    problem.mask = hostOf(kernel, request, 'mask');
  }
  if (request.shapes.lengths) problem.lengths = lengthsOf(kernel, request, batches, keys);
  return problem;
}
