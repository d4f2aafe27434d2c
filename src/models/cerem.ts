/**
 * CEREM: extraction by prompts and pointers, with Segment Information Attention in two independent branches
 * (docs/spec.md#cerem; the paper's equations are named at each step).
 */
import { InputError } from '../../kernels/errors.ts';
import { sizeOf } from '../../kernels/plan.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { LayerNorm, Linear } from '../nn/modules.ts';
import type { Init, Parameters } from '../nn/parameters.ts';
import { parameterShapes } from '../nn/shapes.ts';
import { attention, hostInts, reshape, untracked } from '../ops/index.ts';
import { parseBertConfig, type BertConfig, type PieceBatch } from './bert.ts';
import { Fields, MOST_ENTRIES, type Json } from './config.ts';
import { OnEncoder } from './on-encoder.ts';
import { regularise, type Regularisation } from './regularisation.ts';
import {
  NORM_EPS,
  parseSegmentAttention,
  Projections,
  SegmentInformationAttention,
  type SegmentAttentionConfig,
} from './segment-information-attention.ts';

/** How far answers of a type reach in the training data. */
export interface AnswerLimit {
  /** UTF-16 code units. */
  longest: number;
  acrossSentences: boolean;
}

export interface CeremConfig extends SegmentAttentionConfig {
  encoder: BertConfig;
  /** A piece is a start or an end where its probability reaches this. */
  threshold: number;
  /** Pieces of the longest input, prompt and special ones included. */
  maxLength: number;
  /** Segment Information Attention; false: plain attention, or with `branches` false none (the paper's Table 6). */
  sia: boolean;
  /** Start and end have attention of their own; false: one for both. */
  branches: boolean;
  /** By entity type, and by relation type; without it an answer may be of any length. */
  answers?: Record<'entities' | 'relations', Record<string, AnswerLimit>>;
}

function parseAnswers(json: Json, what: string): NonNullable<CeremConfig['answers']> {
  const fields = new Fields(json, what);
  const limits = (key: 'entities' | 'relations'): Record<string, AnswerLimit> => {
    const types = fields.object(key);
    const of = new Fields(types, `${what}: ${key}`);
    return Object.fromEntries(
      Object.keys(types).map((type) => {
        const limit = new Fields(of.object(type), `${what}: ${key}: ${type}`);
        const found = {
          longest: limit.integer('longest', undefined, 1, Infinity),
          acrossSentences: limit.boolean('acrossSentences'),
        };
        limit.rejectUnknown();
        return [type, found];
      }),
    );
  };
  const answers = { entities: limits('entities'), relations: limits('relations') };
  fields.rejectUnknown();
  return answers;
}

/** Reads a checkpoint's config. Errors: InputError naming `what` and the key, unknown keys included. */
export function parseCeremConfig(json: Json, what: string): CeremConfig {
  const fields = new Fields(json, what);
  fields.oneOf('model', ['cerem'] as const);
  const encoder = parseBertConfig(fields.object('encoder'), `${what}: encoder`);
  const sia = fields.boolean('sia', true);
  const branches = fields.boolean('branches', true);
  const attends = sia || branches;
  const { scales, ...sizes } = ceremAttention;
  const config: CeremConfig = {
    encoder,
    // What an ablation does not use may be absent.
    ...parseSegmentAttention(fields, what, { ...(!sia && { scales }), ...(!attends && sizes) }),
    threshold: fields.number('threshold', 0.5, 0, 1),
    maxLength: fields.integer('maxLength', encoder.maxPositions, 3, MOST_ENTRIES),
    sia,
    branches,
    ...(fields.has('answers') && { answers: parseAnswers(fields.object('answers'), `${what}: answers`) }),
  };
  fields.rejectUnknown();
  if (config.maxLength > encoder.maxPositions)
    throw new InputError(
      `${what}: "maxLength" ${config.maxLength} exceeds max_position_embeddings ${encoder.maxPositions}`,
    );
  return config;
}

/** The paper's attention: windows up to 6 tokens, 8 heads of 128. */
export const ceremAttention = { scales: [2, 3, 4, 5, 6], heads: 8, headSize: 128 };

/** The paper's model, 117.2M parameters, on a BERT-base encoder with Chinese BERT's vocabulary. */
export const ceremBase: CeremConfig = parseCeremConfig(
  {
    model: 'cerem',
    ...ceremAttention,
    encoder: {
      model_type: 'bert',
      vocab_size: 21128,
      hidden_size: 768,
      num_hidden_layers: 12,
      num_attention_heads: 12,
      intermediate_size: 3072,
      hidden_act: 'gelu',
      max_position_embeddings: 512,
      type_vocab_size: 2,
      layer_norm_eps: 1e-12,
    },
  },
  'base preset',
);

