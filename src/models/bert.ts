/**
 * BERT's encoder as Hugging Face's `BertModel` computes it: post-norm, absolute positions that may be given, token
 * types, no dropout inside; and ALBERT's (`AlbertModel`; Lan et al. 2020), which is the same but for embeddings of a
 * smaller size and one layer's weights for all layers. Parameter names are Hugging Face's.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Activation } from '../../kernels/shared/activation.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { Embedding, LayerNorm, Linear, MultiHeadAttention, type Visibility } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import { add, hostInts } from '../ops/index.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { Fields, type Json } from './config.ts';

export interface BertConfig {
  architecture: 'bert' | 'albert';
  vocabSize: number;
  /** Columns of the embedding tables: with ALBERT less than `hiddenSize`, with BERT the same. */
  embeddingSize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  intermediateSize: number;
  maxPositions: number;
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

/** Reads Hugging Face's keys; others are ignored. Errors: InputError naming `what` and the key. */
export function parseBertConfig(json: Json, what: string): BertConfig {
  const fields = new Fields(json, what);
  const architecture = fields.oneOf('model_type', ['bert', 'albert'] as const, 'bert');
  const albert = architecture === 'albert';
  const names = Object.keys(activations) as (keyof typeof activations)[];
  const activation = activations[fields.oneOf('hidden_act', names, albert ? 'gelu_new' : 'gelu')];
  fields.oneOf('position_embedding_type', ['absolute'], 'absolute');
  for (const key of albert ? ['num_hidden_groups', 'inner_group_num'] : [])
    if (fields.integer(key, 1) !== 1)
      throw fields.error(key, 'must be 1: one layer shared by all', json[key]);
  const hiddenSize = fields.integer('hidden_size');
  const config: BertConfig = {
    architecture,
    vocabSize: fields.integer('vocab_size'),
    embeddingSize: albert ? fields.integer('embedding_size', 128) : hiddenSize,
    hiddenSize,
    layers: fields.integer('num_hidden_layers', undefined, 0),
    heads: fields.integer('num_attention_heads'),
    intermediateSize: fields.integer('intermediate_size'),
    maxPositions: fields.integer('max_position_embeddings', 512),
    typeVocabSize: fields.integer('type_vocab_size', 2),
    layerNormEps: fields.number('layer_norm_eps', 1e-12, 0, 1),
    activation,
    json,
  };
  if (config.hiddenSize % config.heads)
    throw new InputError(
      `${what}: "num_attention_heads" ${config.heads} does not divide "hidden_size" ${config.hiddenSize}`,
    );
  return config;
}

/** A padded batch of word pieces. */
export interface PieceBatch {
  /** i32[B, L], padded with any valid id. */
  ids: Int32Array;
  /** i32[B]: pieces of each row. */
  lengths: Int32Array;
  rows: number;
  columns: number;
  /** i32[B, L]; 0 everywhere when absent. */
  tokenTypes?: Int32Array;
  /** i32[B, L]; 0, 1, 2, … in every row when absent. */
  positions?: Int32Array;
  /** Who sees whom in every layer; all see all within the lengths when absent. */
  visibility?: Visibility;
}

/** What the parts of a layer are called. */
const layerNames = {
  bert: {
    attention: {
      query: 'attention.self.query',
      key: 'attention.self.key',
      value: 'attention.self.value',
      output: 'attention.output.dense',
    },
    attentionNorm: 'attention.output.LayerNorm',
    intermediate: 'intermediate.dense',
    output: 'output.dense',
    outputNorm: 'output.LayerNorm',
  },
  albert: {
    attention: {
      query: 'attention.query',
      key: 'attention.key',
      value: 'attention.value',
      output: 'attention.dense',
    },
    attentionNorm: 'attention.LayerNorm',
    intermediate: 'ffn',
    output: 'ffn_output',
    outputNorm: 'full_layer_layer_norm',
  },
};

class BertLayer {
  readonly attention: MultiHeadAttention;
  readonly attentionNorm: LayerNorm;
  readonly intermediate: Linear;
  readonly output: Linear;
  readonly outputNorm: LayerNorm;
  readonly activation: Activation;

  constructor(parameters: Parameters, config: BertConfig) {
    const { hiddenSize, intermediateSize, layerNormEps } = config;
    const names = layerNames[config.architecture];
    this.attention = new MultiHeadAttention(parameters, hiddenSize, config.heads, names.attention);
    this.attentionNorm = new LayerNorm(parameters, names.attentionNorm, hiddenSize, layerNormEps);
    this.intermediate = new Linear(parameters, names.intermediate, hiddenSize, intermediateSize);
    this.output = new Linear(parameters, names.output, intermediateSize, hiddenSize);
    this.outputNorm = new LayerNorm(parameters, names.outputNorm, hiddenSize, layerNormEps);
    this.activation = config.activation;
  }

