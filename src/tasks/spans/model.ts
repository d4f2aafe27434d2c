/** What a model of spans is to its task: states of words, logits of spans and of pairs of spans, perhaps of tags. */
import type { Tensor } from '../../gpu/tensor.ts';
import type { Regularisation } from '../../models/regularisation.ts';
import type { SentenceConfig } from '../../models/sentence-config.ts';
import type { WordBatch } from '../../models/words.ts';
import type { Corpus, Definition, Evaluated, Model, Types, UseOptions } from '../definition.ts';
import type { Refused } from '../bad-rows.ts';
import type { Sentence } from '../dataset.ts';
import type { Evaluation } from './evaluate.ts';
import type { DecodePolicy } from './decode.ts';
import type { Samples } from './sampling.ts';
import type { TrainingRecipe } from '../training/recipe.ts';

export interface SpanConfig extends SentenceConfig {
  /** Classes of the words, of a model that tags them. */
  tags?: string[];
}

/** `S`: the states of a batch, which its logits are made from. */
export interface SpanModel<S = unknown> extends Model {
  readonly config: SpanConfig;
  states(batch: WordBatch, regularisation?: Regularisation): S;
  /** [B, n, tags]; absent, or undefined, in a model that does not tag. */
  tagLogits?(states: S): Tensor | undefined;
  /** [S, 1 + types] of spans i32[S, 3]; class 0 is none. */
  spanLogits(states: S, spans: Int32Array): Tensor;
  /** [P, relation types] of ordered pairs, heads and tails i32[P, 3]. */
  relationLogits(states: S, heads: Int32Array, tails: Int32Array): Tensor;
}

/** Sentences with their source. */
export interface SpanCorpus extends Corpus {
  sentences: readonly Sentence[];
  /** The text that each of them is of, where there is one. */
  texts?: readonly (string | undefined)[];
}

export interface SpanRecipe extends TrainingRecipe {
  /** Most negative spans, and pairs without a relation, drawn a sentence. */
  negativeSpans: number;
  negativePairs: number;
}

/** Sentences with what the heads are trained on. */
export interface SpanBatch {
  batch: WordBatch;
  sentences: readonly Sentence[];
  samples: Samples;
  /** While the model trains. */
  regularisation?: Regularisation;
}

export interface SpanOptions extends UseOptions {
  /** Most pairs scored at once; 4096 when absent: bounds the memory of a poor model that finds entities everywhere. */
  pairChunk?: number;
  policy?: DecodePolicy;
  /** Word pieces that the windows of a long sentence share; see `wordWindows`. */
  overlap?: number;
  /** Told of sentences that the model cannot take, in which nothing is found; without it they are errors. */
  refused?: Refused;
}

export interface SpanTypes<M extends SpanModel = SpanModel> extends Types {
  model: M;
  corpus: SpanCorpus;
  recipe: SpanRecipe;
  extra: undefined;
  batch: SpanBatch;
  evaluation: Evaluation & Evaluated;
  options: Omit<SpanOptions, 'refused'>;
}

export type SpanDefinition<M extends SpanModel = SpanModel> = Definition<SpanTypes<M>>;
