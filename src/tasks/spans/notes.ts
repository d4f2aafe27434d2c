/** What a training tells of its corpora beside what its model cannot learn of them. */
import type { WordRule } from '../../models/word-rule.ts';
import { ruleNotes, wordNotes } from '../text/word-rules.ts';
import type { SpanCorpus } from './model.ts';

/**
 * The rule that parts plain text into words, what it parts otherwise than the corpora, and what of the dev data cannot be found.
 * @param scored what of a corpus the model cannot find, whatever its weights
 */
export const corpusNotes = (
  { model, train, dev }: { model: { config: { words?: WordRule } }; train: SpanCorpus; dev?: SpanCorpus },
  scored: (corpus: SpanCorpus) => string[],
): string[] => [
  ...ruleNotes(model.config),
  ...[train, ...(dev ? [dev] : [])].flatMap((c) => wordNotes(c.sentences, model.config, c.file)),
  ...(dev ? scored(dev).map((note) => `${dev.file}: ${note}`) : []),
];