/** LayerNorm(W + MHA(W, W, W)): a branch of the ablation without segments. */
class AttentionBranch {
  readonly #projections: Projections;
  readonly #norm: LayerNorm;
  readonly #heads: number;

  constructor(parameters: Parameters, size: number, heads: number, headSize: number) {
    this.#projections = new Projections(parameters.in('attention'), size, heads * headSize);
    this.#norm = new LayerNorm(parameters, 'norm', size, NORM_EPS);
    this.#heads = heads;
  }

  forward(x: Tensor, lengths: Int32Array): Tensor {
    return x.runtime.tidy(() => {
      const [query, key, value] = this.#projections.forward(x);
      const mixed = attention(query, key, value, { heads: this.#heads, lengths: hostInts(lengths) });
      return this.#norm.forward(this.#projections.output.forward(mixed), x);
    });
  }
}

/** One value for the start and one for the end of what is extracted. */
export interface Ends<T> {
  start: T;
  end: T;
}

export interface CeremOptions {
  /** The checkpoint holds the encoder's pooler, which is kept and written back. */
  pooler?: boolean;
  /** What the weights over the scales start from in a random model; N(0, 1/fan-in) unless given. */
  mixInit?: Init;
}

/** How a forward pass of training differs. */
export interface CeremTraining {
  /** No gradient is computed for the encoder. */
  frozen?: boolean;
  /** On the encoder's output. */
  dropout?: Regularisation;
}

type Branch = SegmentInformationAttention | AttentionBranch;

export class Cerem extends OnEncoder<CeremConfig> {
  /** What feeds the pointers: one for each, the same one for both, or none: they read the encoder. */
  readonly #branches: Ends<Branch> | undefined;
  readonly #pointers: Ends<Linear>;

  constructor(parameters: Parameters, config: CeremConfig, options: CeremOptions = {}) {
    super(parameters, config, options.pooler);
    const { sia, heads, headSize } = config;
    const size = config.encoder.hiddenSize;
    const branch = (name: string): Branch =>
      sia
        ? new SegmentInformationAttention(parameters.in(name), size, config, options.mixInit)
        : new AttentionBranch(parameters.in(name), size, heads, headSize);
    if (config.branches) this.#branches = { start: branch('start'), end: branch('end') };
    else if (sia) {
      const shared = branch('shared');
      this.#branches = { start: shared, end: shared };
    }
    this.#pointers = {
      start: new Linear(parameters.in('start'), 'pointer', size, 1),
      end: new Linear(parameters.in('end'), 'pointer', size, 1),
    };
  }

  /**
   * Logits [B, L] of every piece as the start and as the end of an answer (eq. 1, 9 and 10); those of padding mean
   * nothing. The encoder runs once. Errors: a row longer than the position table.
   */
  forward(batch: PieceBatch, { frozen = false, dropout }: CeremTraining = {}): Ends<Tensor> {
    const { runtime } = this.parameters;
    return runtime.tidy(() => {
      const encode = () => this.encoder.forward(batch);
      const hidden = regularise(frozen ? untracked(runtime, encode) : encode(), dropout);
      const shape = [batch.rows, batch.columns];
      const branches = this.#branches;
      const logits = (x: Tensor, pointer: Linear) => reshape(pointer.forward(x), shape);
      if (branches && branches.start !== branches.end) {
        // One branch after the other: what the first leaves behind is two rows of logits.
        const of = (end: keyof Ends<Branch>) =>
          hidden.runtime.tidy(() =>
            logits(branches[end].forward(hidden, batch.lengths), this.#pointers[end]),
          );
        return { start: of('start'), end: of('end') };
      }
      const shared = branches?.start.forward(hidden, batch.lengths) ?? hidden;
      return { start: logits(shared, this.#pointers.start), end: logits(shared, this.#pointers.end) };
    });
  }
}

/** Parameters as the paper's Table 6 counts them: without embeddings, with pooler and pointers. Needs no device. */
export function countParameters(config: CeremConfig): number {
  let total = 0;
  for (const [name, shape] of parameterShapes(
    (parameters) => new Cerem(parameters, config, { pooler: true }),
  ))
    if (!name.startsWith('encoder.embeddings.')) total += sizeOf(shape);
  return total;
}
