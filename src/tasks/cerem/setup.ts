/** From documents and a schema to a model to train: vocabulary, configuration. */
import { parseCeremConfig, type CeremConfig } from '../../models/cerem.ts';
import { Fields, type Json } from '../../models/config.ts';
import type { Document } from '../document.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { buildVocab } from '../text/vocab.ts';
import { createWordPieceTokenizer } from '../text/wordpiece.ts';
import { relationPrompt, type Schema } from './schema.ts';

/** What a small model has beside its encoder: the paper's windows, 4 heads of 16. */
export const smallCerem: Json = { scales: [2, 3, 4, 5, 6], heads: 4, headSize: 16 };

/** A vocabulary of the characters of texts and prompts, for models that start from random weights. */
export function vocabularyOf(documents: readonly Document[], schema: Schema): Tokenizer {
  const prompts = schema.entities.flatMap(({ prompt, relations }) => [
    prompt,
    ...relations.map((relation) => relationPrompt(schema, relation, '')),
  ]);
  const texts = documents.map(({ text }) => text);
  const vocab = buildVocab([...texts, ...prompts], { doLowerCase: false, minCount: Infinity });
  return createWordPieceTokenizer({ vocab, doLowerCase: false });
}

/**
 * A complete configuration: the encoder's `vocab_size` comes from the tokenizer where `given` leaves it out.
 * @param given a configuration as in a checkpoint, but perhaps without `model`
 * @param what names it in errors
 * @throws InputError naming `what` and the key that is missing, unknown, of the wrong kind or out of range
 */
export function completeCeremConfig(given: Json, what: string, { vocabSize }: Tokenizer): CeremConfig {
  const encoder = new Fields(given, what).object('encoder');
  return parseCeremConfig({ model: 'cerem', ...given, encoder: { vocab_size: vocabSize, ...encoder } }, what);
}
