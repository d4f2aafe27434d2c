/**
 * BERT's encoder as Hugging Face's `BertModel` computes it: post-norm, exact GELU, absolute positions that may be
 * given, token types, no dropout inside. Parameter names are Hugging Face's.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { Embedding, LayerNorm, Linear, MultiHeadAttention } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import { add, hostInts } from '../ops/index.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { Fields, type Json } from './config.ts';

export interface BertConfig {
  vocabSize: number;
  hiddenSize: number;
  layers: number;
  heads: number;
  intermediateSize: number;
  maxPositions: number;
  typeVocabSize: number;
  layerNormEps: number;
  activation: 'gelu' | 'relu';
  /** The object as read: unknown keys are kept and written back. */
  json: Json;
}

/** Reads Hugging Face's keys; others are ignored. Errors: InputError naming `what` and the key. */
export function parseBertConfig(json: Json, what: string): BertConfig {
  const fields = new Fields(json, what);
  fields.oneOf('model_type', ['bert'], 'bert');
  const activation = fields.oneOf('hidden_act', ['gelu', 'relu'] as const, 'gelu');
  fields.oneOf('position_embedding_type', ['absolute'], 'absolute');
  const config: BertConfig = {
    vocabSize: fields.integer('vocab_size'),
    hiddenSize: fields.integer('hidden_size'),
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
}

const attentionNames = {
  query: 'attention.self.query',
  key: 'attention.self.key',
  value: 'attention.self.value',
  output: 'attention.output.dense',
};

class BertLayer {
  readonly attention: MultiHeadAttention;
  readonly attentionNorm: LayerNorm;
  readonly intermediate: Linear;
  readonly output: Linear;
  readonly outputNorm: LayerNorm;
  readonly activation: 'gelu' | 'relu';

  constructor(parameters: Parameters, config: BertConfig) {
    const { hiddenSize, layerNormEps } = config;
    this.attention = new MultiHeadAttention(parameters, hiddenSize, config.heads, attentionNames);
    this.attentionNorm = new LayerNorm(parameters, 'attention.output.LayerNorm', hiddenSize, layerNormEps);
    this.intermediate = new Linear(parameters, 'intermediate.dense', hiddenSize, config.intermediateSize);
    this.output = new Linear(parameters, 'output.dense', config.intermediateSize, hiddenSize);
    this.outputNorm = new LayerNorm(parameters, 'output.LayerNorm', hiddenSize, layerNormEps);
    this.activation = config.activation;
  }

  forward(x: Tensor, lengths: Int32Array): Tensor {
    return x.runtime.tidy(() => {
      const attended = this.attentionNorm.forward(this.attention.forward(x, x, hostInts(lengths)), x);
      const inner = this.intermediate.forward(attended, this.activation);
      return this.outputNorm.forward(this.output.forward(inner), attended);
    });
  }
}

export class Bert {
  readonly config: BertConfig;
  readonly #words: Embedding;
  readonly #positions: Embedding;
  readonly #types: Embedding;
  readonly #norm: LayerNorm;
  readonly #layers: BertLayer[];

  /** @param pooler also hold the pooler's parameters, which no model here computes but a checkpoint may carry */
  constructor(parameters: Parameters, config: BertConfig, pooler = false) {
    this.config = config;
    const embeddings = parameters.in('embeddings');
    this.#words = new Embedding(embeddings, 'word_embeddings', config.vocabSize, config.hiddenSize);
    this.#positions = new Embedding(
      embeddings,
      'position_embeddings',
      config.maxPositions,
      config.hiddenSize,
    );
    this.#types = new Embedding(embeddings, 'token_type_embeddings', config.typeVocabSize, config.hiddenSize);
    this.#norm = new LayerNorm(embeddings, 'LayerNorm', config.hiddenSize, config.layerNormEps);
    this.#layers = Array.from(
      { length: config.layers },
      (_, i) => new BertLayer(parameters.in(`encoder.layer.${i}`), config),
    );
    if (pooler) new Linear(parameters, 'pooler.dense', config.hiddenSize, config.hiddenSize);
  }

  /** Last hidden state [B, L, d]. Errors: a row longer than the position table. */
  forward(batch: PieceBatch): Tensor {
    const { columns, lengths } = batch;
    if (!batch.positions && columns > this.config.maxPositions)
      throw new InputError(
        `a row of ${columns} pieces exceeds max_position_embeddings ${this.config.maxPositions}`,
      );
    const { runtime } = this.#words.weight;
    // Each layer's input goes as soon as the layer has run.
    const after = (layers: number): Tensor =>
      runtime.tidy(() =>
        layers === 0 ? this.#embed(batch) : this.#layers[layers - 1].forward(after(layers - 1), lengths),
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
    return this.#norm.forward(words, this.#types.forward(hostInts(types, shape)));
  }
}

/**
 * Maps the names of a Hugging Face file to `Bert`'s: drops a `bert.` prefix, renames `gamma` and `beta`, skips
 * `cls.*`, `classifier.*` and `*.position_ids`.
 * @returns the tensors under `prefix`, and a note for each skipped one
 */
export function mapBertNames(
  tensors: ReadonlyMap<string, HostTensor>,
  prefix = '',
): { tensors: Map<string, HostTensor>; notes: string[] } {
  const mapped = new Map<string, HostTensor>();
  const notes: string[] = [];
  for (const [name, tensor] of tensors) {
    if (/^(cls|classifier)\./.test(name) || /(^|\.)position_ids$/.test(name)) {
      notes.push(`skipped ${name}: not part of the encoder`);
      continue;
    }
    const plain = name
      .replace(/^bert\./, '')
      .replace(/\.gamma$/, '.weight')
      .replace(/\.beta$/, '.bias');
    if (mapped.has(prefix + plain)) throw new InputError(`two tensors are named ${plain} (one as ${name})`);
    mapped.set(prefix + plain, tensor);
  }
  return { tensors: mapped, notes };
}
