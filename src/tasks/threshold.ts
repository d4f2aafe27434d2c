/** The score from which on something counts: chosen by a corpus. */
import { InputError } from '../../kernels/errors.ts';
import type { Definition, ThresholdTuning, Tuned, Types } from './definition.ts';
import { analyse } from './errors/analysis.ts';
import type { Judgement } from './errors/judged.ts';

/** Relations below this are never right; a threshold that keeps them costs a pass over pairs of nothing. */
const LEAST = 0.05;

/**
 * Tunes a threshold that leaves out relations by their score and changes nothing else: one evaluation down to a low one
 * tells what every higher one would give.
 * @param model see `ThresholdTuning`; its configuration has `relationThreshold`
 */
export const relationTuning = <T extends Types>(
  evaluate: Definition<T>['evaluate'],
  model: ThresholdTuning<T>['model'],
): ThresholdTuning<T> => ({
  ...{ key: 'relationThreshold', of: 'relations', model },
  async tune(loaded, corpus, options) {
    const { relationThreshold } = model(loaded, options).model.config as unknown as {
      relationThreshold: number;
    };
    const present = options.threshold ?? relationThreshold;
    let judgement: Judgement | undefined;
    await evaluate(loaded, corpus, {
      ...options,
      threshold: Math.min(LEAST, present),
      onJudged: (found) => (judgement = found),
    });
    const cuts = (judgement && analyse(judgement).relations?.cuts) ?? [];
    if (!cuts.some(({ f1 }) => f1 > 0))
      throw new InputError(
        `${corpus.file}: no relation to choose a threshold by: none in the gold, or none found that is right`,
      );
    const best = cuts.reduce((a, b) => (b.f1 > a.f1 ? b : a));
    const before = cuts.find(({ threshold }) => threshold >= present)?.f1 ?? 0;
    if (best.f1 <= before) return { threshold: present, f1: before, before };
    // Between the score that still counts and the one that no longer does, in few digits where these tell them apart.
    const below = cuts[cuts.indexOf(best) - 1]?.threshold ?? 0;
    const middle = Number(((best.threshold + below) / 2).toPrecision(4));
    return {
      threshold: middle > below && middle <= best.threshold ? middle : best.threshold,
      f1: best.f1,
      before,
    };
  },
});

/** Thresholds that are tried where what is found at one does not tell of another. */
const GRID = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/**
 * The best of a grid, of several the nearest to the present one.
 * @param file the corpus that chooses
 * @param scoreAt the F1 at a threshold
 * @throws InputError where no threshold finds anything that is right
 */
export async function bestOfGrid(
  present: number,
  file: string,
  scoreAt: (threshold: number) => Promise<number>,
): Promise<Tuned> {
  const before = await scoreAt(present);
  let best: Tuned = { threshold: present, f1: before, before };
  const others = GRID.filter((threshold) => threshold !== present).sort(
    (a, b) => Math.abs(a - present) - Math.abs(b - present),
  );
  for (const threshold of others) {
    const f1 = await scoreAt(threshold);
    if (f1 > best.f1) best = { threshold, f1, before };
  }
  if (best.f1 === 0)
    throw new InputError(`${file}: no answer to choose a threshold by: at none is one found that is right`);
  return best;
}
