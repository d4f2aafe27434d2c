/** ISER as a `Definition` (docs/iser.md). */
import type { Json } from '../../models/config.ts';
import { Iser, parseIserConfig } from '../../models/iser.ts';
import { withSentences } from '../complete.ts';
import { spanDefinition, spanRecipe } from './definition.ts';
import { fusionAttention } from './iser-attention.ts';

const small: Json = { heads: 4 };

export const iser = spanDefinition<Iser>({
  name: 'iser',
  title: 'ISER',
  parseConfig: parseIserConfig,
  build: (parameters, config, { pooler }) => new Iser(parameters, config, pooler),
  small,
  complete: (given, what, { sentences }, { vocabSize }) =>
    parseIserConfig(withSentences(given, what, { model: 'iser', sentences }, vocabSize), what),
  // The paper's (section 4.2.1).
  recipe: spanRecipe({ epochs: 70, lr: 2e-5, batch: 2 }),
  parts: ['span', 'relation'],
  attention: fusionAttention,
  demo: {
    summary:
      'Trains, scores and uses a small ISER, beside one with fusion and span attention, on a small corpus',
    corpus: 'expeditions',
    // As STSN's, in smaller batches and with fewer spans: every span costs a recurrent network over its sentence.
    recipe: { epochs: 6, lr: 1e-3, batch: 4, seed: 1, negativeSpans: 30 },
    // From random weights a model with fusion learns slowly (docs/iser.md): it is compared and drawn, not used.
    variants: [
      { name: 'plain', folder: 'plain', config: { ...small, fusion: false, spanContext: 'cls' } },
      { name: 'with fusion and SEA', folder: 'fusion', config: small },
    ],
    drawn: 1,
  },
});
