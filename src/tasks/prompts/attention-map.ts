/** Which token attends to which in a CEREM model, with and without segments: to look at, not to train with. */
import { InputError } from '../../../kernels/errors.ts';
import { softmaxRow } from '../../../kernels/shared/host-math.ts';
import type { Tensor } from '../../gpu/tensor.ts';
import type { Cerem } from '../../models/cerem.ts';
import { linear, reshape, softmax } from '../../ops/index.ts';
import { attentionEntropy, weightRows } from '../attention.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { encodeText, makePromptBatch, type PromptedText } from './batch.ts';

/** The attention of one scale in all heads of a row of L tokens. */
export interface ScaleAttention {
  /** Tokens of a segment. */
  scale: number;
  /** [L, heads · headSize]. */
  q: ArrayLike<number>;
  k: ArrayLike<number>;
  /** w_r: the weight of this scale in the model's sum over the scales. */
  weight(query: number, head: number): number;
}

/** Token-to-token weights with the figures that describe them. */
export interface WeightMap {
  /** [L, L], query by key, mean over the heads. */
  weights: Float64Array;
  /** Nats, mean over rows and heads. */
  entropy: number;
  /** See `clusterDistance`. */
  clusterDistance: number;
}

export interface BranchAttention {
  branch: 'start' | 'end' | 'shared';
  /** Absent in a model without Segment Information Attention. */
  withSegments?: WeightMap;
  withoutSegments: WeightMap;
}

export interface AttentionMap {
  /** The input's pieces, special ones included. */
  tokens: string[];
  branches: BranchAttention[];
}

/** p[segment]: softmax over the segments of `scale` tokens of the means of `scores`, one score a token. */
function segmentProbabilities(scores: Float64Array, scale: number): Float64Array {
  const means = Float64Array.from({ length: scores.length - scale + 1 }, (_, first) => {
    const segment = scores.subarray(first, first + scale);
    return segment.reduce((sum, x) => sum + x, 0) / scale;
  });
  return softmaxRow(means);
}

/**
 * Σ_r |w_r| A_r P_r / Σ_r |w_r| of each head, [L, L] (docs/spec.md#metrics). Scales longer than the row have no segment
 * and are left out of both sums; a row whose weights are all 0 is 0.
 * @param tokens L
 */
export function combinedWeights(
  scales: readonly ScaleAttention[],
  heads: number,
  tokens: number,
): Float64Array[] {
  return Array.from({ length: heads }, (_, head) => {
    const combined = new Float64Array(tokens * tokens);
    for (let i = 0; i < tokens; i++) {
      const row = combined.subarray(i * tokens, (i + 1) * tokens);
      let total = 0;
      for (const { scale, q, k, weight } of scales) {
        if (scale > tokens) continue;
        const w = Math.abs(weight(i, head));
        total += w;
        const hidden = q.length / tokens;
        const headSize = hidden / heads;
        const scores = Float64Array.from({ length: tokens }, (_unused, j) => {
          let dot = 0;
          for (let c = head * headSize; c < (head + 1) * headSize; c++)
            dot += q[i * hidden + c] * k[j * hidden + c];
          return dot / Math.sqrt(headSize);
        });
        segmentProbabilities(scores, scale).forEach((p, first) => {
          for (let j = first; j < first + scale; j++) row[j] += (w * p) / scale;
        });
      }
      if (total > 0) row.forEach((sum, j) => (row[j] = sum / total));
    }
    return combined;
  });
}

/**
 * The same scales with every segment a single token. A scale longer than the row is left out here too, so that with and
 * without segments differ in the segments alone.
 * @param tokens L
 */
export const singleTokens = (scales: readonly ScaleAttention[], tokens: number): ScaleAttention[] =>
  scales.filter(({ scale }) => scale <= tokens).map((one) => ({ ...one, scale: 1 }));

/** Far more rounds of 2-means than rows of attention need. */
const MAX_ROUNDS = 100;

const squaredDistance = (a: Float64Array, b: Float64Array): number =>
  a.reduce((sum, x, j) => sum + (x - b[j]) ** 2, 0);

function meanOf(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows[0], (_, j) => rows.reduce((sum, row) => sum + row[j], 0) / rows.length);
}

/**
 * The Euclidean distance between the means of two clusters of the rows of [L, L] weights, found by 2-means (Lloyd) from
 * the two rows farthest apart, so without chance: 0 where all rows are alike, √2 where two groups attend to a token each.
 */
export function clusterDistance(weights: Float64Array, tokens: number): number {
  const rows = Array.from({ length: tokens }, (_, i) => weights.subarray(i * tokens, (i + 1) * tokens));
  let farthest = 0;
  let centres: readonly [Float64Array, Float64Array] = [rows[0], rows[0]];
  for (const [i, a] of rows.entries())
    for (const b of rows.slice(i + 1)) {
      const distance = squaredDistance(a, b);
      if (distance > farthest) [farthest, centres] = [distance, [a, b]];
    }
  if (farthest === 0) return 0;
  // A plane parts the clusters, so their means differ, and neither cluster can get empty.
  let before = '';
  for (let round = 0; round < MAX_ROUNDS; round++) {
    const [first, second] = centres;
    const inSecond: boolean[] = rows.map((row) => squaredDistance(row, second) < squaredDistance(row, first));
    const now = inSecond.map(Number).join('');
    if (now === before) break;
    before = now;
    centres = [meanOf(rows.filter((_, i) => !inSecond[i])), meanOf(rows.filter((_, i) => inSecond[i]))];
  }
  return Math.sqrt(squaredDistance(...centres));
}

