/** Entities and relations of sentences by a trained STSN. */
import { InputError } from '../../../kernels/errors.ts';
import type { Stsn } from '../../models/stsn.ts';
import { sigmoid } from '../../../kernels/shared/host-math.ts';
import {
  bestClasses,
  decodeEntities,
  decodeRelations,
  type DecodePolicy,
  type ScoredEntity,
  type ScoredRelation,
} from '../decode.ts';
import type { Entity } from '../dataset.ts';
import { enumerateSpans, type EntityPairs } from '../spans.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { encodeSentence, makeBatch, type EncodedSentence } from './batch.ts';

export interface Prediction {
  entities: ScoredEntity[];
  relations: ScoredRelation[];
}

export interface PredictOptions {
  /** Sentences at once; 16 when absent. */
  batchSize?: number;
  /** Most pairs scored at once; 4096 when absent: bounds the memory of a poor model that finds entities everywhere. */
  pairChunk?: number;
  policy?: DecodePolicy;
  /** Called with the number of sentences done. */
  progress?: (done: number, total: number) => void;
}

/**
 * Predicts every sentence; the result is in the order given, whatever the batching (sentences of like length go
 * together). Two waits for the device a batch: spans first, then the pairs of the entities found.
 * @param what names sentence i in errors
 * @throws InputError for what `encodeSentence` refuses, and for options that are no counts
 */
export async function predict(
  model: Stsn,
  tokenizer: Tokenizer,
  sentences: readonly (readonly string[])[],
  what: (i: number) => string,
  options: PredictOptions = {},
): Promise<Prediction[]> {
  const { batchSize = 16, pairChunk = 4096, policy } = options;
  for (const [name, count] of Object.entries({ batchSize, pairChunk }))
    if (!Number.isInteger(count) || count < 1)
      throw new InputError(`predict: ${name} must be an integer of at least 1, it is ${count}`);
  const encoded = sentences.map((tokens, i) => encodeSentence(tokens, tokenizer, model.config, what(i)));
  const order = encoded
    .map((_, i) => i)
    .sort((a, b) => encoded[a].ids.length - encoded[b].ids.length || a - b);
  const results = new Array<Prediction>(sentences.length);
  for (let at = 0; at < order.length; at += batchSize) {
    const chosen = order.slice(at, at + batchSize);
    const predictions = await predictBatch(
      model,
      chosen.map((i) => encoded[i]),
      tokenizer.padId,
      pairChunk,
      policy,
    );
    chosen.forEach((i, j) => (results[i] = predictions[j]));
    options.progress?.(Math.min(at + batchSize, order.length), order.length);
  }
  return results;
}

async function predictBatch(
  model: Stsn,
  sentences: readonly EncodedSentence[],
  padId: number,
  pairChunk: number,
  policy: DecodePolicy | undefined,
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
    const predictions = entities.map((found): Prediction => ({ entities: found, relations: [] }));
    if (relationTypes.length === 0) return predictions;
    for (const { pairs, heads, tails } of pairChunks(entities, pairChunk)) {
      const logits = await runtime.scope(() => model.relationLogits(states, heads, tails).read());
      decodeRelations(
        pairs,
        Float64Array.from(logits, sigmoid),
        sentences.length,
        relationTypes,
        relationThreshold,
      ).forEach((found, b) => predictions[b].relations.push(...found));
    }
    return predictions;
  });
}

/**
 * All ordered pairs of distinct entities of each sentence in (b, head, tail) order, at most `size` at a time: a poor
 * model may find thousands of entities in a sentence, whose pairs together would not fit in memory.
 */
function* pairChunks(batch: readonly (readonly Entity[])[], size: number): Generator<EntityPairs> {
  let rows: number[] = [];
  const take = (): EntityPairs => {
    const pairs = Int32Array.from(rows);
    const ends = (side: 1 | 2) => {
      const spans = pairs.slice();
      for (let at = 0; at < pairs.length; at += 3) {
        const { start, end } = batch[pairs[at]][pairs[at + side]];
        spans.set([start, end], at + 1);
      }
      return spans;
    };
    rows = [];
    return { pairs, heads: ends(1), tails: ends(2) };
  };
  for (const [b, entities] of batch.entries())
    for (const head of entities.keys())
      for (const tail of entities.keys()) {
        if (head === tail) continue;
        rows.push(b, head, tail);
        if (rows.length === 3 * size) yield take();
      }
  if (rows.length > 0) yield take();
}