  forward(x: Tensor, lengths: Int32Array, visibility?: Visibility): Tensor {
    return x.runtime.tidy(() => {
      const mixed = this.attention.forward(x, x, hostInts(lengths), visibility);
      const attended = this.attentionNorm.forward(mixed, x);
      const inner = this.intermediate.forward(attended, this.activation);
      return this.outputNorm.forward(this.output.forward(inner), attended);
    });
  }
}

const poolerNames = { bert: 'pooler.dense', albert: 'pooler' };

export class Bert {
  readonly config: BertConfig;
  readonly #words: Embedding;
  readonly #positions: Embedding;
  readonly #types: Embedding;
  readonly #norm: LayerNorm;
  /** ALBERT: from the size of the embeddings to that of the layers. */
  readonly #widen: Linear | undefined;
  readonly #layers: BertLayer[];

  /** @param pooler also hold the pooler's parameters, which no model here computes but a checkpoint may carry */
  constructor(parameters: Parameters, config: BertConfig, pooler = false) {
    this.config = config;
    const { embeddingSize, hiddenSize, layers } = config;
    const embeddings = parameters.in('embeddings');
    this.#words = new Embedding(embeddings, 'word_embeddings', config.vocabSize, embeddingSize);
    this.#positions = new Embedding(embeddings, 'position_embeddings', config.maxPositions, embeddingSize);
    this.#types = new Embedding(embeddings, 'token_type_embeddings', config.typeVocabSize, embeddingSize);
    this.#norm = new LayerNorm(embeddings, 'LayerNorm', embeddingSize, config.layerNormEps);
    if (config.architecture === 'albert') {
      const encoder = parameters.in('encoder');
      this.#widen = new Linear(encoder, 'embedding_hidden_mapping_in', embeddingSize, hiddenSize);
      const shared = new BertLayer(encoder.in('albert_layer_groups.0.albert_layers.0'), config);
      this.#layers = Array<BertLayer>(layers).fill(shared);
    } else
      this.#layers = Array.from(
        { length: layers },
        (_, i) => new BertLayer(parameters.in(`encoder.layer.${i}`), config),
      );
    if (pooler) new Linear(parameters, poolerNames[config.architecture], hiddenSize, hiddenSize);
  }

  /** Last hidden state [B, L, d]. Errors: a row longer than the position table. */
  forward(batch: PieceBatch): Tensor {
    const { columns, lengths, visibility } = batch;
    if (!batch.positions && columns > this.config.maxPositions)
      throw new InputError(
        `a row of ${columns} pieces exceeds max_position_embeddings ${this.config.maxPositions}`,
      );
    const { runtime } = this.#words.weight;
    // Each layer's input goes as soon as the layer has run.
    const after = (layers: number): Tensor =>
      runtime.tidy(() =>
        layers === 0
          ? this.#embed(batch)
          : this.#layers[layers - 1].forward(after(layers - 1), lengths, visibility),
      );
    return after(this.#layers.length);
  }

  /** The embeddings of a batch, [B, L, d]. */
  #embed({ rows, columns, ids, ...given }: PieceBatch): Tensor {
    const shape = [rows, columns];
    const positions = given.positions ?? Int32Array.from({ length: rows * columns }, (_, i) => i % columns);
    const types = given.tokenTypes ?? new Int32Array(rows * columns);
    const words = add(
      this.#words.forward(hostInts(ids, shape)),
      this.#positions.forward(hostInts(positions, shape)),
    );
    const embedded = this.#norm.forward(words, this.#types.forward(hostInts(types, shape)));
    return this.#widen?.forward(embedded) ?? embedded;
  }
}

/** Whether tensors named as `mapBertNames` names them, under the same prefix, hold a pooler. */
export const hasPooler = (tensors: ReadonlyMap<string, HostTensor>, prefix: string): boolean =>
  Object.values(poolerNames).some((name) => tensors.has(`${prefix}${name}.weight`));

/** Parts of a file that belong to the tasks it was trained on: BERT's heads, then ALBERT's. */
const heads = /^(cls|classifier|predictions|sop_classifier)\./;

/**
 * Maps the names of a Hugging Face file to `Bert`'s: drops a `bert.` or `albert.` prefix, renames `gamma` and `beta`,
 * skips heads of other tasks and `*.position_ids`.
 * @returns the tensors under `prefix`, and a note for each skipped one
 */
export function mapBertNames(
  tensors: ReadonlyMap<string, HostTensor>,
  prefix = '',
): { tensors: Map<string, HostTensor>; notes: string[] } {
  const mapped = new Map<string, HostTensor>();
  const notes: string[] = [];
  for (const [name, tensor] of tensors) {
    if (heads.test(name) || /(^|\.)position_ids$/.test(name)) {
      notes.push(`skipped ${name}: not part of the encoder`);
      continue;
    }
    const plain = name
      .replace(/^(al)?bert\./, '')
      .replace(/\.gamma$/, '.weight')
      .replace(/\.beta$/, '.bias');
    if (mapped.has(prefix + plain)) throw new InputError(`two tensors are named ${plain} (one as ${name})`);
    mapped.set(prefix + plain, tensor);
  }
  return { tensors: mapped, notes };
}
