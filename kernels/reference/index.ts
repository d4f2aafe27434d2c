import { adamwReference } from './adamw.ts';
import { addReference } from './add.ts';
import { attentionReference } from './attention.ts';
import { binaryCrossEntropyReference } from './binary-cross-entropy.ts';
import { clipGradNormReference } from './clip-grad-norm.ts';
import { columnSumReference } from './column-sum.ts';
import { concatReference } from './concat.ts';
import { contextAttentionReference } from './context-attention.ts';
import { crossEntropyReference } from './cross-entropy.ts';
import { dropoutReference } from './dropout.ts';
import { embeddingReference } from './embedding.ts';
import { gaussianKlReference } from './gaussian-kl.ts';
import { graphAdjacencyReference } from './graph-adjacency.ts';
import { graphConvolutionReference } from './graph-convolution.ts';
import { gruReference } from './gru.ts';
import { layerNormReference } from './layer-norm.ts';
import { linearReference } from './linear.ts';
import { lstmReference } from './lstm.ts';
import { mulReference } from './mul.ts';
import { rangeMaxPoolReference } from './range-max-pool.ts';
import { scaleReference } from './scale.ts';
import { segmentAttentionReference } from './segment-attention.ts';
import { slidingAveragePoolReference } from './sliding-average-pool.ts';
import { softmaxReference } from './softmax.ts';
import { spanEnumerateReference } from './span-enumerate.ts';
import { spanRepresentationReference } from './span-representation.ts';
import { spanScoreReference } from './span-score.ts';
import { splitReference } from './split.ts';
import { sumReference } from './sum.ts';
import { visibilityAttentionReference } from './visibility-attention.ts';
import { weightedSumReference } from './weighted-sum.ts';
import type { Reference } from './types.ts';

export type { Reference, RefParams, RefTensor, RefTensors } from './types.ts';

/** The float64 reference of each kernel, by kernel name. */
export const references: Readonly<Record<string, Reference>> = {
  adamw: adamwReference,
  add: addReference,
  attention: attentionReference,
  'binary-cross-entropy': binaryCrossEntropyReference,
  'clip-grad-norm': clipGradNormReference,
  'column-sum': columnSumReference,
  concat: concatReference,
  'context-attention': contextAttentionReference,
  'cross-entropy': crossEntropyReference,
  dropout: dropoutReference,
  embedding: embeddingReference,
  'gaussian-kl': gaussianKlReference,
  'graph-adjacency': graphAdjacencyReference,
  'graph-convolution': graphConvolutionReference,
  gru: gruReference,
  'layer-norm': layerNormReference,
  linear: linearReference,
  lstm: lstmReference,
  mul: mulReference,
  'range-max-pool': rangeMaxPoolReference,
  scale: scaleReference,
  'segment-attention': segmentAttentionReference,
  'sliding-average-pool': slidingAveragePoolReference,
  softmax: softmaxReference,
  'span-enumerate': spanEnumerateReference,
  'span-representation': spanRepresentationReference,
  'span-score': spanScoreReference,
  split: splitReference,
  sum: sumReference,
  'visibility-attention': visibilityAttentionReference,
  'weighted-sum': weightedSumReference,
};
