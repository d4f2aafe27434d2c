/**
 * BERT's encoder as Hugging Face's `BertModel` computes it: post-norm, absolute positions that may be given, token
 * types, no dropout inside; and its kin, which differ in names, positions and embeddings (see `bert-config.ts`).
 * Parameter names are Hugging Face's.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Activation } from '../../kernels/shared/activation.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { Embedding, LayerNorm, Linear, MultiHeadAttention, type Visibility } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import { add, hostInts, type HostInts } from '../ops/index.ts';
import type { BertConfig } from './bert-config.ts';
import { layerName, layerNames, poolerName, widenName } from './encoder-names.ts';
import { Packing } from './packing.ts';

export { parseBertConfig, type BertConfig } from './bert-config.ts';
export { mapBertNames } from './encoder-names.ts';

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

class BertLayer {
  readonly attention: MultiHeadAttention;
  readonly attentionNorm: LayerNorm;
  readonly intermediate: Linear;
  readonly output: Linear;
  readonly outputNorm: LayerNorm;
  readonly activation: Activation;
  /** How what lies between `intermediate` and `output` is stored, and its gradient. */
  readonly #inner: 'f32' | 'f16';

  constructor(parameters: Parameters, config: BertConfig) {
    const { hiddenSize, intermediateSize, layerNormEps } = config;
    const names = layerNames(config.architecture);
    this.attention = new MultiHeadAttention(parameters, hiddenSize, config.heads, names.attention);
    this.attentionNorm = new LayerNorm(parameters, names.attentionNorm, hiddenSize, layerNormEps);
    this.intermediate = new Linear(parameters, names.intermediate, hiddenSize, intermediateSize);
    this.output = new Linear(parameters, names.output, intermediateSize, hiddenSize);
    this.outputNorm = new LayerNorm(parameters, names.outputNorm, hiddenSize, layerNormEps);
    this.activation = config.activation;
    this.#inner = parameters.precision === 'mixed' && intermediateSize % 4 === 0 ? 'f16' : 'f32';
  }

  /** x [B, L, d], or packed [N, d]: see the kernel `attention`. */
  forward(x: Tensor, lengths: HostInts, visibility?: Visibility): Tensor {
    return x.runtime.tidy(() => {
      const mixed = this.attention.forward(x, x, lengths, visibility);
      const attended = this.attentionNorm.forward(mixed, x);
      const inner = this.intermediate.forward(attended, this.activation, this.#inner);
      return this.outputNorm.forward(this.output.forward(inner), attended);
    });
  }
}

export class Bert {
  readonly config: BertConfig;
  readonly #words: Embedding;
  readonly #positions: Embedding;
  readonly #types: Embedding | undefined;
  readonly #norm: LayerNorm;
  /** From the size of the embeddings to that of the layers. */
  readonly #widen: Linear | undefined;
  readonly #layers: BertLayer[];
  /** What batches of the last one's shape have that have none of their own: positions 0, 1, 2, … in every row; types of 0. */
  #usual = { rows: 0, columns: 0, positions: new Int32Array(), types: new Int32Array() };

  /** @param pooler also hold the pooler's parameters, which no model here computes but a checkpoint may carry */
  constructor(parameters: Parameters, config: BertConfig, pooler = false) {
    this.config = config;
    const { architecture, embeddingSize, hiddenSize, layers, typeVocabSize } = config;
    const embeddings = parameters.in('embeddings');
    this.#words = new Embedding(embeddings, 'word_embeddings', config.vocabSize, embeddingSize);
    const positions = config.maxPositions + config.positionOffset;
    this.#positions = new Embedding(embeddings, 'position_embeddings', positions, embeddingSize);
    if (typeVocabSize > 0)
      this.#types = new Embedding(embeddings, 'token_type_embeddings', typeVocabSize, embeddingSize);
    this.#norm = new LayerNorm(embeddings, 'LayerNorm', embeddingSize, config.layerNormEps);
    if (architecture === 'albert' || embeddingSize !== hiddenSize)
      this.#widen = new Linear(parameters, widenName(architecture), embeddingSize, hiddenSize);
    const layer = (i: number) => new BertLayer(parameters.in(layerName(architecture, i)), config);
    this.#layers =
      architecture === 'albert'
        ? Array<BertLayer>(layers).fill(layer(0))
        : Array.from({ length: layers }, (_, i) => layer(i));
    if (pooler) new Linear(parameters, poolerName(architecture), hiddenSize, hiddenSize);
  }

  /** Last hidden state [B, L, d]; what it is in the padding is left open. Errors: a row longer than the position table. */
  forward(batch: PieceBatch): Tensor {
    const { columns, lengths, visibility } = batch;
    if (!batch.positions && columns > this.config.maxPositions)
      throw new InputError(
        `a row of ${columns} pieces exceeds max_position_embeddings ${this.config.maxPositions}`,
      );
    const { runtime } = this.#words.weight;
    const packing = visibility ? undefined : Packing.of(lengths, columns, runtime.caps);
    const within = packing?.lengths ?? hostInts(lengths);
    // Each layer's input goes as soon as the layer has run.
    const after = (layers: number): Tensor =>
      runtime.tidy(() =>
        layers === 0
          ? this.#embed(batch, packing)
          : this.#layers[layers - 1].forward(after(layers - 1), within, visibility),
      );
    return runtime.tidy(() => {
      const last = after(this.#layers.length);
      return packing?.unpack(last) ?? last;
    });
  }

  /** The embeddings of a batch, [B, L, d] or packed. */
  #embed({ rows, columns, ids, ...given }: PieceBatch, packing?: Packing): Tensor {
    const own = (values: Int32Array): HostInts =>
      packing ? hostInts(packing.pack(values)) : hostInts(values, [rows, columns]);
    const { positionOffset, typeVocabSize } = this.config;
    const positions = given.positions ?? this.#usualOf(rows, columns).positions;
    const rowsOf = positionOffset > 0 ? positions.map((position) => position + positionOffset) : positions;
    const words = add(this.#words.forward(own(ids)), this.#positions.forward(own(rowsOf)));
    const types = (typeVocabSize > 1 && given.tokenTypes) || this.#usualOf(rows, columns).types;
    const embedded = this.#norm.forward(words, this.#types?.forward(own(types)));
    return this.#widen?.forward(embedded) ?? embedded;
  }

  /** Each i32[rows · columns], not to be changed. */
  #usualOf(rows: number, columns: number): { positions: Int32Array; types: Int32Array } {
    if (this.#usual.rows !== rows || this.#usual.columns !== columns) {
      const positions = Int32Array.from({ length: rows * columns }, (_, i) => i % columns);
      this.#usual = { rows, columns, positions, types: new Int32Array(rows * columns) };
    }
    return this.#usual;
  }
}
