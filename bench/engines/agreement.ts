/** An engine's answer beside Node's. */
import type { Answer, Asked } from './suite.ts';

/** A loss of an engine may differ from Node's by this much of itself: sums of float32 in another order. */
export const LOSS_TOLERANCE = 1e-5;
/** A score by this much: it comes rounded to four digits, the last of which may fall to either side. */
export const SCORE_TOLERANCE = 1.5e-4;

export interface Agreement {
  kernels: number;
  /** Those within the tolerance of `verify`. */
  agreeing: number;
  /** The largest relative error of a kernel's output or gradient against float64; null where one is no number. */
  kernelError: number | null;
  steps: number;
  /** The largest difference of a loss to Node's, as a share of it. */
  lossError: number;
  entities: number;
  relations: number;
  /** Whether entities and relations are Node's: types, offsets, texts. */
  sameExtractions: boolean;
  /** The largest difference of a score to Node's; NaN where extractions differ, whose scores are not of the same. */
  scoreError: number;
}

const largest = (values: readonly number[]): number => Math.max(0, ...values);

/** What was found, without the scores, and the scores. */
function parted({ extractions }: Answer): { found: string; scores: number[] } {
  const scores: number[] = [];
  const found = JSON.stringify(extractions, (key, value: unknown) => {
    if (key !== 'score') return value;
    scores.push(Number(value));
    return undefined;
  });
  return { found, scores };
}

/** Compares an answer with the one that is right, of the same questions. */
export function agreementOf(answer: Answer, expected: Answer): Agreement {
  const errors = answer.kernels.flatMap(({ forward, backward = 0 }) => [forward, backward]);
  const losses = answer.losses.map((loss, i) => Math.abs(loss / expected.losses[i] - 1));
  const [own, wanted] = [parted(answer), parted(expected)];
  const sameExtractions = own.found === wanted.found;
  const count = (what: 'entities' | 'relations'): number =>
    answer.extractions.reduce((sum, extraction) => sum + extraction[what].length, 0);
  return {
    kernels: answer.kernels.length,
    agreeing: answer.kernels.filter(({ ok }) => ok).length,
    kernelError: errors.includes(null) ? null : largest(errors.map(Number)),
    steps: answer.losses.length,
    lossError: largest(losses),
    entities: count('entities'),
    relations: count('relations'),
    sameExtractions,
    scoreError: sameExtractions
      ? largest(wanted.scores.map((score, i) => Math.abs(own.scores[i] - score)))
      : NaN,
  };
}

/** What does not agree, or was not done, in words; empty where all is as it was asked. */
export function disagreements(agreement: Agreement, asked: Pick<Asked, 'kernels' | 'steps'>): string[] {
  const { agreeing, steps, lossError, sameExtractions, scoreError } = agreement;
  const said: [boolean, string][] = [
    [agreeing === asked.kernels.length, `${agreeing} of ${asked.kernels.length} kernels`],
    [steps === asked.steps, `${steps} of ${asked.steps} steps`],
    [lossError <= LOSS_TOLERANCE, `losses differ by ${lossError.toExponential(1)}`],
    [sameExtractions, 'extractions differ'],
    [!(scoreError > SCORE_TOLERANCE), `scores differ by ${scoreError.toExponential(1)}`],
  ];
  return said.filter(([holds]) => !holds).map(([, words]) => words);
}