/** The weights of all scales together, and their figures. */
function weightMap(scales: readonly ScaleAttention[], heads: number, tokens: number): WeightMap {
  const byHead = combinedWeights(scales, heads, tokens);
  const weights = Float64Array.from(
    byHead[0],
    (_, at) => byHead.reduce((sum, head) => sum + head[at], 0) / heads,
  );
  return {
    weights,
    entropy: attentionEntropy(byHead, tokens),
    clusterDistance: clusterDistance(weights, tokens),
  };
}

/** The attention of a branch for the encoder's output `hidden` [1, L, d]: its queries and keys, read back, and weights. */
async function scalesOf(
  { config, parameters }: Cerem,
  hidden: Tensor,
  branch: string,
): Promise<ScaleAttention[]> {
  const { heads, scales, mix } = config;
  const take = (name: string): Tensor => {
    const found = parameters.all.get(`${branch}.${name}`);
    if (!found) throw new Error(`the model has no parameter ${branch}.${name}`);
    return found.tensor;
  };
  const apply = (name: string): Tensor => linear(hidden, take(`${name}.weight`), take(`${name}.bias`));
  const projected = async (at: string) => ({
    q: await apply(`${at}.query`).read(),
    k: await apply(`${at}.key`).read(),
  });
  if (!config.sia) return [{ scale: 1, ...(await projected('attention')), weight: () => 1 }];

  if (config.projections === 'per-scale') {
    const weights = await take('mix.weight').read();
    const own: ScaleAttention[] = [];
    for (const [s, scale] of scales.entries())
      own.push({ scale, ...(await projected(`scales.${s}.attention`)), weight: () => weights[1 + s] });
    return own;
  }
  const shared = await projected('attention');
  const S = scales.length;
  if (mix === 'global') {
    const weights = await take('mix.weight').read();
    return scales.map((scale, s) => ({ scale, ...shared, weight: () => weights[1 + s] }));
  }
  if (mix === 'per-head') {
    const weights = await take('headMix').read();
    return scales.map((scale, s) => ({ scale, ...shared, weight: (_, head) => weights[head * S + s] }));
  }
  const gates = await softmax(reshape(apply('gate'), [hidden.shape[1], heads, S])).read();
  return scales.map((scale, s) => ({
    scale,
    ...shared,
    weight: (query, head) => gates[(query * heads + head) * S + s],
  }));
}

/**
 * Token-to-token weights of every branch of a model for one prompted text: with segments, and without, where every
 * segment is a single token (docs/segment-attention.md). Computed on the host in float64 from queries and keys.
 * @param what the input, for errors
 * @throws InputError for a model without attention behind the encoder, an empty text, or one that is too long
 */
export async function attentionMap(
  model: Cerem,
  tokenizer: Tokenizer,
  input: Pick<PromptedText, 'prompt' | 'text'>,
  what: string,
): Promise<AttentionMap> {
  const { config, parameters } = model;
  if (!config.sia && !config.branches)
    throw new InputError(
      `${what}: the model has "sia" and "branches" false: no attention behind its encoder to show`,
    );
  const encoded = encodeText(input, tokenizer, config, what);
  if (encoded.pieces.length === 0) throw new InputError(`${what}: the text holds no word piece`);
  const asked = tokenizer.encode(input.prompt);
  // An unknown piece says nothing of what it stands for.
  const names = (pieces: typeof asked, of: string) =>
    pieces.map(({ id, text, start, end }) =>
      id === tokenizer.unkId ? `[UNK]${of.slice(start, end)}` : text,
    );
  const tokens = [
    '[CLS]',
    ...names(asked, input.prompt),
    '[SEP]',
    ...names(encoded.pieces, input.text),
    '[SEP]',
  ];

  const branchNames: BranchAttention['branch'][] = config.branches ? ['start', 'end'] : ['shared'];
  const branches = await parameters.runtime.scope(async () => {
    const hidden = model.encoder.forward(makePromptBatch([encoded], tokenizer.padId));
    const found: BranchAttention[] = [];
    for (const branch of branchNames) {
      const scales = await scalesOf(model, hidden, branch);
      const map = (of: readonly ScaleAttention[]) => weightMap(of, config.heads, tokens.length);
      found.push({
        branch,
        ...(config.sia ? { withSegments: map(scales) } : {}),
        withoutSegments: map(singleTokens(scales, tokens.length)),
      });
    }
    return found;
  });
  return { tokens, branches };
}

/** A map as JSON: weights as a list of rows, query by query. */
const mapJson = ({ weights, entropy, clusterDistance }: WeightMap, tokens: number) => ({
  entropy,
  clusterDistance,
  weights: weightRows(weights, tokens),
});

/** An attention map as a JSON document. */
export const attentionJson = ({ tokens, branches }: AttentionMap) => ({
  tokens,
  branches: branches.map(({ branch, withSegments, withoutSegments }) => ({
    branch,
    withSegments: withSegments ? mapJson(withSegments, tokens.length) : null,
    withoutSegments: mapJson(withoutSegments, tokens.length),
  })),
});

/** The figures of an attention map, a row for each branch with and without segments, heads first. */
export const attentionTable = ({ branches }: AttentionMap): string[][] => [
  ['branch', 'segments', 'entropy', 'cluster distance'],
  ...branches.flatMap(({ branch, withSegments, withoutSegments }) =>
    [
      { name: 'with', map: withSegments },
      { name: 'without', map: withoutSegments },
    ].flatMap(({ name, map }) =>
      map ? [[branch, name, map.entropy.toFixed(4), map.clusterDistance.toFixed(4)]] : [],
    ),
  ),
];
