/** ISER as a `Definition` (docs/iser.md). */
import { Fields } from '../../models/config.ts';
import { Iser, iserConfigJson, parseIserConfig } from '../../models/iser.ts';
import { labelSets } from '../dataset.ts';
import { spanDefinition, spanRecipe } from './definition.ts';
import { fusionAttention } from './iser-attention.ts';

export const iser = spanDefinition<Iser>({
  name: 'iser',
  title: 'ISER',
  parseConfig: parseIserConfig,
  configJson: iserConfigJson,
  build: (parameters, config, { pooler }) => new Iser(parameters, config, pooler),
  small: { heads: 4 },
  complete(given, what, { sentences }, { vocabSize }) {
    const encoder = new Fields(given, what).object('encoder');
    return parseIserConfig(
      { model: 'iser', ...labelSets(sentences), ...given, encoder: { vocab_size: vocabSize, ...encoder } },
      what,
    );
  },
  // The paper's (section 4.2.1).
  recipe: spanRecipe({ epochs: 70, lr: 2e-5, batch: 2 }),
  parts: ['span', 'relation'],
  attention: fusionAttention,
});
