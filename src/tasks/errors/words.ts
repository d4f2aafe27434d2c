/** What an analysis of errors found, in words. */
import type { Analysis, KindErrors } from './analysis.ts';
import type { Calibration } from './calibration.ts';
import type { EntityVerdict } from './entities.ts';
import type { RelationVerdict } from './relations.ts';

export const entityWords: Readonly<Record<EntityVerdict, string>> = {
  right: 'right',
  type: 'another type',
  boundary: 'another boundary',
  both: 'another type and boundary',
  missed: 'missed',
  spurious: 'not in the gold',
};

export const relationWords: Readonly<Record<RelationVerdict, string>> = {
  right: 'right',
  endType: 'an end of another type',
  endBoundary: 'an end of another boundary',
  type: 'another relation of the two',
  direction: 'head and tail exchanged',
  endMissed: 'an end not found',
  missed: 'both ends found, not related',
  endSpurious: 'an end that is none of the gold',
  spurious: 'not related in the gold',
};

export const percentText = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** "1 entity", "12 entities". */
const counted = (n: number, one: string, many: string): string => `${n} ${n === 1 ? one : many}`;

/** How many of the gold and of the predictions are wrong, and why, a sentence each. */
function kindText<V extends string>(
  { score, verdicts }: KindErrors<V>,
  words: Readonly<Record<V, string>>,
  [one, many]: readonly [string, string],
): string[] {
  const right = Math.round(score.r * score.support);
  const reasons = (side: 'gold' | 'predicted'): string =>
    (Object.keys(words) as V[])
      .filter((verdict) => verdict !== 'right' && (verdicts[verdict]?.[side] ?? 0) > 0)
      .map((verdict) => `${words[verdict]} ${verdicts[verdict]![side]}`)
      .join(', ');
  const told = (side: 'gold' | 'predicted', wrong: number): string =>
    wrong > 0 ? ` The other ${wrong}: ${reasons(side)}.` : '';
  const { support, predicted } = score;
  return [
    support > 0
      ? `Of ${counted(support, one, many)} in the gold ${right} were found (${percentText(score.r)}).${told('gold', support - right)}`
      : `The gold has no ${many}.`,
    predicted > 0
      ? `Of ${counted(predicted, one, many)} predicted ${right} are right (${percentText(score.p)}).${told('predicted', predicted - right)}`
      : `No ${one} was predicted.`,
  ];
}

/** What scores are worth, and what a threshold would bring. */
export function calibrationText({ bins, error, excess, all, best }: Calibration, many: string): string {
  const total = bins.reduce((sum, { count }) => sum + count, 0);
  const score = bins.reduce((sum, bin) => sum + bin.count * bin.score, 0) / total;
  const sure = Math.abs(excess) < 0.02 ? 'which agrees' : excess > 0 ? 'too sure' : 'not sure enough';
  const cut =
    best.f1 > all.f1
      ? `Without those below ${best.threshold.toFixed(2)} F1 would be ${percentText(best.f1)} in place of ${percentText(all.f1)} here; on other texts it may be less.`
      : `No threshold on them would raise F1, ${percentText(all.f1)}.`;
  return `Predicted ${many} have a score of ${score.toFixed(2)} on average, and ${percentText(score - excess)} of them are right: ${sure} (mean distance ${error.toFixed(2)}). ${cut}`;
}

/** The sentences of all kinds, entities first. */
export function analysisText({ texts, rightTexts, entities, relations }: Analysis): string[] {
  return [
    `${counted(texts.length, 'text', 'texts')}, ${rightTexts} without an error.`,
    ...(entities ? kindText(entities, entityWords, ['entity', 'entities']) : []),
    ...(relations ? kindText(relations, relationWords, ['relation', 'relations']) : []),
  ];
}
