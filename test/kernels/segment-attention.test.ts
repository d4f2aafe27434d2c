import type { Params } from '../../kernels/plan.ts';
import type { RefTensor, RefTensors } from '../../kernels/reference/types.ts';
import { ints, random, testKernel, type Case } from './harness.ts';

interface Sizes {
  B: number;
  L: number;
  D: number;
  heads: number;
  scales: readonly number[];
  lengths?: readonly number[];
}

/** The same tensor [B, L, …] with the rows past each length NaN. */
function poisoned(x: RefTensor, lengths: readonly number[]): RefTensor {
  const L = x.shape[1];
  const row = x.shape.slice(2).reduce((n, d) => n * d, 1);
  const data = Float64Array.from(x.data);
  lengths.forEach((length, b) => data.fill(NaN, (b * L + length) * row, (b + 1) * L * row));
  return { shape: x.shape, data };
}

const lengthsOf = ({ B, L, lengths }: Sizes): readonly number[] => lengths ?? Array<number>(B).fill(L);

/** q, k of magnitude 3, so that rows are neither flat nor one-hot; NaN in the padding. */
function tokens(sizes: Sizes, columns: number): RefTensors {
  const lengths = lengthsOf(sizes);
  const tensor = (factor: number) => poisoned(random([sizes.B, sizes.L, columns], factor), lengths);
  return { q: tensor(3), k: tensor(3), v: tensor(1), lengths: ints([sizes.B], lengths) };
}

type WeightShape = 'by scale' | 'by head' | 'by row';

function shared(what: string, sizes: Sizes, by: WeightShape = 'by scale'): Case {
  const { B, L, D, heads, scales } = sizes;
  const shape = { 'by scale': [], 'by head': [heads], 'by row': [B, L, heads] }[by];
  const weights = random([...shape, scales.length]);
  return {
    name: `${what}, weights ${by}: [B, L, D, heads] = [${[B, L, D, heads]}], scales ${scales}`,
    inputs: {
      ...tokens(sizes, D),
      weights: by === 'by row' ? poisoned(weights, lengthsOf(sizes)) : weights,
    },
    params: { heads, scales },
  };
}

function perScale(what: string, sizes: Sizes): Case {
  const { B, L, D, heads, scales } = sizes;
  return {
    name: `${what}, per-scale projections: [B, L, D, heads] = [${[B, L, D, heads]}], scales ${scales}`,
    inputs: tokens(sizes, D * scales.length),
    params: { heads, scales, projections: 'per-scale' } satisfies Params,
  };
}

testKernel('segment-attention', [
  shared('one of everything', { B: 1, L: 1, D: 1, heads: 1, scales: [1] }),
  shared('no rows', { B: 0, L: 3, D: 8, heads: 2, scales: [1, 2] }),
  shared('no tokens', { B: 2, L: 0, D: 8, heads: 2, scales: [2, 3] }),
  shared('no features', { B: 2, L: 3, D: 0, heads: 2, scales: [2, 3] }),
  shared('shorter than every scale', { B: 1, L: 3, D: 8, heads: 2, scales: [4, 6] }),
  shared('self-attention', { B: 2, L: 13, D: 12, heads: 3, scales: [1] }),
  shared('one token', { B: 2, L: 1, D: 8, heads: 2, scales: [2, 1] }, 'by head'),
  shared('five scales', { B: 2, L: 30, D: 32, heads: 2, scales: [2, 3, 4, 5, 6] }),
  shared('five scales', { B: 2, L: 30, D: 32, heads: 2, scales: [2, 3, 4, 5, 6] }, 'by head'),
  shared('five scales', { B: 2, L: 30, D: 32, heads: 2, scales: [2, 3, 4, 5, 6] }, 'by row'),
  shared('unsorted scales with gaps', { B: 1, L: 17, D: 15, heads: 3, scales: [7, 1, 4] }, 'by head'),
  shared('one wide scale', { B: 2, L: 20, D: 8, heads: 2, scales: [12] }),
  shared('scale 32', { B: 2, L: 40, D: 8, heads: 2, scales: [32], lengths: [40, 33] }),
  shared('wide scales', { B: 2, L: 40, D: 8, heads: 2, scales: [17, 3, 24, 1], lengths: [37, 12] }, 'by row'),
  shared('tile − 1', { B: 1, L: 63, D: 8, heads: 1, scales: [3, 2] }),
  shared('tile + 1', { B: 1, L: 65, D: 16, heads: 2, scales: [2, 5] }, 'by row'),
  shared('ragged', { B: 4, L: 11, D: 12, heads: 2, scales: [3, 1, 5], lengths: [11, 6, 2, 0] }),
  shared('ragged', { B: 4, L: 11, D: 12, heads: 2, scales: [3, 1, 5], lengths: [11, 6, 2, 0] }, 'by head'),
  shared('ragged', { B: 4, L: 11, D: 12, heads: 2, scales: [3, 1, 5], lengths: [11, 6, 2, 0] }, 'by row'),
  perScale('two scales', { B: 2, L: 12, D: 8, heads: 2, scales: [3, 2] }),
  perScale('narrow and wide', { B: 2, L: 21, D: 8, heads: 1, scales: [18, 2], lengths: [21, 18] }),
  perScale('ragged', { B: 4, L: 11, D: 12, heads: 3, scales: [2, 5, 1], lengths: [11, 6, 2, 0] }),
]);
