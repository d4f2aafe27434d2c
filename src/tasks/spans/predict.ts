/** Entities and relations of sentences by a trained model of spans. */
import { sigmoid } from '../../../kernels/shared/host-math.ts';
import {
  bestClasses,
  decodeEntities,
  decodeRelations,
  withoutOrder,
  type DecodePolicy,
  type Prediction,
} from './decode.ts';
import { byLength, checkCounts } from '../by-length.ts';
import type { Entity } from '../dataset.ts';
import type { Loaded } from '../definition.ts';
import { enumerateSpans, type EntityPairs } from './enumerate.ts';
import type { SpanModel, SpanOptions, SpanTypes } from './model.ts';
import { encodeSentence, makeWordBatch, type EncodedSentence } from './batch.ts';
import { predictWindows, type Reader } from './windows.ts';

/**
 * Predicts every sentence; the result is in the order given, whatever the batching (sentences of like length go
 * together; one that is longer than the encoder is read in windows, see `wordWindows`). Two waits for the device a
 * batch: spans first, then the pairs of the entities found.
 * @param what names sentence i in errors
 * @throws InputError for what `encodeSentence` refuses, and for options that are no counts
 */
export async function predict(
  loaded: Pick<Loaded<SpanTypes>, 'model' | 'tokenizer'>,
  sentences: readonly (readonly string[])[],
  what: (i: number) => string,
  options: SpanOptions = {},
): Promise<Prediction[]> {
  const { model, tokenizer } = loaded;
  const { pairChunk = 4096, policy, threshold = model.config.relationThreshold } = options;
  checkCounts({ pairChunk });
  return predictWindows(sentences, readerOf(loaded), what, options, (windows) =>
    byLength(
      windows,
      ({ encoded: { ids } }) => ids.length,
      options,
      { what: 'sentences', of: ({ sentence }) => sentence },
      (batch) =>
        predictBatch(
          model,
          batch.map(({ encoded }) => encoded),
          tokenizer.padId,
          { pairChunk, policy, threshold },
        ),
    ),
  );
}

/** How a model of spans takes sentences: their pieces between [CLS] and [SEP]. */
export const readerOf = ({
  model,
  tokenizer,
}: Pick<Loaded<SpanTypes>, 'model' | 'tokenizer'>): Reader<EncodedSentence> => {
  const { encoder, entityTypes, relationTypes } = model.config;
  return {
    labels: { entityTypes, relationTypes },
    ...{ tokenizers: [tokenizer], room: encoder.maxPositions - 2 },
    encode: (tokens, what) => encodeSentence(tokens, tokenizer, encoder, what),
  };
};

async function predictBatch(
  model: SpanModel,
  sentences: readonly EncodedSentence[],
  padId: number,
  { pairChunk, policy, threshold }: { pairChunk: number; policy?: DecodePolicy; threshold: number },
): Promise<Prediction[]> {
  const { runtime } = model.parameters;
  const { entityTypes, relationTypes, maxSpanWidth, symmetric } = model.config;
  return runtime.scope(async () => {
    const batch = makeWordBatch(sentences, padId);
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
        threshold,
      ).forEach((found, b) => predictions[b].relations.push(...found));
    }
    for (const found of predictions) found.relations = withoutOrder(found.relations, symmetric);
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
