/**
 * STSN: joint entity and relation extraction with stacked attention between label, entity and relation states
 * (docs/spec.md#stsn; the paper's equations are named at each step).
 */
import { InputError } from '../../kernels/errors.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { LayerNorm, Linear, Linears, MultiHeadAttention } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import {
  concat,
  hostInts,
  rangeMaxPool,
  spanRepresentation,
  spanScore,
  type HostInts,
} from '../ops/index.ts';
import { parseBertConfig } from './bert.ts';
import { Fields, MOST_LAYERS, type Json } from './config.ts';
import { OnEncoder } from './on-encoder.ts';
import type { SentenceConfig } from './sentence-config.ts';
import { parseWordRule } from './word-rule.ts';
import {
  parseSegmentAttention,
  SegmentInformationAttention,
  type SegmentAttentionConfig,
} from './segment-information-attention.ts';
import { parseSymmetric } from './symmetric.ts';
import { regularise, type Regularisation } from './regularisation.ts';
import { betweenSpans, wordVectors, type WordBatch } from './words.ts';

export const interactions = ['both', 'ner-to-re', 're-to-ner', 'none'] as const;

export interface StsnConfig extends SentenceConfig {
  layers: number;
  heads: number;
  widthEmbeddingSize: number;
  tags: string[];
  /** Which states the label unit attends to: the paper's Table 5. */
  interaction: (typeof interactions)[number];
  /** False: no label states, no layers; the paper's Table 4. */
  label: boolean;
  /** Segment Information Attention over the word vectors (the CEREM paper's Table 5); absent: none. */
  segmentAttention?: SegmentAttentionConfig;
}

/** Reads a checkpoint's config. Errors: InputError naming `what` and the key, unknown keys included. */
export function parseStsnConfig(json: Json, what: string): StsnConfig {
  const fields = new Fields(json, what);
  fields.oneOf('model', ['stsn'] as const);
  const relationTypes = fields.strings('relationTypes', []);
  const config: StsnConfig = {
    encoder: parseBertConfig(fields.object('encoder'), `${what}: encoder`),
    layers: fields.integer('layers', 3, 0, MOST_LAYERS),
    heads: fields.integer('heads', 8),
    maxSpanWidth: fields.integer('maxSpanWidth', 10),
    widthEmbeddingSize: fields.integer('widthEmbeddingSize', 150),
    entityTypes: fields.strings('entityTypes', []),
    relationTypes,
    ...parseSymmetric(fields, relationTypes),
    tags: fields.strings('tags', []),
    relationThreshold: fields.number('relationThreshold', 0.4, 0, 1),
    interaction: fields.oneOf('interaction', interactions, 'both'),
    label: fields.boolean('label', true),
    ...(fields.has('words') && { words: parseWordRule(fields) }),
    ...(fields.has('segmentAttention') && {
      segmentAttention: parsePlugIn(fields.object('segmentAttention'), `${what}: segmentAttention`),
    }),
  };
  fields.rejectUnknown();
  if (config.label && config.encoder.hiddenSize % config.heads)
    throw new InputError(
      `${what}: "heads" ${config.heads} does not divide hidden_size ${config.encoder.hiddenSize}`,
    );
  return config;
}

function parsePlugIn(json: Json, what: string): SegmentAttentionConfig {
  const fields = new Fields(json, what);
  const config = parseSegmentAttention(fields, what);
  fields.rejectUnknown();
  return config;
}

/** X = LayerNorm(Q + MHA(Q, M, M)); LayerNorm(X + FFN(X)), FFN d→d→d with ReLU (the paper's eq. 4 to 7). */
class Unit {
  readonly #attention: MultiHeadAttention;
  readonly #attentionNorm: LayerNorm;
  readonly #inner: Linear;
  readonly #outer: Linear;
  readonly #ffnNorm: LayerNorm;

  constructor(parameters: Parameters, size: number, heads: number) {
    this.#attention = new MultiHeadAttention(parameters.in('attention'), size, heads);
    this.#attentionNorm = new LayerNorm(parameters, 'attention_norm', size, 1e-5);
    this.#inner = new Linear(parameters, 'ffn.0', size, size);
    this.#outer = new Linear(parameters, 'ffn.2', size, size);
    this.#ffnNorm = new LayerNorm(parameters, 'ffn_norm', size, 1e-5);
  }

  forward(q: Tensor, memory: Tensor, lengths: HostInts): Tensor {
    return q.runtime.tidy(() => {
      const x = this.#attentionNorm.forward(this.#attention.forward(q, memory, lengths), q);
      return this.#ffnNorm.forward(this.#outer.forward(this.#inner.forward(x, 'relu')), x);
    });
  }
}

class Layer {
  readonly #combine: Linear;
  readonly #label: Unit;
  readonly #entity: Unit;
  readonly #relation: Unit;
  readonly #interaction: StsnConfig['interaction'];

  constructor(parameters: Parameters, size: number, heads: number, interaction: StsnConfig['interaction']) {
    this.#combine = new Linear(parameters, 'combine', 2 * size, size);
    this.#label = new Unit(parameters.in('label'), size, heads);
    this.#entity = new Unit(parameters.in('entity'), size, heads);
    this.#relation = new Unit(parameters.in('relation'), size, heads);
    this.#interaction = interaction;
  }

