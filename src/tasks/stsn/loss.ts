/** STSN's training loss: the sum of three means (SPEC section 3). */
import type { Tensor } from '../../gpu/tensor.ts';
import type { Regularisation } from '../../models/regularisation.ts';
import type { Stsn, StsnBatch } from '../../models/stsn.ts';
import { add, binaryCrossEntropy, crossEntropy, hostInts, reshape } from '../../ops/index.ts';
import type { Sentence } from '../dataset.ts';
import type { Samples } from '../sampling.ts';
import { encodeTags } from '../tags.ts';

/** Target of a padded word. */
const IGNORED = -100;

export interface StsnLoss {
  loss: Tensor;
  /** Absent in the ablation without labels. */
  tag: Tensor | undefined;
  span: Tensor;
  relation: Tensor;
  tagLogits: Tensor | undefined;
  spanLogits: Tensor;
  relationLogits: Tensor;
}

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

/**
 * Logits and losses of a batch: tags of every word, the sampled spans, the sampled pairs; each loss one mean over the
 * whole batch (relations: over pairs × types). Without a pair or a relation type the relation loss is 0 and not part
 * of the graph: what only it reaches has no gradient, and AdamW leaves it alone (SPEC section 5).
 */
export function stsnLoss(
  model: Stsn,
  batch: StsnBatch,
  sentences: readonly Sentence[],
  samples: Samples,
  regularisation?: Regularisation,
): StsnLoss {
  const { tags, relationTypes } = model.config;
  const states = model.states(batch, regularisation);
  const tagLogits = model.tagLogits(states);
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
    : span.runtime.upload(new Float32Array(1), []);
  const labelled = tag ? add(tag, span) : span;
  const loss = related ? add(labelled, relation) : labelled;
  return { loss, tag, span, relation, tagLogits, spanLogits, relationLogits };
}
