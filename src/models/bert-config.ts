/**
 * Configurations of the encoders that are BERT's kin (docs/spec.md#encoder), under Hugging Face's keys: BERT; ALBERT
 * (Lan et al. 2020), with embeddings of a smaller size and one layer's weights for all layers; RoBERTa and XLM-RoBERTa
 * (Liu et al. 2019, Conneau et al. 2020), whose positions count from behind the padding id; ELECTRA's discriminator
 * (Clark et al. 2020), with embeddings that may be smaller; DistilBERT (Sanh et al. 2019), without token types.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Activation } from '../../kernels/shared/activation.ts';
import { Fields, MOST_ENTRIES, MOST_LAYERS, type Json } from './config.ts';

export const architectures = ['bert', 'albert', 'roberta', 'xlm-roberta', 'electra', 'distilbert'] as const;
export type Architecture = (typeof architectures)[number];

export interface BertConfig {
  architecture: Architecture;
  vocabSize: number;
  /** Columns of the embedding tables: with ALBERT and ELECTRA perhaps less than `hiddenSize`. */
  embeddingSize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  intermediateSize: number;
  /** Positions that a row may have: rows of the table but for those before the first position. */
  maxPositions: number;
  /** Rows of the position table before the first position: with RoBERTa up to the padding id's. */
  positionOffset: number;
  /** Rows of the table of token types; 0: there is none. With 1, every token is of type 0. */
  typeVocabSize: number;
  layerNormEps: number;
  activation: Activation;
  /** The object as read: unknown keys are kept and written back. */
  json: Json;
}

/** Hugging Face's names of activations, and ours. */
const activations = {
  gelu: 'gelu',
  gelu_new: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  relu: 'relu',
} as const satisfies Record<string, Activation>;
const activationNames = Object.keys(activations) as (keyof typeof activations)[];

/** DistilBERT's keys. */
const distilKeys = {
  hidden_size: 'dim',
  num_hidden_layers: 'n_layers',
  num_attention_heads: 'n_heads',
  intermediate_size: 'hidden_dim',
  hidden_act: 'activation',
};

/** Reads Hugging Face's keys; others are ignored. Errors: InputError naming `what` and the key. */
export function parseBertConfig(json: Json, what: string): BertConfig {
  const fields = new Fields(json, what);
  const architecture = fields.oneOf('model_type', architectures, 'bert');
  const albert = architecture === 'albert';
  const distil = architecture === 'distilbert';
  const roberta = architecture === 'roberta' || architecture === 'xlm-roberta';
  const key = (name: keyof typeof distilKeys): string => (distil ? distilKeys[name] : name);
  const activation =
    activations[fields.oneOf(key('hidden_act'), activationNames, albert ? 'gelu_new' : 'gelu')];
  fields.oneOf('position_embedding_type', ['absolute'], 'absolute');
  for (const name of albert ? ['num_hidden_groups', 'inner_group_num'] : [])
    if (fields.integer(name, 1) !== 1)
      throw fields.error(name, 'must be 1: one layer shared by all', json[name]);
  const hiddenSize = fields.integer(key('hidden_size'));
  const positionOffset = roberta ? fields.integer('pad_token_id', 1, 0, MOST_ENTRIES) + 1 : 0;
  const positions = fields.integer('max_position_embeddings', 512, positionOffset + 1, MOST_ENTRIES);
  const config: BertConfig = {
    architecture,
    vocabSize: fields.integer('vocab_size', undefined, 1, MOST_ENTRIES),
    embeddingSize: albert || architecture === 'electra' ? fields.integer('embedding_size', 128) : hiddenSize,
    hiddenSize,
    layers: fields.integer(key('num_hidden_layers'), undefined, 0, MOST_LAYERS),
    heads: fields.integer(key('num_attention_heads')),
    intermediateSize: fields.integer(key('intermediate_size'), undefined, 1, 2 ** 20),
    maxPositions: positions - positionOffset,
    positionOffset,
    typeVocabSize: distil ? 0 : fields.integer('type_vocab_size', 2),
    layerNormEps: distil ? 1e-12 : fields.number('layer_norm_eps', 1e-12, 0, 1),
    activation,
    json,
  };
  if (config.hiddenSize % config.heads)
    throw new InputError(
      `${what}: "${key('num_attention_heads')}" ${config.heads} does not divide "${key('hidden_size')}" ${config.hiddenSize}`,
    );
  return config;
}
