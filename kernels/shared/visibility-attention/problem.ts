/** What a request to `visibility-attention` asks for, checked. */
import { InputError } from '../../errors.ts';
import { expectShape, hostOf, integerParam, shapeOf, type Params, type PlanRequest } from '../../plan.ts';
import { lengthsOf } from '../lengths.ts';
import { visibilityTables, type VisibilityTables } from './tables.ts';

const MAX_KINDS = 16;

export interface VisibilityProblem extends VisibilityTables {
  batches: number;
  tokens: number;
  hidden: number;
  heads: number;
  headSize: number;
}

/** `sees`: at most 16 masks of 16 bits. Errors: InputError that shows the value. */
function seesParam(kernel: string, params: Params): readonly number[] {
  const { sees } = params;
  const valid =
    Array.isArray(sees) &&
    sees.length <= MAX_KINDS &&
    sees.every((mask) => Number.isInteger(mask) && mask >= 0 && mask < 2 ** MAX_KINDS);
  if (!valid)
    throw new InputError(
      `${kernel}: parameter "sees" must be at most ${MAX_KINDS} masks of ${MAX_KINDS} bits, got ${JSON.stringify(sees)}`,
    );
  return sees as number[];
}

/**
 * Checks q, k, v [B,L,D], kinds and groups i32[B,L], lengths i32[B], heads and sees. What padding holds of kinds and
 * groups is not looked at; within lengths every kind has its mask. Errors: InputError that names the kernel and what is wrong.
 */
export function visibilityProblem(kernel: string, request: PlanRequest): VisibilityProblem {
  const shape = shapeOf(kernel, request, 'q', 3);
  const [batches, tokens, hidden] = shape;
  for (const name of ['k', 'v']) expectShape(kernel, name, shapeOf(kernel, request, name), shape);
  const heads = integerParam(kernel, request.params, 'heads', undefined, 1);
  if (hidden % heads !== 0)
    throw new InputError(`${kernel}: D = ${hidden} is not a multiple of heads = ${heads}`);
  const sees = seesParam(kernel, request.params);
  const [kinds, groups] = ['kinds', 'groups'].map((name) => {
    expectShape(kernel, name, shapeOf(kernel, request, name), [batches, tokens]);
    return hostOf(kernel, request, name);
  });
  const lengths = lengthsOf(kernel, request, batches, tokens);
  lengths.forEach((length, row) => {
    const bad = kinds
      .subarray(row * tokens, row * tokens + length)
      .findIndex((kind) => kind < 0 || kind >= sees.length);
    if (bad >= 0)
      throw new InputError(
        `${kernel}: kinds row ${row} has ${kinds[row * tokens + bad]} at token ${bad}, which none of the ${sees.length} masks of "sees" is for`,
      );
  });
  const tables = visibilityTables(lengths, tokens, sees, kinds, groups);
  return { ...tables, batches, tokens, hidden, heads, headSize: hidden / heads };
}
