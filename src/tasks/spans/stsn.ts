/** STSN as a `Definition` (docs/stsn.md). */
import { InputError } from '../../../kernels/errors.ts';
import { Fields, type Json } from '../../models/config.ts';
import { parseStsnConfig, Stsn, type StsnConfig } from '../../models/stsn.ts';
import { piecesAsWords } from '../../models/words.ts';
import { withSentences } from '../complete.ts';
import { labelSets } from '../dataset.ts';
import { spanDefinition, spanRecipe } from './definition.ts';
import { enumerateSpans } from './enumerate.ts';
import { tagSet } from './tags.ts';

/**
 * Errors: InputError naming `what` when the tag head lacks a simple tag of an entity type, without which some sentence
 * could not be tagged. Combined tags may be missing: see `encodeTags`.
 */
function checkTags({ label, tags, entityTypes }: StsnConfig, what: string): void {
  if (!label) return;
  const needed = ['O', ...entityTypes.flatMap((type) => [`B-${type}`, `I-${type}`])];
  const missing = needed.filter((tag) => !tags.includes(tag));
  if (missing.length > 0) throw new InputError(`${what}: "tags" lacks ${missing.join(', ')}`);
}

const small: Json = { layers: 2, heads: 4, widthEmbeddingSize: 25 };

export const stsn = spanDefinition<Stsn>({
  name: 'stsn',
  title: 'STSN',
  parseConfig(json, what) {
    const config = parseStsnConfig(json, what);
    // Without tags it is not yet a whole one.
    if (config.tags.length > 0) checkTags(config, what);
    return config;
  },
  build: (parameters, config, { pooler }) => new Stsn(parameters, config, pooler),
  small,
  complete(given, what, { sentences }, { vocabSize }) {
    const entityTypes = new Fields(given, what).strings('entityTypes', labelSets(sentences).entityTypes);
    const defaults = { model: 'stsn', sentences, tags: tagSet(sentences, entityTypes) };
    const config = parseStsnConfig(withSentences(given, what, defaults, vocabSize), what);
    checkTags(config, what);
    return config;
  },
  checkConfig: checkTags,
  // The paper's (section 4.1.3).
  recipe: spanRecipe({ epochs: 20, lr: 5e-5, batch: 4 }),
  parts: ['tag', 'span', 'relation'],
  /** Of relations there are none: their pairs are of the entities found. */
  forward(model, batch) {
    const words = piecesAsWords(batch);
    const states = model.states(words);
    const tags = model.tagLogits(states);
    const spans = enumerateSpans(words.wordLengths, model.config.maxSpanWidth);
    return { ...(tags && { tag_logits: tags }), span_logits: model.spanLogits(states, spans) };
  },
  demo: {
    summary: 'Trains, scores and uses a small STSN on a small corpus; `npm start` runs it',
    corpus: 'expeditions',
    // Higher than the paper's rate since nothing is pretrained.
    recipe: { epochs: 12, lr: 1e-3, batch: 8, seed: 1 },
    variants: [{ name: 'STSN', folder: '', config: small }],
  },
});
