/**
 * Segment Information Attention (CEREM, section 4.2; docs/spec.md#cerem): every token attends to the means of all
 * segments of r neighbouring tokens, for several r. The shape of the encoder's output stays, so the module fits behind
 * any encoder.
 */
import { InputError } from '../../kernels/errors.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { LayerNorm, Linear, Linears } from '../nn/modules.ts';
import type { Init, Parameters } from '../nn/parameters.ts';
import {
  add,
  hostInts,
  reshape,
  segmentAttention,
  softmax,
  split,
  weightedSum,
  type HostInts,
} from '../ops/index.ts';
import type { Fields } from './config.ts';

const projectionModes = ['per-scale', 'shared'] as const;
const mixModes = ['global', 'per-head', 'gated'] as const;

export interface SegmentAttentionConfig {
  /** Segment lengths in tokens. */
  scales: readonly number[];
  heads: number;
  headSize: number;
  /** One attention of each scale's own, or one set of projections for all: the fused form. */
  projections: (typeof projectionModes)[number];
  /** Shared projections: one weight a scale, one a head and scale, or a softmax gate of each token. */
  mix: (typeof mixModes)[number];
}

/**
 * The module's keys; `fallback` is what a model without it may leave out. Errors: InputError naming `what` and the key.
 */
export function parseSegmentAttention(
  fields: Fields,
  what: string,
  fallback: Partial<Pick<SegmentAttentionConfig, 'scales' | 'heads' | 'headSize'>> = {},
): SegmentAttentionConfig {
  const config = {
    scales: fields.integers('scales', fallback.scales),
    heads: fields.integer('heads', fallback.heads),
    headSize: fields.integer('headSize', fallback.headSize),
    projections: fields.oneOf('projections', projectionModes, 'per-scale'),
    mix: fields.oneOf('mix', mixModes, 'global'),
  };
  if (config.mix !== 'global' && config.projections !== 'shared')
    throw new InputError(`${what}: "mix" ${config.mix} needs "projections" shared`);
  return config;
}

/** Eps of the LayerNorms behind the encoder. */
export const NORM_EPS = 1e-6;

/** `query`, `key`, `value` [heads·headSize, d] and `output` [d, heads·headSize] of one attention. */
export class Projections {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly #inputs: Linears | undefined;

  /** @param apart the three are joined with those of other attentions, not with one another */
  constructor(parameters: Parameters, size: number, inner: number, apart = false) {
    this.query = new Linear(parameters, 'query', size, inner);
    this.key = new Linear(parameters, 'key', size, inner);
    this.value = new Linear(parameters, 'value', size, inner);
    this.output = new Linear(parameters, 'output', inner, size);
    if (!apart) this.#inputs = new Linears(parameters, [this.query, this.key, this.value]);
  }

  /** Queries, keys and values of x. */
  forward(x: Tensor): Tensor[] {
    return this.#inputs?.forward(x) ?? [this.query, this.key, this.value].map((part) => part.forward(x));
  }
}

/** The two forms behind the module. */
interface Form {
  forward(x: Tensor, lengths: HostInts): Tensor;
}

/** SW_r = LayerNorm(W + MHA_r(W, P_r W, P_r W)) by scale; FSW = stack(W, SW_r…) · mix (eq. 7 and 8). */
class PerScale implements Form {
  readonly #config: SegmentAttentionConfig;
  readonly #attentions: Projections[];
  /** Queries, keys and values of all scales. */
  readonly #inputs: readonly Linears[];
  readonly #norms: LayerNorm[];
  readonly #mix: Tensor;

