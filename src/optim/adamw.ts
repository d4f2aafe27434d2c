/** AdamW (Loshchilov and Hutter 2019), as PyTorch computes it, on the device. */
import { InputError } from '../../kernels/errors.ts';
import { adamw, type AdamWRun } from '../../kernels/adamw.ts';
import { scale } from '../../kernels/shared/elementwise.ts';
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { aligned, type Chunk, type Slot } from '../nn/arena.ts';
import type { Parameters } from '../nn/parameters.ts';

export interface AdamWOptions {
  lr: number;
  beta1?: number;
  beta2?: number;
  eps?: number;
  /** Decoupled decay; applied to parameters marked `decay` (not to biases and norms). */
  weightDecay?: number;
}

/** The moments of all parameters of a chunk. */
interface Moments {
  m: Tensor;
  v: Tensor;
}

/** What AdamW knows of a chunk. */
interface State {
  /** The steps that each slot has had. */
  readonly steps: number[];
  /** Once one has had some. */
  moments?: Moments;
  /** Of each slot, whether the last step took it with all that are in the chunk. */
  readonly together: boolean[];
  /** The runs of those, unless other steps have been set since. */
  runs: AdamWRun[] | undefined;
}

export class AdamW {
  readonly #parameters: Parameters;
  readonly #options: Required<AdamWOptions>;
  readonly #states = new Map<Chunk, State>();

  /** Errors: InputError for parameters that are stored as f16. */
  constructor(parameters: Parameters, options: AdamWOptions) {
    if (parameters.precision === 'f16')
      throw new InputError(
        `weights in ${parameters.precision} are for inference: load the model as f32 to train it`,
      );
    this.#parameters = parameters;
    this.#options = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, ...options };
  }

  /**
   * One step for every parameter that has a gradient; one without is left untouched, as PyTorch does where grad is
   * None. Gradients are kept: clear them with `zeroGrad`.
   * @param gradScale [1], multiplies every gradient (the factor of `clipGradNorm`)
   * @param foundInf [1], where it is not 0 nothing is written: `takeBack` the step once that is known here
   */
  step(lr = this.#options.lr, gradScale?: Tensor, foundInf?: Tensor): void {
    const { runtime, arena } = this.#parameters;
    runtime.meter.phase = 'optimizer';
    try {
      for (const chunk of arena.chunks) this.#stepOf(chunk, lr, gradScale, foundInf);
    } finally {
      runtime.meter.phase = 'forward';
    }
  }

  /**
   * A dispatch for all gradients that lie in the chunk, and one for each that lies elsewhere: the step, or where the chunk has a
   * copy, whose words two parameters of any size cannot share, a copy of the gradient to its place.
   */
  #stepOf(chunk: Chunk, lr: number, gradScale: Tensor | undefined, foundInf: Tensor | undefined): void {
    const { weightDecay, beta1, beta2, eps } = this.#options;
    const { runtime } = this.#parameters;
    const update = (
      param: Tensor,
      grad: Tensor,
      { m, v }: Moments,
      runs: AdamWRun[],
      copy?: Tensor,
    ): void => {
      const inputs = { param, grad, m, v, grad_scale: gradScale, found_inf: foundInf, copy };
      runtime.kernel(adamw, inputs, { params: { beta1, beta2, eps, lr, runs } });
    };
    const state = this.#stateOf(chunk);
    const { steps, together } = state;
    let { runs } = state;
    state.runs = undefined; // until all steps are counted: what follows may throw
    for (let i = 0; i < steps.length; i++) {
      const slot = chunk.slots[i];
      const { grad } = slot.tensor;
      const isHeld = grad !== undefined && slot.home.holds(grad);
      const joins = isHeld || (grad !== undefined && chunk.copy !== undefined);
      if (joins !== together[i]) runs = undefined;
      together[i] = joins;
      if (!grad) continue;
      steps[i]++;
      if (isHeld) continue;
      const { tensor, size, first, decay } = slot;
      if (chunk.copy) {
        const place = chunk.gradients.slice(first, tensor.shape);
        runtime.kernel(scale, { x: grad }, { params: { factor: 1 }, out: { out: place } });
        place.release();
      } else {
        const { m, v } = this.#momentsOf(chunk);
        const moments = { m: m.slice(first, tensor.shape), v: v.slice(first, tensor.shape) };
        const run = { first: 0, size, step: steps[i], weightDecay: decay ? weightDecay : 0 };
        update(tensor, grad, moments, [run]);
        moments.m.release();
        moments.v.release();
      }
    }
    if (runs) for (const run of runs) run.step++;
    else runs = runsOf(chunk, state, weightDecay);
    state.runs = runs;
    if (runs.length > 0) update(chunk.weights, chunk.gradients, this.#momentsOf(chunk), runs, chunk.copy);
  }

