/**
 * ISER: entities and relations from spans, with states fused between the two tasks and a context of every span's own
 * (docs/spec.md#iser; the paper's equations are named at each step).
 */
import { InputError } from '../../kernels/errors.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { BiRecurrent, Embedding, Linear, MultiHeadAttention } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import { add, attention, concat, contextAttention, hostInts, reshape } from '../ops/index.ts';
import { parseBertConfig } from './bert.ts';
import { Fields, type Json } from './config.ts';
import { OnEncoder } from './on-encoder.ts';
import type { SentenceConfig } from './sentence-config.ts';
import { parseWordRule } from './word-rule.ts';
import { regularise, type Regularisation } from './regularisation.ts';
import {
  gatherRanges,
  inGroups,
  ofSentences,
  poolRanges,
  rowsOf,
  sideBySide,
  takeRows,
} from './span-rows.ts';
import { parseSymmetric } from './symmetric.ts';
import { betweenSpans, wordVectors, type WordBatch } from './words.ts';

const spanContexts = ['sea', 'gru', 'cls'] as const;
const relationContexts = ['local', 'local-attention', 'local-bert', 'cls', 'global-bert', 'global'] as const;

export interface IserConfig extends SentenceConfig {
  widthEmbeddingSize: number;
  /** Of the span context's attention. */
  heads: number;
  /** False: each task keeps its own states; the paper's Tables 5 and 6. */
  fusion: boolean;
  /** What a span's sentence says beside it: the paper's Tables 3 and 4 (`gru`), 5 and 6 (`cls`). */
  spanContext: (typeof spanContexts)[number];
  /** What stands for the sentence of a pair: the paper's Tables 5 and 6. */
  relationContext: (typeof relationContexts)[number];
}

/** Reads a checkpoint's config. Errors: InputError naming `what` and the key, unknown keys included. */
export function parseIserConfig(json: Json, what: string): IserConfig {
  const fields = new Fields(json, what);
  fields.oneOf('model', ['iser'] as const);
  const relationTypes = fields.strings('relationTypes', []);
  const config: IserConfig = {
    encoder: parseBertConfig(fields.object('encoder'), `${what}: encoder`),
    maxSpanWidth: fields.integer('maxSpanWidth', 10),
    widthEmbeddingSize: fields.integer('widthEmbeddingSize', 25),
    heads: fields.integer('heads', 8),
    entityTypes: fields.strings('entityTypes', []),
    relationTypes,
    ...parseSymmetric(fields, relationTypes),
    relationThreshold: fields.number('relationThreshold', 0.4, 0, 1),
    fusion: fields.boolean('fusion', true),
    spanContext: fields.oneOf('spanContext', spanContexts, 'sea'),
    relationContext: fields.oneOf('relationContext', relationContexts, 'local'),
    ...(fields.has('words') && { words: parseWordRule(fields) }),
  };
  fields.rejectUnknown();
  const { hiddenSize } = config.encoder;
  if (hiddenSize % 2)
    throw new InputError(`${what}: hidden_size ${hiddenSize} is odd; two directions share it evenly`);
  if (config.spanContext === 'sea' && hiddenSize % config.heads)
    throw new InputError(`${what}: "heads" ${config.heads} does not divide hidden_size ${hiddenSize}`);
  return config;
}

/** What a batch's sentences are to the heads; d the hidden size, n the longest sentence. */
export interface IserStates {
  /** H_e and H_r [B, n, d], one tensor where they are fused. */
  entity: Tensor;
  relation: Tensor;
  /** Ê [B, n, d]. */
  words: Tensor;
  /** The encoder's vector of [CLS], [B, d]. */
  cls: Tensor;
  /** i32[B]. */
  lengths: Int32Array;
}

/** The Semantic Enhancement Attention (the paper's eq. 7 to 9): what a sentence says without the span. */
class SpanContext {
  readonly #attention: MultiHeadAttention | undefined;
  readonly #gru: BiRecurrent;

  /** @param heads undefined: no attention (the paper's ISER_GRU) */
  constructor(parameters: Parameters, size: number, heads: number | undefined) {
    this.#attention = heads ? new MultiHeadAttention(parameters.in('attention'), size, heads) : undefined;
    this.#gru = new BiRecurrent(parameters.in('gru'), 'gru', size, size / 2);
  }