  constructor(parameters: Parameters, size: number, config: SegmentAttentionConfig, mixInit?: Init) {
    const { scales, heads, headSize } = config;
    this.#config = config;
    const at = scales.map((_, i) => parameters.in(`scales.${i}`));
    this.#attentions = at.map((own) => new Projections(own.in('attention'), size, heads * headSize, true));
    this.#inputs = (['query', 'key', 'value'] as const).map(
      (part) =>
        new Linears(
          parameters,
          this.#attentions.map((attention) => attention[part]),
        ),
    );
    this.#norms = at.map((own) => new LayerNorm(own, 'norm', size, NORM_EPS));
    this.#mix = takeMix(parameters, 1 + scales.length, mixInit);
  }

  forward(x: Tensor, lengths: HostInts): Tensor {
    const { scales, heads, headSize } = this.#config;
    const attended = x.runtime.tidy(() => {
      const [queries, keys, values] = this.#inputs.map((inputs) => inputs.forwardSideBySide(x));
      return segmentAttention(queries, keys, values, { heads, scales, lengths });
    });
    const outputs = split(
      attended,
      scales.map(() => heads * headSize),
    );
    const segments = outputs.map((out, i) =>
      this.#norms[i].forward(this.#attentions[i].output.forward(out), x),
    );
    return weightedSum(reshape(this.#mix, [1 + scales.length]), [x, ...segments]);
  }
}

/** FSW = mix_0·W + LayerNorm(W + MHA), each head's outputs combined over the scales before the output projection. */
class Shared implements Form {
  readonly #config: SegmentAttentionConfig;
  readonly #attention: Projections;
  readonly #norm: LayerNorm;
  readonly #mix: Tensor;
  readonly #headMix: Tensor | undefined;
  readonly #gate: Linear | undefined;

  constructor(parameters: Parameters, size: number, config: SegmentAttentionConfig, mixInit?: Init) {
    const { scales, heads, headSize, mix } = config;
    this.#config = config;
    this.#attention = new Projections(parameters.in('attention'), size, heads * headSize);
    this.#norm = new LayerNorm(parameters, 'norm', size, NORM_EPS);
    this.#mix = takeMix(parameters, mix === 'global' ? 1 + scales.length : 1, mixInit);
    if (mix === 'per-head')
      this.#headMix = parameters.take('headMix', [heads, scales.length], mixInit ?? fanIn(scales.length));
    if (mix === 'gated') this.#gate = new Linear(parameters, 'gate', size, heads * scales.length);
  }

  /** The weight [1] of W itself, and those of the scales in a shape that `segmentAttention` takes. */
  #weights(x: Tensor): [own: Tensor, scales: Tensor] {
    const { scales, heads } = this.#config;
    const own = reshape(this.#mix, [this.#mix.size]);
    if (this.#headMix) return [own, this.#headMix];
    if (this.#gate) {
      const gates = reshape(this.#gate.forward(x), [...x.shape.slice(0, 2), heads, scales.length]);
      return [own, softmax(gates)];
    }
    const [first, rest] = split(own, [1, scales.length]);
    return [first, rest];
  }

  forward(x: Tensor, lengths: HostInts): Tensor {
    const { heads, scales } = this.#config;
    const [query, key, value] = this.#attention.forward(x);
    const [own, weights] = this.#weights(x);
    const options = { heads, scales, lengths, weights };
    const mixed = segmentAttention(query, key, value, options);
    return add(weightedSum(own, [x]), this.#norm.forward(this.#attention.output.forward(mixed), x));
  }
}

const fanIn = (inputs: number): Init => ({ normal: 1 / Math.sqrt(inputs) });

/** `mix.weight` [1, n]: a linear layer without bias over the stacked scales, W first. */
const takeMix = (parameters: Parameters, n: number, init: Init = fanIn(n)): Tensor =>
  parameters.in('mix').take('weight', [1, n], init);

export class SegmentInformationAttention {
  readonly #form: Form;

  /**
   * @param size d, the width of what it is given
   * @param mixInit what the weights over the scales start from in a random model; N(0, 1/fan-in) unless given
   */
  constructor(parameters: Parameters, size: number, config: SegmentAttentionConfig, mixInit?: Init) {
    const Form = config.projections === 'shared' ? Shared : PerScale;
    this.#form = new Form(parameters, size, config, mixInit);
  }

  /** x [B, L, d] → FSW [B, L, d]; `lengths` i32[B] counts the valid tokens of each row, and rows past it are no use. */
  forward(x: Tensor, lengths: Int32Array): Tensor {
    return x.runtime.tidy(() => this.#form.forward(x, hostInts(lengths)));
  }
}
