/** A new model's configuration out of what its user gives. */
import { Fields, type Json } from '../models/config.ts';
import { labelSets, type Sentence } from './dataset.ts';
import { wordsOf } from './text/word-rules.ts';

/**
 * `given` with what it leaves out: `defaults`, and the encoder's `vocab_size`.
 * @param what names it in errors
 * @throws InputError where `encoder` is no object
 */
export const withDefaults = (given: Json, what: string, defaults: Json, vocabSize: number): Json => ({
  ...defaults,
  ...given,
  encoder: { vocab_size: vocabSize, ...new Fields(given, what).object('encoder') },
});

/**
 * The same of a model of words: its name, the labels of its training sentences and the rule that parts text into words
 * like theirs.
 * @param more further defaults
 */
export const withSentences = (
  given: Json,
  what: string,
  { model, sentences, ...more }: { model: string; sentences: readonly Sentence[]; [key: string]: unknown },
  vocabSize: number,
): Json =>
  withDefaults(
    { ...given, ...wordsOf(given, sentences) },
    what,
    { model, ...labelSets(sentences), ...more },
    vocabSize,
  );
