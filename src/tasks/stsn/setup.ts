/** From a corpus to a model to train: labels, tags, vocabulary, configuration. */
import { InputError } from '../../../kernels/errors.ts';
import { Fields, type Json } from '../../models/config.ts';
import { parseStsnConfig, type StsnConfig } from '../../models/stsn.ts';
import { labelSets, type Sentence } from '../dataset.ts';
import { tagSet } from '../tags.ts';
import { smallEncoder } from '../small-encoder.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { buildVocab } from '../text/vocab.ts';
import { createWordPieceTokenizer } from '../text/wordpiece.ts';

/** The rest of a small model, to go with `smallEncoder`. */
export const smallStsn: Json = { layers: 2, heads: 4, widthEmbeddingSize: 25 };

/** A vocabulary of the training words, for models that start from random weights. */
export function vocabularyOf(sentences: readonly Sentence[]): Tokenizer {
  const words = sentences.flatMap((s) => s.tokens);
  return createWordPieceTokenizer({ vocab: buildVocab(words, { doLowerCase: false }), doLowerCase: false });
}

/**
 * A complete configuration: what `given` leaves out of labels and tags comes from the training sentences, and the
 * encoder's `vocab_size` from the tokenizer.
 * @param given a configuration as in a checkpoint, possibly partial; `encoder` may be partial too
 * @param what names it in errors
 * @throws InputError naming `what` and the key that is unknown, of the wrong kind or out of range
 */
export function completeConfig(
  given: Json,
  what: string,
  sentences: readonly Sentence[],
  tokenizer: Tokenizer,
): StsnConfig {
  const labels = labelSets(sentences);
  const fields = new Fields(given, what);
  const entityTypes = fields.strings('entityTypes', labels.entityTypes);
  const encoder = given.encoder === undefined ? smallEncoder : fields.object('encoder');
  const config = parseStsnConfig(
    {
      model: 'stsn',
      relationTypes: labels.relationTypes,
      tags: tagSet(sentences, entityTypes),
      ...given,
      entityTypes,
      encoder: { vocab_size: tokenizer.vocabSize, ...encoder },
    },
    what,
  );
  checkTags(config, what);
  return config;
}

/**
 * Errors: InputError naming `what` when the tag head lacks a simple tag of an entity type, without which some sentence
 * could not be tagged. Combined tags may be missing: see `encodeTags`.
 */
export function checkTags({ label, tags, entityTypes }: StsnConfig, what: string): void {
  if (!label) return;
  const needed = ['O', ...entityTypes.flatMap((type) => [`B-${type}`, `I-${type}`])];
  const missing = needed.filter((tag) => !tags.includes(tag));
  if (missing.length > 0) throw new InputError(`${what}: "tags" lacks ${missing.join(', ')}`);
}
