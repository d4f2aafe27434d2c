/** What the sides of `bench sia` must give: float64 for whole heads, and the naive composition for all of them. */
import { references } from '../kernels/reference/index.ts';
import type { RefTensor, RefTensors } from '../kernels/reference/types.ts';
import { checked, randomValues } from './harness.ts';
import { HEADS, HEAD_SIZE, isSelfAttention, type Pass, type SiaSide } from './sia.sides.ts';

/** Up to so many tokens float64 computes all heads; of longer inputs it would take minutes, and it computes the last. */
const ALL_HEADS_TOKENS = 128;

export type Values = Readonly<Record<string, Float32Array>>;

/** Inputs of all sides of one length and one set of scales, [1, L, columns]; `weights` [S]. */
export interface SiaInputs {
  tokens: number;
  columns: number;
  values: Values;
}

/** Some columns of every output as float64 gives them; `grad_weights`, a sum over all heads, where all are there. */
interface Block {
  first: number;
  width: number;
  outputs: RefTensors;
}

export interface Expected {
  blocks: readonly Block[];
  /** All columns, as another side gave them. */
  whole?: Values;
}

/** q, k, v, grad_out [1, L, columns] and weights, the same for the same side. */
export function siaInputs(tokens: number, { scales, perScale }: SiaSide): SiaInputs {
  const columns = HEADS * HEAD_SIZE * (perScale ? scales.length : 1);
  const names = ['q', 'k', 'v', 'grad_out'];
  const values = names.map((name, i) => [name, randomValues([tokens, columns], i + 1)]);
  const weights = isSelfAttention(scales)
    ? Float32Array.of(1)
    : randomValues([scales.length], names.length + 1);
  return { tokens, columns, values: { ...Object.fromEntries(values), weights } };
}

/** Columns first..first+width−1 of every row of [rows, columns]. */
function columnsOf(values: ArrayLike<number>, columns: number, first: number, width: number): Float64Array {
  const rows = values.length / columns;
  const cut = new Float64Array(rows * width);
  for (let i = 0; i < rows; i++)
    for (let c = 0; c < width; c++) cut[i * width + c] = values[i * columns + first + c];
  return cut;
}

/** Float64 outputs of a side: of all heads of a short input, of the last head (of each scale) of a long one. */
export function exactBlocks(pass: Pass, { scales, perScale }: SiaSide, given: SiaInputs): Block[] {
  const { tokens, columns, values } = given;
  const heads = tokens <= ALL_HEADS_TOKENS ? HEADS : 1;
  const width = heads * HEAD_SIZE;
  const reference = references['segment-attention'];
  const sets = perScale ? scales.map((r) => [r]) : [scales];
  return sets.map((set, s): Block => {
    const first = (s + 1) * HEADS * HEAD_SIZE - width;
    const cut = (name: string): RefTensor => ({
      shape: [1, tokens, width],
      data: columnsOf(values[name], columns, first, width),
    });
    const weights = perScale ? Float64Array.of(1) : Float64Array.from(values.weights);
    const inputs: RefTensors = {
      ...{ q: cut('q'), k: cut('k'), v: cut('v') },
      weights: { shape: [set.length], data: weights },
      lengths: { shape: [1], data: Int32Array.of(tokens) },
    };
    const params = { heads, scales: set };
    const outputs =
      pass === 'forward'
        ? reference.forward(inputs, params)
        : (reference.backward?.(inputs, params, { grad_out: cut('grad_out') }) ?? {});
    if (heads < HEADS || perScale) delete outputs.grad_weights;
    return { first, width, outputs };
  });
}

/** The largest relative error of a side's outputs. Errors: one is wrong, or nothing says what it must be. */
export function checkOutputs(what: string, outputs: Values, columns: number, expected: Expected): number {
  const errors = Object.entries(outputs).map(([name, values]) => {
    const parts = expected.blocks
      .filter(({ outputs: exact }) => exact[name])
      .map(({ first, width, outputs: exact }) =>
        checked(
          `${what} ${name}, float64`,
          name === 'grad_weights' ? values : columnsOf(values, columns, first, width),
          exact[name].data,
        ),
      );
    const other = expected.whole?.[name];
    if (other) parts.push(checked(`${what} ${name}, naive composition`, values, other));
    return Math.max(...parts);
  });
  return Math.max(...errors);
}
