/**
 * LAI-Net: entities and relations from label annotations and levitated markers in one sequence, which interact with the
 * candidates twice: in the encoder, and in a graph whose edges are divergences of Gaussians (docs/spec.md#lai-net; both
 * stages, and the ablations of the paper's Tables 2 to 5).
 */
import type { Tensor } from '../gpu/tensor.ts';
import { GaussianGraph } from '../nn/gaussian-graph.ts';
import { Linear } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import { add, concat, embedding, hostInts, reshape, scale } from '../ops/index.ts';
import { hasGraph, relationClasses, visibleKinds, type LaiBatch, type LaiConfig } from './lai-config.ts';
import { OnEncoder } from './on-encoder.ts';
import { regularise, type Regularisation } from './regularisation.ts';
import { sideBySide } from './span-rows.ts';

/** What the model says of a batch's candidates; rows of padding hold anything. */
export interface LaiLogits {
  /** [B, C, 2], no and yes: the entities stage with a filter. */
  filter: Tensor | undefined;
  /** [B, C, 1 + entity types], class 0 none; or [B, C, relation classes]. */
  classes: Tensor;
}

export class Lai extends OnEncoder<LaiConfig> {
  readonly #spans: Linear;
  readonly #subjects: Linear | undefined;
  readonly #annotations: Linear | undefined;
  readonly #graph: GaussianGraph | undefined;
  readonly #filterHead: Linear | undefined;
  readonly #head: Linear;

  constructor(parameters: Parameters, config: LaiConfig, pooler = false) {
    super(parameters, config, pooler);
    const d = config.encoder.hiddenSize;
    const relations = config.stage === 'relations';
    const size = relations ? 2 * d : d;
    this.#spans = new Linear(parameters, 'span_fc', 4 * d, d);
    if (relations) this.#subjects = new Linear(parameters, 'subject_fc', 4 * d, d);
    if (hasGraph(config)) {
      this.#annotations = new Linear(parameters, 'anno_fc', 2 * d, size);
      this.#graph = new GaussianGraph(parameters.in('graph'), size, config.graphLayers, config.views);
    }
    if (!relations && config.filter) this.#filterHead = new Linear(parameters, 'filter_head', d, 2);
    this.#head = relations
      ? new Linear(parameters, 'relation_head', size, relationClasses(config))
      : new Linear(parameters, 'span_head', size, config.entityTypes.length + 1);
  }

  /** The filter sees H, the classes H̃. Errors: a position beyond the encoder's table. */
  forward(batch: LaiBatch, regularisation?: Regularisation): LaiLogits {
    return this.parameters.runtime.tidy(() => {
      const { kinds, groups, pieces } = batch;
      const visibility = { kinds, groups, sees: visibleKinds(this.config) };
      const encoded = regularise(this.encoder.forward({ ...pieces, visibility }), regularisation);
      const tokens = reshape(encoded, [pieces.rows * pieces.columns, this.config.encoder.hiddenSize]);
      const candidates = this.#candidates(batch, tokens);
      return {
        filter: this.#filterHead?.forward(candidates),
        classes: this.#head.forward(this.#enrich(batch, tokens, candidates)),
      };
    });
  }

  /** H [B, C, g]: every candidate, in the relations stage behind its instance's subject. */
  #candidates({ candidates, subjects, columns, pieces: { rows } }: LaiBatch, tokens: Tensor): Tensor {
    return tokens.runtime.tidy(() => {
      const spans = this.#spans.forward(sideBySide(tokens, candidates, [rows, columns], 4));
      if (!this.#subjects || !subjects) return spans;
      const own = this.#subjects.forward(sideBySide(tokens, subjects, [rows], 4));
      const owners = Int32Array.from({ length: rows * columns }, (_, row) => Math.floor(row / columns));
      return concat(embedding(hostInts(owners, [rows, columns]), own), spans);
    });
  }

  /** H̃ = ½ (H + what the graph of labels and candidates makes of H) [B, C, g]; H without a graph. */
  #enrich({ labels, counts, pieces: { rows } }: LaiBatch, tokens: Tensor, candidates: Tensor): Tensor {
    const [graph, annotations] = [this.#graph, this.#annotations];
    if (!graph || !annotations) return candidates;
    return tokens.runtime.tidy(() => {
      const phrases = annotations.forward(sideBySide(tokens, labels, [rows, labels.length / rows / 2], 2));
      return scale(add(candidates, graph.forward(phrases, candidates, counts)), 0.5);
    });
  }
}