  /** c [S, d] of spans i32[S, 3] of states [B, n, d]; all of sentences of `length` words, so that nothing is padded. */
  forward(states: Tensor, spans: Int32Array, length: number): Tensor {
    const [count, d] = [rowsOf(spans), states.shape[2]];
    const sentences = spans.map((value, i) => (i % 3 === 1 ? 0 : value));
    const beside = gatherRanges(states, sentences, length, spans);
    const z = this.#attention ? add(beside, attendBeside(this.#attention, states, spans, length)) : beside;
    const out = this.#gru.forward(z, hostInts(new Int32Array(count).fill(length)));
    // Rows of `out` as [count · length · 2, d/2]: forward at the last word, backward at the first.
    const ends = Int32Array.from({ length: 2 * count }, (_, i) =>
      i % 2 === 0 ? (i + 2) * length - 2 : (i - 1) * length + 1,
    );
    return sideBySide(reshape(out, [2 * count * length, d / 2]), ends, [count], 2);
  }
}

/** output(MHA) [S, length, d] of every span's sentence without the span; the sentences' maps are made once each. */
function attendBeside(
  { query, key, value, output, heads }: MultiHeadAttention,
  states: Tensor,
  spans: Int32Array,
  length: number,
): Tensor {
  const sentences = [...new Set(spans.filter((_, i) => i % 3 === 0))];
  const places = new Map(sentences.map((b, i) => [b, i]));
  const placed = spans.map((value, i) => (i % 3 === 0 ? (places.get(value) as number) : value));
  const words = gatherRanges(states, Int32Array.from(sentences.flatMap((b) => [b, 0, length])), length);
  const lengths = hostInts(new Int32Array(sentences.length).fill(length));
  const mixed = contextAttention(
    query.forward(words),
    key.forward(words),
    value.forward(words),
    query.bias, // The query that zeros have.
    hostInts(placed, [rowsOf(spans), 3]),
    { heads, lengths },
  );
  return output.forward(mixed);
}

/**
 * r of the ablation `local-attention` [P, d]: C = the words of states [B, n, d] in each of `between` i32[P, 3], the
 * maximum of softmax(C Cᵀ/√d) C; 0 of no words.
 */
function attendBetween(runtime: Runtime, states: Tensor, between: Int32Array): Tensor {
  const width = (p: number): number => between[3 * p + 2] - between[3 * p + 1];
  return inGroups(runtime, rowsOf(between), width, states.shape[2], (chosen, length) => {
    const some = takeRows(between, chosen);
    // One word attends to itself alone.
    if (length < 2) return poolRanges(states, some);
    const words = gatherRanges(states, some, length);
    return poolRanges(attention(words, words, words, { heads: 1 }), firstWords(chosen.map(() => length)));
  });
}

/** The ranges of the first `lengths[b]` words of every row b, i32[B, 3]. */
const firstWords = (lengths: ArrayLike<number>): Int32Array =>
  Int32Array.from(Array.from(lengths).flatMap((length, b) => [b, 0, length]));

export class Iser extends OnEncoder<IserConfig> {
  readonly #entityProjection: Linear;
  readonly #relationProjection: Linear;
  readonly #fusion: BiRecurrent | undefined;
  readonly #widths: Embedding;
  readonly #spanContext: SpanContext | undefined;
  readonly #entityHead: Linear;
  readonly #relationHead: Linear;

  constructor(parameters: Parameters, config: IserConfig, pooler = false) {
    super(parameters, config, pooler);
    const { fusion, spanContext, widthEmbeddingSize: dw, entityTypes, relationTypes } = config;
    const d = config.encoder.hiddenSize;
    this.#entityProjection = new Linear(parameters, 'entity_ffn', d, d);
    // With equal maps a word attends first to itself; else every word of the fusion starts as the sentence's mean.
    const twin = fusion ? { like: 'entity_ffn.weight' } : undefined;
    this.#relationProjection = new Linear(parameters, 'relation_ffn', d, d, twin);
    this.#fusion = fusion ? new BiRecurrent(parameters.in('fusion'), 'lstm', 2 * d, d / 2) : undefined;
    this.#widths = new Embedding(parameters, 'width_embedding', config.maxSpanWidth, dw);
    const heads = spanContext === 'sea' ? config.heads : undefined;
    this.#spanContext = spanContext === 'cls' ? undefined : new SpanContext(parameters.in('sea'), d, heads);
    this.#entityHead = new Linear(parameters, 'entity_head', 2 * d + dw, entityTypes.length + 1);
    this.#relationHead = new Linear(parameters, 'relation_head', 3 * d + 2 * dw, relationTypes.length);
  }

