/** Whether a corpus of sentences has anything that a model can learn or be scored by. */
import { InputError } from '../../../kernels/errors.ts';
import type { Sentence } from '../dataset.ts';
import { keptAnnotation } from './enumerate.ts';
import type { SpanCorpus } from './model.ts';

type Kind = 'entities' | 'relations';

/** Gold of a kind, with what the words cannot express. */
const countGold = (sentences: readonly Sentence[], kind: Kind): number =>
  sentences.reduce((sum, s) => sum + s[kind].length + (s.beyond?.[kind].length ?? 0), 0);

/**
 * Errors: InputError naming the file of a corpus that has nothing of what a model is to find.
 * @param kind what that is
 * @param use `trained`: of what is annotated the model must be able to express something
 * @param maxSpanWidth words of the widest entity that it takes
 */
export function checkGold(
  { sentences, file }: Pick<SpanCorpus, 'sentences' | 'file'>,
  kind: Kind,
  use: 'trained' | 'scored',
  maxSpanWidth = Infinity,
): void {
  const gold = countGold(sentences, kind);
  const nothing = `there is nothing to ${use === 'trained' ? 'learn' : 'score'}`;
  if (gold === 0)
    throw new InputError(
      `${file}: no ${kind === 'entities' ? 'entity' : 'relation'} is annotated: ${nothing}`,
    );
  if (use === 'scored' || sentences.some((s) => keptAnnotation(s, maxSpanWidth)[kind].length > 0)) return;
  const why =
    kind === 'entities'
      ? `none of ${gold} entities is made of 1 to ${maxSpanWidth} whole words ("maxSpanWidth")`
      : `none of ${gold} relations is between two spans of whole words`;
  throw new InputError(`${file}: ${why}: ${nothing}`);
}

/** A note where a model of relations has none to learn or to be scored by. */
export const relationNotes = (
  sentences: readonly Sentence[],
  relationTypes: readonly string[],
  use: 'trained' | 'scored',
): string[] => {
  if (countGold(sentences, 'relations') > 0) return [];
  if (use === 'trained') return ['no relation is annotated: the model learns entities alone'];
  return relationTypes.length > 0 ? ['no relation is annotated: whatever is found counts as wrong'] : [];
};
