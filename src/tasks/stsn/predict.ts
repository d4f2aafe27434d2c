/** Entities and relations of sentences by a trained STSN. */
import type { Stsn, States } from '../../models/stsn.ts';
import type { Runtime } from '../../gpu/runtime.ts';
import { sigmoid } from '../../../kernels/reference/math.ts';
import {
  bestClasses,
  decodeEntities,
  decodeRelations,
  type DecodePolicy,
  type ScoredEntity,
  type ScoredRelation,
} from '../decode.ts';
import { enumerateSpans, entityPairs } from '../spans.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { encodeSentence, makeBatch, type EncodedSentence } from './batch.ts';

export interface Prediction {
  entities: ScoredEntity[];
  relations: ScoredRelation[];
}

export interface PredictOptions {
  batchSize?: number;
  policy?: DecodePolicy;
  /** Called with the number of sentences done. */
  progress?: (done: number, total: number) => void;
}

/** Most pairs scored at once: bounds the memory of a poor model that finds entities everywhere. */
const PAIR_CHUNK = 4096;

/**
 * Predicts every sentence; the result is in the order given, whatever the batching (sentences of like length go
 * together). Two waits for the device a batch: spans first, then the pairs of the entities found.
 * @param what names sentence i in errors
 */
export async function predict(
  model: Stsn,
  tokenizer: Tokenizer,
  sentences: readonly (readonly string[])[],
  what: (i: number) => string,
  options: PredictOptions = {},
): Promise<Prediction[]> {
  const encoded = sentences.map((tokens, i) => encodeSentence(tokens, tokenizer, model.config, what(i)));
  const order = encoded
    .map((_, i) => i)
    .sort((a, b) => encoded[a].ids.length - encoded[b].ids.length || a - b);
  const results = new Array<Prediction>(sentences.length);
  const size = options.batchSize ?? 16;
  for (let at = 0; at < order.length; at += size) {
    const chosen = order.slice(at, at + size);
    const predictions = await predictBatch(
      model,
      chosen.map((i) => encoded[i]),
      tokenizer.padId,
      options.policy,
    );
    chosen.forEach((i, j) => (results[i] = predictions[j]));
    options.progress?.(Math.min(at + size, order.length), order.length);
  }
  return results;
}

async function predictBatch(
  model: Stsn,
  sentences: readonly EncodedSentence[],
  padId: number,
  policy?: DecodePolicy,
): Promise<Prediction[]> {
  const { runtime } = model.parameters;
  const { entityTypes, relationTypes, maxSpanWidth, relationThreshold } = model.config;
  return runtime.scope(async () => {
    const batch = makeBatch(sentences, padId);
    const states = model.states(batch);
    const spans = enumerateSpans(batch.wordLengths, maxSpanWidth);
    const logits = await model.spanLogits(states, spans).read();
    const best = bestClasses(logits, entityTypes.length + 1);
    const entities = decodeEntities(spans, best, sentences.length, entityTypes, policy);
    const { pairs, heads, tails } = entityPairs(entities);
    const scores = await relationScores(runtime, model, states, heads, tails);
    const relations = decodeRelations(pairs, scores, sentences.length, relationTypes, relationThreshold);
    return entities.map((found, b) => ({ entities: found, relations: relations[b] }));
  });
}

/** Sigmoid of the relation logits, [P · types]. */
async function relationScores(
  runtime: Runtime,
  model: Stsn,
  states: States,
  heads: Int32Array,
  tails: Int32Array,
): Promise<Float64Array> {
  const types = model.config.relationTypes.length;
  const pairs = heads.length / 3;
  const scores = new Float64Array(pairs * types);
  for (let at = 0; at < pairs && types > 0; at += PAIR_CHUNK) {
    const to = Math.min(pairs, at + PAIR_CHUNK);
    await runtime.scope(async () => {
      const logits = model.relationLogits(states, heads.slice(3 * at, 3 * to), tails.slice(3 * at, 3 * to));
      (await logits.read()).forEach((v, i) => (scores[at * types + i] = sigmoid(v)));
    });
  }
  return scores;
}