  /** H_L ← unit(H_L, H_C); H_E ← unit(H_E, H_L); H_R ← unit(H_R, H_L), both with the new H_L. */
  forward(states: States, lengths: HostInts): States {
    const { entity, relation } = states;
    const label = states.label as Tensor;
    return label.runtime.tidy(() => {
      const memory = {
        both: () => this.#combine.forward(concat(entity, relation)),
        'ner-to-re': () => entity,
        're-to-ner': () => relation,
        none: () => label,
      }[this.#interaction]();
      const next = this.#label.forward(label, memory, lengths);
      return {
        label: next,
        entity: this.#entity.forward(entity, next, lengths),
        relation: this.#relation.forward(relation, next, lengths),
      };
    });
  }
}

/** Hidden states of a batch, each [B, n, d]; `label` is absent in the ablation without labels. */
export interface States {
  label: Tensor | undefined;
  entity: Tensor;
  relation: Tensor;
}

export class Stsn extends OnEncoder<StsnConfig> {
  readonly #segments: SegmentInformationAttention | undefined;
  /** To the label states, if there are any, the entity states and the relation states. */
  readonly #projections: Linears;
  readonly #layers: Layer[];
  readonly #tagHead: Linear | undefined;
  readonly #widths: Tensor;
  readonly #spanHead: Linear;
  readonly #relationHead: Linear;

  constructor(parameters: Parameters, config: StsnConfig, pooler = false) {
    super(parameters, config, pooler);
    const d = config.encoder.hiddenSize;
    const span = 2 * d + config.widthEmbeddingSize;
    const { segmentAttention } = config;
    if (segmentAttention)
      this.#segments = new SegmentInformationAttention(
        parameters.in('segment_attention'),
        d,
        segmentAttention,
        // The mean of the words and of what each scale makes of them.
        { constant: 1 / (1 + segmentAttention.scales.length) },
      );
    const roles = [...(config.label ? ['label'] : []), 'entity', 'relation'];
    this.#projections = new Linears(
      parameters,
      roles.map((role) => new Linear(parameters, `${role}_proj`, d, d)),
    );
    this.#layers = Array.from(
      { length: config.label ? config.layers : 0 },
      (_, i) => new Layer(parameters.in(`layers.${i}`), d, config.heads, config.interaction),
    );
    this.#tagHead = config.label ? new Linear(parameters, 'tag_head', d, config.tags.length) : undefined;
    this.#widths = parameters
      .in('width_embedding')
      .take('weight', [config.maxSpanWidth, config.widthEmbeddingSize], { normal: 0.02 });
    this.#spanHead = new Linear(parameters, 'span_head', span, config.entityTypes.length + 1);
    this.#relationHead = new Linear(parameters, 'relation_head', 2 * span + d, config.relationTypes.length);
  }

  /** One vector a word in its three roles, after N layers. */
  states(batch: WordBatch, regularisation?: Regularisation): States {
    return this.parameters.runtime.tidy(() => {
      const words = this.#words(batch, regularisation);
      const [relation, entity, label] = this.#projections.forward(words).reverse() as [
        Tensor,
        Tensor,
        Tensor?,
      ];
      let states: States = { label, entity, relation };
      const lengths = hostInts(batch.wordLengths);
      for (const layer of this.#layers) states = layer.forward(states, lengths);
      return states;
    });
  }

  /** Ê [B, n, d]: words → pieces → BERT → the maximum over each word's pieces → segment attention, where there is one. */
  #words(batch: WordBatch, regularisation?: Regularisation): Tensor {
    const words = wordVectors(regularise(this.encoder.forward(batch.pieces), regularisation), batch);
    return this.#segments?.forward(words, batch.wordLengths) ?? words;
  }

  /** Tag logits [B, n, tags]; undefined without labels. */
  tagLogits(states: States): Tensor | undefined {
    return states.label && this.#tagHead?.forward(states.label);
  }

  /** Logits [S, 1 + types] of spans i32[S, 3]; class 0 is none. */
  spanLogits(states: States, spans: Int32Array): Tensor {
    const { weight, bias } = this.#spanHead;
    return spanScore(states.entity, this.#widths, hostInts(spans, [spans.length / 3, 3]), weight, bias);
  }

  /**
   * Logits [P, relation types] of ordered pairs, heads and tails i32[P, 3]: [E_head ; E_tail ; C] from H_R, C the
   * maximum strictly between the two (0 where they touch or overlap).
   */
  relationLogits(states: States, heads: Int32Array, tails: Int32Array): Tensor {
    const rows = heads.length / 3;
    return states.relation.runtime.tidy(() => {
      const representation = concat(
        spanRepresentation(states.relation, this.#widths, hostInts(heads, [rows, 3])),
        spanRepresentation(states.relation, this.#widths, hostInts(tails, [rows, 3])),
        rangeMaxPool(states.relation, hostInts(betweenSpans(heads, tails), [rows, 3])),
      );
      return this.#relationHead.forward(representation);
    });
  }
}
