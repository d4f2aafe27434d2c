/** What a request to `attention` asks for, checked. */
import { InputError } from '../../errors.ts';
import { expectShape, hostOf, integerParam, shapeOf, type PlanRequest } from '../../plan.ts';
import type { AttentionSizes } from '../attention-strips.ts';
import { lengthsOf } from '../lengths.ts';

/** Shapes and host values of a request, checked. */
export interface AttentionProblem extends AttentionSizes {
  mask?: Int32Array;
}

function headsOf(kernel: string, request: PlanRequest, hidden: number): { heads: number; headSize: number } {
  const heads = integerParam(kernel, request.params, 'heads', undefined, 1);
  if (hidden % heads !== 0)
    throw new InputError(`${kernel}: D = ${hidden} is not a multiple of heads = ${heads}`);
  return { heads, headSize: hidden / heads };
}

/** Checks q, k and v [Σ lengths, D] of batches one after the other. */
function packedProblem(kernel: string, request: PlanRequest): Omit<AttentionProblem, 'heads' | 'headSize'> {
  const shape = shapeOf(kernel, request, 'q', 2);
  for (const name of ['k', 'v']) expectShape(kernel, name, shapeOf(kernel, request, name), shape);
  if (request.shapes.mask) throw new InputError(`${kernel}: input "mask" does not go with packed rows`);
  const [batches] = shapeOf(kernel, request, 'lengths', 1);
  const lengths = lengthsOf(kernel, request, batches, shape[0]);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total !== shape[0])
    throw new InputError(`${kernel}: "lengths" add up to ${total}, not to the ${shape[0]} rows of q`);
  const longest = lengths.reduce((most, length) => Math.max(most, length), 0);
  return { batches, queries: longest, keys: longest, hidden: shape[1], lengths, packed: true };
}

/**
 * Checks q [B,Lq,D], k and v [B,Lk,D], mask i32[B,Lq,Lk], lengths i32[B], heads; or packed q, k, v [Σ lengths, D].
 * Errors: InputError that names the kernel and what is wrong.
 */
export function attentionProblem(kernel: string, request: PlanRequest): AttentionProblem {
  if (shapeOf(kernel, request, 'q').length === 2) {
    const packed = packedProblem(kernel, request);
    return { ...packed, ...headsOf(kernel, request, packed.hidden) };
  }
  const [batches, queries, hidden] = shapeOf(kernel, request, 'q', 3);
  const keys = shapeOf(kernel, request, 'k', 3)[1];
  expectShape(kernel, 'k', shapeOf(kernel, request, 'k'), [batches, keys, hidden]);
  expectShape(kernel, 'v', shapeOf(kernel, request, 'v'), [batches, keys, hidden]);
  const problem: AttentionProblem = {
    ...{ batches, queries, keys, hidden },
    ...headsOf(kernel, request, hidden),
  };
  if (request.shapes.mask) {
    expectShape(kernel, 'mask', request.shapes.mask, [batches, queries, keys]);
    problem.mask = hostOf(kernel, request, 'mask');
  }
  if (request.shapes.lengths) problem.lengths = lengthsOf(kernel, request, batches, keys);
  return problem;
}