  /** Word pieces → BERT → words in two roles, X_e and X_r (eq. 1, 2): the states of a model without fusion. */
  roles(batch: WordBatch, regularisation?: Regularisation): IserStates {
    return this.parameters.runtime.tidy(() => {
      const hidden = regularise(this.encoder.forward(batch.pieces), regularisation);
      const words = wordVectors(hidden, batch);
      return {
        entity: this.#entityProjection.forward(words),
        relation: this.#relationProjection.forward(words),
        words,
        cls: poolRanges(hidden, firstWords(new Int32Array(hidden.shape[0]).fill(1))),
        lengths: batch.wordLengths,
      };
    });
  }

  /** The words in two roles, fused (eq. 3 to 5). */
  states(batch: WordBatch, regularisation?: Regularisation): IserStates {
    return this.parameters.runtime.tidy(() => {
      const roles = this.roles(batch, regularisation);
      if (!this.#fusion) return roles;
      const { entity, relation } = roles;
      const lengths = hostInts(roles.lengths);
      const one = { heads: 1, lengths };
      const mutual = concat(
        attention(entity, relation, relation, one),
        attention(relation, entity, entity, one),
      );
      const fused = this.#fusion.forward(mutual, lengths);
      return { ...roles, entity: fused, relation: fused };
    });
  }

  /** Logits [S, 1 + types] of spans i32[S, 3] (eq. 6, 10); class 0 is none. */
  spanLogits(states: IserStates, spans: Int32Array): Tensor {
    const { runtime } = this.parameters;
    const context = this.#spanContext;
    const d = this.config.encoder.hiddenSize;
    // A context's largest tensor holds the gates of both directions of its GRU: 3d a word.
    const length = (i: number): number => (context ? states.lengths[spans[3 * i]] : 1);
    return inGroups(
      runtime,
      rowsOf(spans),
      length,
      3 * d + this.config.widthEmbeddingSize,
      (chosen, length) => {
        const some = takeRows(spans, chosen);
        const c = context?.forward(states.entity, some, length) ?? ofSentences(states.cls, some);
        return this.#entityHead.forward(concat(...this.#features(states.entity, some), c));
      },
    );
  }

  /** Logits [P, relation types] of ordered pairs, heads and tails i32[P, 3] (eq. 12 to 14). */
  relationLogits(states: IserStates, heads: Int32Array, tails: Int32Array): Tensor {
    const { relation } = states;
    return this.parameters.runtime.tidy(() => {
      const pair = concat(
        ...this.#features(relation, heads),
        ...this.#features(relation, tails),
        this.#relationContext(states, betweenSpans(heads, tails)),
      );
      return this.#relationHead.forward(pair);
    });
  }

  /** f [S, d], the maximum over each span's words, and w [S, dw]. */
  #features(states: Tensor, spans: Int32Array): Tensor[] {
    const widths = Int32Array.from(
      { length: rowsOf(spans) },
      (_, i) => spans[3 * i + 2] - spans[3 * i + 1] - 1,
    );
    return [poolRanges(states, spans), this.#widths.forward(hostInts(widths))];
  }

  /** r [P, d] of pairs with the words `between` i32[P, 3]. */
  #relationContext({ relation, words, cls, lengths }: IserStates, between: Int32Array): Tensor {
    switch (this.config.relationContext) {
      case 'local':
        return poolRanges(relation, between);
      case 'local-bert':
        return poolRanges(words, between);
      case 'local-attention':
        return attendBetween(this.parameters.runtime, relation, between);
      case 'cls':
        return ofSentences(cls, between);
      case 'global':
        return ofSentences(poolRanges(relation, firstWords(lengths)), between);
      case 'global-bert':
        return ofSentences(poolRanges(words, firstWords(lengths)), between);
    }
  }
}
