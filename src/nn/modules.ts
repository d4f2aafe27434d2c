/** Modules: parameters and a forward that calls operations; no mathematics of their own. */
import type { Activation } from '../../kernels/shared/activation.ts';
import type { Tensor } from '../gpu/tensor.ts';
import {
  attention,
  concat,
  embedding,
  gru,
  hostInts,
  layerNorm,
  linear,
  lstm,
  reshape,
  split,
  visibilityAttention,
  type HostInts,
} from '../ops/index.ts';
import type { Init, Parameters } from './parameters.ts';

/** y = activation(x Wᵀ + b): `name.weight` [out, in], `name.bias` [out]. */
export class Linear {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    parameters: Parameters,
    name: string,
    inputs: number,
    outputs: number,
    init: Init = { normal: 1 / Math.sqrt(inputs) },
  ) {
    const own = parameters.in(name);
    this.weight = own.take('weight', [outputs, inputs], init, true, true);
    this.bias = own.take('bias', [outputs], 'zeros', false);
  }

  /** @param dtype how y is stored; of f16, for which `out` is a multiple of 4, another layer alone takes it */
  forward(x: Tensor, activation: Activation = 'none', dtype: 'f32' | 'f16' = 'f32'): Tensor {
    return linear(x, this.weight, this.bias, activation, dtype);
  }
}

/** Several linear layers of one input, in one product where their parameters can lie in a row. */
export class Linears {
  readonly #layers: readonly Linear[];
  readonly #joined: { weight: Tensor; bias: Tensor } | undefined;

  /** @param layers none of them used yet */
  constructor(parameters: Parameters, layers: readonly Linear[]) {
    this.#layers = layers;
    const bias = parameters.join(layers.map((layer) => layer.bias));
    const weight = bias && parameters.join(layers.map((layer) => layer.weight));
    if (weight) this.#joined = { weight, bias };
  }

  /** y of all layers side by side, [..., Σ out]. */
  forwardSideBySide(x: Tensor): Tensor {
    return x.runtime.tidy(() => {
      if (!this.#joined && this.#layers[0].weight.dtype === 'f16')
        return concat(...this.#layers.map((layer) => layer.forward(x)));
      const { weight, bias } = this.#joined ?? {
        weight: stackRows(this.#layers.map((layer) => layer.weight)),
        bias: stackRows(this.#layers.map((layer) => layer.bias)),
      };
      return linear(x, weight, bias);
    });
  }

  /** y of each layer. */
  forward(x: Tensor): Tensor[] {
    if (!this.#joined) return this.#layers.map((layer) => layer.forward(x));
    const all = this.forwardSideBySide(x);
    const each = split(
      all,
      this.#layers.map(({ bias }) => bias.size),
    );
    all.release(); // each is a copy, and no backward reads it again
    return each;
  }
}

/** A copy of tensors of one shape [n, ...] below one another: [S·n, ...]. */
function stackRows(tensors: readonly Tensor[]): Tensor {
  const [rows, ...rest] = tensors[0].shape;
  return reshape(concat(...tensors.map((x) => reshape(x, [x.size]))), [tensors.length * rows, ...rest]);
}

/** LayerNorm over the last axis: `name.weight` [d], `name.bias` [d]. */
export class LayerNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly eps: number;

  constructor(parameters: Parameters, name: string, size: number, eps: number) {
    const own = parameters.in(name);
    this.weight = own.take('weight', [size], 'ones', false);
    this.bias = own.take('bias', [size], 'zeros', false);
    this.eps = eps;
  }

  /** LayerNorm(x + residual). */
  forward(x: Tensor, residual?: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.eps, residual);
  }
}

/** A table of rows: `name.weight` [rows, size]. */
export class Embedding {
  readonly weight: Tensor;

  constructor(parameters: Parameters, name: string, rows: number, size: number) {
    this.weight = parameters.in(name).take('weight', [rows, size], { normal: 0.02 }, true, true);
  }

  forward(ids: HostInts): Tensor {
    return embedding(ids, this.weight);
  }
}

/** Who sees whom (the kernel `visibility-attention`): `kinds` and `groups` i32[B, L], by kind the bits of those it sees. */
export interface Visibility {
  kinds: Int32Array;
  groups: Int32Array;
  sees: readonly number[];
}

/**
 * MHA(Q, K, V) with projections `query`, `key`, `value` [inner, d] and `output` [d, inner] under the given names.
 * Vaswani et al. 2017, eq. multi-head; padding keys are masked by `lengths`.
 */
export class MultiHeadAttention {
  readonly query: Linear;
  readonly key: Linear;
  readonly value: Linear;
  readonly output: Linear;
  readonly heads: number;
  readonly #ofOne: Linears;
  readonly #ofMemory: Linears;

  constructor(
    parameters: Parameters,
    size: number,
    heads: number,
    names = { query: 'query', key: 'key', value: 'value', output: 'output' },
  ) {
    this.query = new Linear(parameters, names.query, size, size);
    this.key = new Linear(parameters, names.key, size, size);
    this.value = new Linear(parameters, names.value, size, size);
    this.output = new Linear(parameters, names.output, size, size);
    this.heads = heads;
    this.#ofOne = new Linears(parameters, [this.query, this.key, this.value]);
    this.#ofMemory = new Linears(parameters, [this.key, this.value]);
  }

  /**
   * q [B, Lq, d] over memory [B, Lk, d] → [B, Lq, d]; `lengths` [B] counts the valid keys, with `visibility` (Lq = Lk) the
   * valid tokens.
   */
  forward(q: Tensor, memory: Tensor, lengths: HostInts, visibility?: Visibility): Tensor {
    return q.runtime.tidy(() => {
      const { heads } = this;
      const [query, key, value] =
        q === memory ? this.#ofOne.forward(q) : [this.query.forward(q), ...this.#ofMemory.forward(memory)];
      if (!visibility) return this.output.forward(attention(query, key, value, { heads, lengths }));
      const { sees } = visibility;
      const shape = q.shape.slice(0, 2);
      const [kinds, groups] = [hostInts(visibility.kinds, shape), hostInts(visibility.groups, shape)];
      return this.output.forward(
        visibilityAttention(query, key, value, { heads, sees, kinds, groups, lengths }),
      );
    });
  }
}

const cells = { lstm: { rows: 4, run: lstm }, gru: { rows: 3, run: gru } };

/**
 * A bidirectional recurrent layer (PyTorch's nn.LSTM, nn.GRU), `inputs` → `hidden` a direction, under PyTorch's names:
 * `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0` and the four `_reverse`.
 */
export class BiRecurrent {
  readonly #cell: keyof typeof cells;
  readonly #weights: Record<string, Tensor> = {};

  constructor(parameters: Parameters, cell: keyof typeof cells, inputs: number, hidden: number) {
    this.#cell = cell;
    const rows = cells[cell].rows * hidden;
    const take = (name: string, columns?: number) =>
      (this.#weights[name] = columns
        ? parameters.take(name, [rows, columns], { normal: 1 / Math.sqrt(columns) })
        : parameters.take(name, [rows], 'zeros', false));
    for (const end of ['l0', 'l0_reverse']) {
      take(`weight_ih_${end}`, inputs);
      take(`weight_hh_${end}`, hidden);
      take(`bias_ih_${end}`);
      take(`bias_hh_${end}`);
    }
  }

  /** x [B, L, inputs] → [B, L, 2 hidden] of the first `lengths` [B] tokens of each row, 0 behind them. */
  forward(x: Tensor, lengths: HostInts): Tensor {
    return cells[this.#cell].run(x, this.#weights, lengths);
  }
}
