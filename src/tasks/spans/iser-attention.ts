/** Which word takes up what from which in an ISER's fusion (the paper's figures 7 and 8): to look at, not to train with. */
import { InputError } from '../../../kernels/errors.ts';
import { softmaxRow } from '../../../kernels/shared/host-math.ts';
import type { Iser } from '../../models/iser.ts';
import { attentionEntropy, weightRows } from '../attention.ts';
import type { Attention, Loaded } from '../definition.ts';
import { heatmapsSvg } from '../heatmap.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { splitWords } from '../text/words.ts';
import { encodeSentence, makeWordBatch } from './batch.ts';
import type { SpanTypes } from './model.ts';

export interface FusionMap {
  /** The role that the words ask in; the other one answers. */
  query: 'entity' | 'relation';
  keys: 'entity' | 'relation';
  /** [n, n], query by key; every row sums to 1. */
  weights: Float64Array;
  /** Nats, mean over the rows. */
  entropy: number;
  /** [n]: the weight of each key, mean over the queries. */
  received: Float64Array;
}

/** Words of a map's line in the table. */
const NAMED = 3;

/** softmax(Q Kᵀ/√d) [n, n] of q and k [n, d]. */
function crossWeights(q: Float32Array, k: Float32Array, n: number): Float64Array {
  const d = q.length / n;
  const weights = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const scores = Float64Array.from({ length: n }, (_, j) => {
      let dot = 0;
      for (let c = 0; c < d; c++) dot += q[i * d + c] * k[j * d + c];
      return dot / Math.sqrt(d);
    });
    weights.set(softmaxRow(scores), i * n);
  }
  return weights;
}

/**
 * The two maps of eq. 3 and 4 for one text's words, split as `extract` splits them: softmax(X_e X_rᵀ/√d) and
 * softmax(X_r X_eᵀ/√d). Computed on the host in float64 from X_e and X_r.
 * @param what the input, for errors
 * @throws InputError for a model without fusion, a text without words, or one that is too long
 */
export async function fusionMaps(
  model: Iser,
  tokenizer: Tokenizer,
  text: string,
  what: string,
): Promise<{ words: string[]; maps: FusionMap[] }> {
  const { config, parameters } = model;
  if (!config.fusion)
    throw new InputError(`${what}: the model has "fusion" false: no attention between its tasks to show`);
  const words = splitWords(text, config.words).map((word) => word.text);
  const n = words.length;
  const encoded = encodeSentence(words, tokenizer, config.encoder, what);
  const { entity, relation } = await parameters.runtime.scope(async () => {
    const roles = model.roles(makeWordBatch([encoded], tokenizer.padId));
    return { entity: await roles.entity.read(), relation: await roles.relation.read() };
  });
  const mapOf = (
    query: FusionMap['query'],
    q: Float32Array,
    keys: FusionMap['keys'],
    k: Float32Array,
  ): FusionMap => {
    const weights = crossWeights(q, k, n);
    const received = Float64Array.from({ length: n }, (_, j) => {
      let sum = 0;
      for (let i = 0; i < n; i++) sum += weights[i * n + j];
      return sum / n;
    });
    return { query, keys, weights, entropy: attentionEntropy([weights], n), received };
  };
  return {
    words,
    maps: [mapOf('entity', entity, 'relation', relation), mapOf('relation', relation, 'entity', entity)],
  };
}

/** The maps as a definition shows them. Errors: as `fusionMaps`, and for a prompt, which ISER does not take. */
export async function fusionAttention(
  { model, tokenizer, what }: Loaded<SpanTypes<Iser>>,
  { text, prompt }: { text: string; prompt: string },
): Promise<Attention> {
  if (prompt !== '') throw new InputError(`${what}: a prompt is given, but an ISER model is asked nothing`);
  const { words, maps } = await fusionMaps(model, tokenizer, text, what);
  const title = ({ query, keys }: FusionMap) => `${query} words attending to ${keys} words`;
  const named = ({ received }: FusionMap): string =>
    [...received.keys()]
      .sort((a, b) => received[b] - received[a])
      .slice(0, NAMED)
      .map((j) => `${words[j]} ${received[j].toFixed(3)}`)
      .join(', ');
  return {
    json: {
      text,
      tokens: words,
      maps: maps.map(({ weights, received, ...map }) => ({
        ...map,
        received: [...received],
        weights: weightRows(weights, words.length),
      })),
    },
    svg: heatmapsSvg(
      words,
      [
        maps.map((map) => ({
          title: title(map),
          figures: `entropy ${map.entropy.toFixed(3)} nats`,
          weights: map.weights,
        })),
      ],
      'weight',
      ['ISER, of', text],
    ),
    table: [
      ['fusion', 'entropy', 'most attended to'],
      ...maps.map((map) => [title(map), map.entropy.toFixed(4), named(map)]),
    ],
  };
}
