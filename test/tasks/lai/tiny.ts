/** What the tests of LAI-Net share: invented sentences and a model's configuration of a few thousand parameters. */
import { parseLaiConfig, type LaiConfig } from '../../../src/models/lai-config.ts';
import type { Json } from '../../../src/models/config.ts';
import type { Sentence } from '../../../src/tasks/dataset.ts';
import type { Tokenizer } from '../../../src/tasks/text/tokenizer.ts';
import { createWordPieceTokenizer } from '../../../src/tasks/text/wordpiece.ts';

const vocab = [
  ...['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', '[unused1]', '[unused2]', '[unused3]', '[unused4]'],
  ...[
    'Ida',
    'mar',
    '##ried',
    'Bo',
    'Lin',
    '##d',
    'in',
    'Ros',
    '##kil',
    '##de',
    'per',
    '##son',
    'place',
    'lives',
  ],
];

/** Whole and split words; "person" and "married" take two pieces, "Roskilde" three. */
export const tokenizer: Tokenizer = createWordPieceTokenizer({ vocab, doLowerCase: false });

/** The ids of pieces, by name. */
export const idsOf = (pieces: string): number[] => pieces.split(' ').map((piece) => vocab.indexOf(piece));

export const sentence: Sentence = {
  tokens: ['Ida', 'married', 'Bo', 'Lind', 'in', 'Roskilde'],
  entities: [
    { type: 'PER', start: 2, end: 4 },
    { type: 'PER', start: 0, end: 1 },
    { type: 'LOC', start: 5, end: 6 },
  ],
  relations: [
    { type: 'spouse', head: 1, tail: 0 },
    { type: 'lives', head: 0, tail: 2 },
  ],
};

export const tinyConfig = (given: Json = {}): LaiConfig =>
  parseLaiConfig(
    {
      model: 'lai',
      stage: 'entities',
      entityTypes: ['PER', 'LOC'],
      relationTypes: ['lives', 'spouse'],
      symmetric: ['spouse'],
      annotations: { PER: 'person', LOC: 'place' },
      maxSpanWidth: 2,
      encoder: {
        ...{ vocab_size: vocab.length, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2 },
        ...{ intermediate_size: 32, max_position_embeddings: 24 },
      },
      ...given,
    },
    'config',
  );
