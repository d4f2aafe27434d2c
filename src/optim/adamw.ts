/** AdamW (Loshchilov and Hutter 2019), as PyTorch computes it, on the device. */
import { InputError } from '../../kernels/errors.ts';
import { kernelNamed } from '../../kernels/index.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/safetensors.ts';
import type { Parameters } from '../nn/parameters.ts';

export interface AdamWOptions {
  lr: number;
  beta1?: number;
  beta2?: number;
  eps?: number;
  /** Decoupled decay; applied to parameters marked `decay` (not to biases and norms). */
  weightDecay?: number;
}

interface State {
  m: Tensor;
  v: Tensor;
  step: number;
}

export class AdamW {
  readonly #parameters: Parameters;
  readonly #options: Required<AdamWOptions>;
  readonly #states = new Map<string, State>();

  constructor(parameters: Parameters, options: AdamWOptions) {
    this.#parameters = parameters;
    this.#options = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, ...options };
  }

  /**
   * One step for every parameter that has a gradient; one without is left untouched, as PyTorch does where grad is
   * None. Gradients are kept: clear them with `zeroGrad`.
   * @param gradScale [1], multiplies every gradient (the factor of `clipGradNorm`)
   */
  step(lr = this.#options.lr, gradScale?: Tensor): void {
    const { runtime } = this.#parameters;
    const { beta1, beta2, eps, weightDecay } = this.#options;
    const kernel = kernelNamed('adamw');
    runtime.meter.phase = 'optimizer';
    try {
      for (const [name, { tensor, decay }] of this.#parameters.all) {
        if (!tensor.grad) continue;
        const state = this.#state(name, tensor);
        state.step++;
        runtime.kernel(
          kernel,
          { param: tensor, grad: tensor.grad, m: state.m, v: state.v, grad_scale: gradScale },
          { params: { lr, beta1, beta2, eps, weightDecay: decay ? weightDecay : 0, step: state.step } },
        );
      }
    } finally {
      runtime.meter.phase = 'forward';
    }
  }

  #state(name: string, tensor: Tensor): State {
    let state = this.#states.get(name);
    if (!state) {
      const zeros = () => this.#own(new Float32Array(tensor.size), tensor);
      state = { m: zeros(), v: zeros(), step: 0 };
      this.#states.set(name, state);
    }
    return state;
  }

  #own(values: Float32Array, like: Tensor): Tensor {
    const { runtime } = this.#parameters;
    return runtime.keep(runtime.upload(values, like.shape, 'optimizer'));
  }

  /** Moments by `m.<name>` and `v.<name>`, and the step of each as i32 `step.<name>`; in the order of the parameters. */
  async read(): Promise<Map<string, HostTensor>> {
    // Not in the order of the first gradients, which a resumed run does not know.
    const entries = [...this.#parameters.all.keys()].flatMap((name): [string, State][] => {
      const state = this.#states.get(name);
      return state ? [[name, state]] : [];
    });
    const values = await this.#parameters.runtime.readAll(entries.flatMap(([, s]) => [s.m, s.v]));
    const out = new Map<string, HostTensor>();
    entries.forEach(([name, state], i) => {
      out.set(`m.${name}`, { shape: state.m.shape, dtype: 'f32', data: values[2 * i] as Float32Array });
      out.set(`v.${name}`, { shape: state.v.shape, dtype: 'f32', data: values[2 * i + 1] as Float32Array });
      out.set(`step.${name}`, { shape: [], dtype: 'i32', data: Int32Array.of(state.step) });
    });
    return out;
  }

  /**
   * Restores what `read` returned; a parameter it lacks starts anew.
   * Errors: InputError naming a tensor that is missing beside its fellows, mis-shaped, or of no parameter.
   */
  load(saved: ReadonlyMap<string, HostTensor>): void {
    const parts = ['m', 'v', 'step'];
    const { all } = this.#parameters;
    for (const key of saved.keys()) {
      const dot = key.indexOf('.');
      const name = key.slice(dot + 1);
      if (!parts.includes(key.slice(0, dot)) || !all.has(name))
        throw new InputError(`optimizer state: "${key}" belongs to no parameter`);
      for (const part of parts)
        if (!saved.has(`${part}.${name}`))
          throw new InputError(`optimizer state: "${part}.${name}" is missing`);
    }
    this.release();
    for (const [name, { tensor }] of all) {
      const [m, v, step] = parts.map((part) => saved.get(`${part}.${name}`));
      if (!m || !v || !step) continue;
      for (const [part, { shape }] of Object.entries({ m, v }))
        if (shape.length !== tensor.shape.length || shape.some((d, i) => d !== tensor.shape[i]))
          throw new InputError(
            `optimizer state: "${part}.${name}" is [${shape}], its parameter [${tensor.shape}]`,
          );
      this.#states.set(name, {
        m: this.#own(m.data as Float32Array, tensor),
        v: this.#own(v.data as Float32Array, tensor),
        step: step.data[0],
      });
    }
  }

  /** Frees the moments. */
  release(): void {
    for (const { m, v } of this.#states.values()) {
      m.release();
      v.release();
    }
    this.#states.clear();
  }
}
