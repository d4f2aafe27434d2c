/** Whether scores mean what they say: how often predictions of a score are right, and which would best be left out. */
import { scoreOf, type Score } from '../metrics.ts';

/** A prediction's score, 0 to 1, and whether it is right. */
export interface Scored {
  score: number;
  right: boolean;
}

export interface ReliabilityBin {
  /** Scores from here on, the highest bin's end included. */
  from: number;
  to: number;
  count: number;
  /** Means over its predictions. */
  score: number;
  right: number;
}

/** Scores when only predictions of at least a threshold count. */
export interface Cut extends Score {
  threshold: number;
}

export interface Calibration {
  /** Those of ten equal bins that hold a prediction. */
  bins: ReliabilityBin[];
  /** Expected calibration error (Guo et al. 2017): the mean distance of score and share right, by predictions. */
  error: number;
  /** Mean score less share right: above 0 the model is too sure. */
  excess: number;
  /** The F1 as it is, and the threshold with the best F1, as it is where no other is better. */
  all: Score;
  best: Cut;
}

const BINS = 10;

const mean = (values: readonly number[]): number =>
  values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * The cuts at every score that occurs, the lowest first: what counts from there on.
 * @param support gold facts
 */
export function cutsOf(predictions: readonly Scored[], support: number): Cut[] {
  const sorted = [...predictions].sort((a, b) => b.score - a.score);
  const cuts: Cut[] = [];
  let right = 0;
  sorted.forEach(({ score, right: isRight }, i) => {
    if (isRight) right++;
    if (sorted[i + 1]?.score === score) return;
    cuts.push({ threshold: score, ...scoreOf(right, i + 1, right, support) });
  });
  return cuts.reverse();
}

/** The cut of the best F1: of several the lowest, which keeps the most. Undefined of no prediction. */
export const bestCut = (cuts: readonly Cut[]): Cut | undefined =>
  cuts.reduce<Cut | undefined>((best, cut) => (best && best.f1 >= cut.f1 ? best : cut), undefined);

/** Undefined where nothing is predicted. */
export function calibrationOf(predictions: readonly Scored[], support: number): Calibration | undefined {
  const best = bestCut(cutsOf(predictions, support));
  if (!best) return undefined;
  const bins = Array.from({ length: BINS }, (_, b): ReliabilityBin => {
    const within = predictions.filter(({ score }) => Math.min(BINS - 1, Math.floor(BINS * score)) === b);
    return {
      ...{ from: b / BINS, to: (b + 1) / BINS, count: within.length },
      score: mean(within.map(({ score }) => score)),
      right: mean(within.map(({ right }) => Number(right))),
    };
  }).filter(({ count }) => count > 0);
  const total = predictions.length;
  const right = predictions.filter((one) => one.right).length;
  return {
    bins,
    error: bins.reduce((sum, bin) => sum + (bin.count / total) * Math.abs(bin.score - bin.right), 0),
    excess: mean(predictions.map(({ score }) => score)) - right / total,
    all: scoreOf(right, total, right, support),
    best,
  };
}
