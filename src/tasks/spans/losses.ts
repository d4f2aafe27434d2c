/** The training loss of models of spans: the sum of the means of tags, spans and relations (docs/spec.md#stsn). */
import type { HostTensor } from '../../io/safetensors.ts';
import type { WordBatch } from '../../models/words.ts';
import { add, binaryCrossEntropy, crossEntropy, hostInts, reshape } from '../../ops/index.ts';
import type { Sentence } from '../dataset.ts';
import type { Losses } from '../definition.ts';
import type { SpanBatch, SpanModel } from './model.ts';
import { encodeTags } from './tags.ts';

/** Target of a padded word. */
const IGNORED = -100;

/** i32[B · n] tag of every word, −100 past a sentence's end. */
export function tagTargets(
  sentences: readonly Sentence[],
  tags: readonly string[],
  columns: number,
): Int32Array {
  const targets = new Int32Array(sentences.length * columns).fill(IGNORED);
  sentences.forEach((sentence, b) => targets.set(encodeTags(sentence, tags), b * columns));
  return targets;
}

/** Tag logits [B, n, tags] without the rows of padding: [Σ words, tags]. */
function withoutPadding(values: Float32Array, { wordLengths, columns }: WordBatch, tags: number): HostTensor {
  const words = wordLengths.reduce((n, length) => n + length, 0);
  const flat = new Float32Array(words * tags);
  let at = 0;
  wordLengths.forEach((length, b) => {
    const from = b * columns * tags;
    flat.set(values.subarray(from, from + length * tags), at);
    at += length * tags;
  });
  return { shape: [words, tags], dtype: 'f32', data: flat };
}

/**
 * Logits and losses of a batch: tags of every word, the sampled spans, the sampled pairs; each loss one mean over the
 * whole batch (relations: over pairs × types). Without a pair or a relation type the relation loss is absent: what only
 * it reaches has no gradient, and AdamW leaves it alone, as PyTorch does where grad is None.
 */
export function spanLosses(
  model: SpanModel,
  { batch, sentences, samples, regularisation }: SpanBatch,
): Losses {
  const { tags = [], relationTypes } = model.config;
  const states = model.states(batch, regularisation);
  const tagLogits = model.tagLogits?.(states);
  const rows = sentences.length * batch.columns;
  const tag =
    tagLogits &&
    crossEntropy(
      reshape(tagLogits, [rows, tags.length]),
      hostInts(tagTargets(sentences, tags, batch.columns)),
      IGNORED,
    );
  const spanLogits = model.spanLogits(states, samples.spans);
  const span = crossEntropy(spanLogits, hostInts(samples.spanLabels), IGNORED);
  const pairs = [samples.heads.length / 3, relationTypes.length];
  const related = samples.relationTargets.length > 0;
  const relationLogits = related
    ? model.relationLogits(states, samples.heads, samples.tails)
    : span.runtime.empty(pairs);
  const relation = related
    ? binaryCrossEntropy(relationLogits, hostInts(samples.relationTargets, pairs))
    : undefined;
  const labelled = tag ? add(tag, span) : span;
  return {
    loss: relation ? add(labelled, relation) : labelled,
    parts: { tag, span, relation },
    logits: {
      ...(tagLogits && {
        tag_logits: {
          tensor: tagLogits,
          onHost: (values: Float32Array) => withoutPadding(values, batch, tags.length),
        },
      }),
      span_logits: { tensor: spanLogits },
      relation_logits: { tensor: relationLogits },
    },
  };
}
