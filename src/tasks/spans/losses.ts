/** The training loss of models of spans: the sum of the means of tags, spans and relations (docs/spec.md#stsn). */
import { binaryCrossEntropy, crossEntropy, hostInts } from '../../ops/index.ts';
import type { Sentence } from '../dataset.ts';
import type { Losses } from '../definition.ts';
import { classLoss, IGNORED, sumOfParts } from '../losses.ts';
import { padded, withoutPadding } from '../padding.ts';
import type { SpanBatch, SpanModel } from './model.ts';
import { encodeTags } from './tags.ts';

/** The classes of sentences by the tags of the last model that asked: every epoch asks again. */
const encoded = new WeakMap<Sentence, { tags: readonly string[]; classes: Int32Array }>();

function classesOf(sentence: Sentence, tags: readonly string[]): Int32Array {
  const known = encoded.get(sentence);
  if (known?.tags === tags) return known.classes;
  const classes = encodeTags(sentence, tags);
  encoded.set(sentence, { tags, classes });
  return classes;
}

/** i32[B · n] tag of every word, −100 past a sentence's end. */
export const tagTargets = (
  sentences: readonly Sentence[],
  tags: readonly string[],
  columns: number,
): Int32Array =>
  padded(
    sentences.map((sentence) => classesOf(sentence, tags)),
    columns,
    IGNORED,
  );

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
  const tag = tagLogits && classLoss(tagLogits, tagTargets(sentences, tags, batch.columns));
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
  return sumOfParts(
    { tag, span, relation },
    {
      ...(tagLogits && { tag_logits: withoutPadding(tagLogits, batch.wordLengths) }),
      span_logits: { tensor: spanLogits },
      relation_logits: { tensor: relationLogits },
    },
  );
}