  /**
   * Counts a step less of parameters by name: one that `foundInf` made none.
   * @throws InputError for a name of no parameter, or of one that has had no step
   */
  takeBack(names: Iterable<string>): void {
    for (const name of names) {
      const slot = this.#parameters.all.get(name)?.slot;
      if (!slot || this.#stepsOf(slot) === 0)
        throw new InputError(`takeBack: no parameter "${name}" has had a step`);
      this.#setSteps(slot, this.#stepsOf(slot) - 1);
    }
  }

  #stateOf(chunk: Chunk): State {
    let state = this.#states.get(chunk);
    if (!state) {
      const none = { together: chunk.slots.map(() => false), runs: undefined };
      this.#states.set(chunk, (state = { steps: chunk.slots.map(() => 0), ...none }));
    }
    return state;
  }

  #stepsOf(slot: Slot): number {
    const { placed } = slot;
    const state = placed && this.#states.get(placed);
    return state ? state.steps[placed.slots.indexOf(slot)] : 0;
  }

  #setSteps(slot: Slot, steps: number): void {
    const { chunk } = slot;
    const state = this.#stateOf(chunk);
    state.steps[chunk.slots.indexOf(slot)] = steps;
    state.runs = undefined;
  }

  #momentsOf(chunk: Chunk): Moments {
    const zeros = () => this.#own(new Float32Array(chunk.length));
    return (this.#stateOf(chunk).moments ??= { m: zeros(), v: zeros() });
  }

  #own(values: Float32Array): Tensor {
    const { runtime } = this.#parameters;
    return runtime.keep(runtime.upload(values, [values.length], 'optimizer'));
  }

  /** Moments by `m.<name>` and `v.<name>`, and the step of each as i32 `step.<name>`; in the order of the parameters. */
  async read(): Promise<Map<string, HostTensor>> {
    // Not in the order of the first gradients, which a resumed run does not know.
    const entries = [...this.#parameters.all].filter(([, { slot }]) => this.#stepsOf(slot) > 0);
    const parts = entries.flatMap(([, { slot, tensor }]) => {
      const { m, v } = this.#momentsOf(slot.chunk);
      return [m, v].map((moment) => moment.slice(slot.first, tensor.shape));
    });
    const values = await this.#parameters.runtime.readAll(parts);
    for (const part of parts) part.release();
    const out = new Map<string, HostTensor>();
    entries.forEach(
      (
        [
          name,
          {
            slot,
            tensor: { shape },
          },
        ],
        i,
      ) => {
        out.set(`m.${name}`, { shape, dtype: 'f32', data: values[2 * i] as Float32Array });
        out.set(`v.${name}`, { shape, dtype: 'f32', data: values[2 * i + 1] as Float32Array });
        out.set(`step.${name}`, { shape: [], dtype: 'i32', data: Int32Array.of(this.#stepsOf(slot)) });
      },
    );
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
    const values = new Map<Chunk, { m: Float32Array; v: Float32Array }>();
    for (const [name, { tensor, slot }] of all) {
      const [m, v, step] = parts.map((part) => saved.get(`${part}.${name}`));
      if (!m || !v || !step) continue;
      for (const [part, { shape }] of Object.entries({ m, v }))
        if (shape.length !== tensor.shape.length || shape.some((d, i) => d !== tensor.shape[i]))
          throw new InputError(
            `optimizer state: "${part}.${name}" is [${shape}], its parameter [${tensor.shape}]`,
          );
      const { chunk } = slot;
      const ofChunk = values.get(chunk) ?? {
        m: new Float32Array(chunk.length),
        v: new Float32Array(chunk.length),
      };
      values.set(chunk, ofChunk);
      ofChunk.m.set(m.data, slot.first);
      ofChunk.v.set(v.data, slot.first);
      this.#setSteps(slot, step.data[0]);
    }
    for (const [chunk, { m, v }] of values)
      this.#stateOf(chunk).moments = { m: this.#own(m), v: this.#own(v) };
  }

  /** Frees the moments. */
  release(): void {
    for (const { moments } of this.#states.values()) {
      moments?.m.release();
      moments?.v.release();
    }
    this.#states.clear();
  }
}

/**
 * The runs of slots that are taken together: one is of those that lie side by side and are alike in all else. What lies between
 * is nobody's, as is what fills up the last four elements.
 */
function runsOf({ slots }: Chunk, { steps, together }: State, weightDecay: number): AdamWRun[] {
  const runs: AdamWRun[] = [];
  slots.forEach(({ first, size, decay, used }, i) => {
    if (!together[i]) return;
    const end = first + 4 * Math.ceil(size / 4);
    const own = { step: steps[i], weightDecay: decay ? weightDecay : 0 };
    const last = runs[runs.length - 1] as AdamWRun | undefined;
    const follows = last && aligned(last.first + last.size, used.dtype) === first;
    if (follows && last.step === own.step && last.weightDecay === own.weightDecay)
      last.size = end - last.first;
    else runs.push({ first, size: end - first, ...own });
  });
  return runs;
}
