/**
 * LAI-Net: entities and relations from label annotations and levitated markers in one sequence, which interact with the
 * candidates twice: in the encoder, and in a graph whose edges are divergences of Gaussians (docs/spec.md#lai-net; both
 * stages, and the ablations of the paper's Tables 2 to 5).
 */
import type { Tensor } from '../gpu/tensor.ts';
import { Linear } from '../nn/modules.ts';
import type { Parameters } from '../nn/parameters.ts';
import {
  add,
  concat,
  embedding,
  gaussianKl,
  graphAdjacency,
  graphConvolution,
  hostInts,
  linear,
  reshape,
  scale,
  split,
  type HostInts,
} from '../ops/index.ts';
import { Bert } from './bert.ts';
import { hasGraph, relationClasses, visibleKinds, type LaiBatch, type LaiConfig } from './lai-config.ts';
import { regularise, type Regularisation } from './regularisation.ts';

/** Least σ of a node: the divergences stay finite and exact in float32. */
const LEAST_SIGMA = 0.01;

/** G⁴CN: edges once from the first nodes, then layers X ← ReLU([A_1 Y_1 ; … ; A_K Y_K]), Y = X Wᵀ + b. */
class Graph {
  readonly #mu: Tensor;
  readonly #sigma: Linear;
  readonly #layers: Linear[];
  readonly #views: number;

  constructor(parameters: Parameters, size: number, layers: number, views: number) {
    // A bias would be common to all nodes, and means count through their differences alone.
    this.#mu = parameters.in('mu').take('weight', [size, size], { normal: 1 / Math.sqrt(size) });
    this.#sigma = new Linear(parameters, 'sigma', size, size);
    this.#layers = Array.from(
      { length: layers },
      (_, l) => new Linear(parameters, `layers.${l}`, size, size),
    );
    this.#views = views;
  }

  /** Nodes x [B, N, g] within lengths [B] → the same after all layers. */
  forward(x: Tensor, lengths: HostInts): Tensor {
    return x.runtime.tidy(() => {
      const adjacency = x.runtime.tidy(() => {
        const sigma = scale(this.#sigma.forward(x, 'softplus'), 1, LEAST_SIGMA);
        const divergences = gaussianKl(linear(x, this.#mu), sigma, { views: this.#views, lengths });
        return graphAdjacency(divergences, lengths);
      });
      return this.#layers.reduce(
        (nodes, layer) => graphConvolution(adjacency, layer.forward(nodes), lengths),
        x,
      );
    });
  }
}

/** What the model says of a batch's candidates; rows of padding hold anything. */
export interface LaiLogits {
  /** [B, C, 2], no and yes: the entities stage with a filter. */
  filter: Tensor | undefined;
  /** [B, C, 1 + entity types], class 0 none; or [B, C, relation classes]. */
  classes: Tensor;
}

export class Lai {
  readonly config: LaiConfig;
  readonly parameters: Parameters;
  readonly encoder: Bert;
  readonly #spans: Linear;
  readonly #subjects: Linear | undefined;
  readonly #annotations: Linear | undefined;
  readonly #graph: Graph | undefined;
  readonly #filterHead: Linear | undefined;
  readonly #head: Linear;

  /** @param pooler the checkpoint holds the encoder's pooler, which is kept and written back */
  constructor(parameters: Parameters, config: LaiConfig, pooler = false) {
    this.config = config;
    this.parameters = parameters;
    const d = config.encoder.hiddenSize;
    const relations = config.stage === 'relations';
    const size = relations ? 2 * d : d;
    this.encoder = new Bert(parameters.in('encoder'), config.encoder, pooler);
    this.#spans = new Linear(parameters, 'span_fc', 4 * d, d);
    if (relations) this.#subjects = new Linear(parameters, 'subject_fc', 4 * d, d);
    if (hasGraph(config)) {
      this.#annotations = new Linear(parameters, 'anno_fc', 2 * d, size);
      this.#graph = new Graph(parameters.in('graph'), size, config.graphLayers, config.views);
    }
    if (!relations && config.filter) this.#filterHead = new Linear(parameters, 'filter_head', d, 2);
    this.#head = relations
      ? new Linear(parameters, 'relation_head', size, relationClasses(config))
      : new Linear(parameters, 'span_head', size, config.entityTypes.length + 1);
    parameters.place();
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
      const spans = this.#spans.forward(gather(tokens, candidates, [rows, columns], 4));
      if (!this.#subjects || !subjects) return spans;
      const own = this.#subjects.forward(gather(tokens, subjects, [rows], 4));
      const owners = Int32Array.from({ length: rows * columns }, (_, row) => Math.floor(row / columns));
      return concat(embedding(hostInts(owners, [rows, columns]), own), spans);
    });
  }

  /** H̃ = ½ (H + what the graph of labels and candidates makes of H) [B, C, g]; H without a graph. */
  #enrich(
    { labels, counts, columns, pieces: { rows } }: LaiBatch,
    tokens: Tensor,
    candidates: Tensor,
  ): Tensor {
    const [graph, annotations] = [this.#graph, this.#annotations];
    if (!graph || !annotations) return candidates;
    return tokens.runtime.tidy(() => {
      const count = labels.length / rows / 2;
      const size = candidates.shape[2];
      const phrases = annotations.forward(gather(tokens, labels, [rows, count], 2));
      // Labels first: then the nodes of each instance lie together, before its padding.
      const widths = [count * size, columns * size];
      const nodes = concat(reshape(phrases, [rows, widths[0]]), reshape(candidates, [rows, widths[1]]));
      const lengths = hostInts(counts.map((candidates) => count + candidates));
      const last = graph.forward(reshape(nodes, [rows, count + columns, size]), lengths);
      const [, enriched] = split(reshape(last, [rows, widths[0] + widths[1]]), widths);
      return scale(add(candidates, reshape(enriched, [rows, columns, size])), 0.5);
    });
  }
}

/** Rows of `tokens` [R, d], `width` of them side by side: i32[…shape, width] → […shape, width·d]. */
const gather = (tokens: Tensor, rows: Int32Array, shape: readonly number[], width: number): Tensor =>
  reshape(embedding(hostInts(rows, [...shape, width]), tokens), [...shape, width * tokens.shape[1]]);
