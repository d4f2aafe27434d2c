/**
 * Plans kept by kernel, parameters, shapes and host values, compared exactly and without a string: what runs again is not
 * planned again. The n-th plan that a step uses is usually the n-th of the last step.
 */
import { InputError } from '../../kernels/errors.ts';
import { checkParams, portOf, type Caps, type Kernel, type Params, type Shape } from '../../kernels/plan.ts';
import { isHost, KernelPlan, sameIntegers, type Asked, type Given } from './kernel-plan.ts';
import type { Memory } from './memory.ts';
import type { Pipelines } from './pipelines.ts';
import { readyPlan, replace, revise } from './ready-plan.ts';

/** Plans that one generation holds, and bytes of their host tables. */
const MOST_PLANS = 1024;
const MOST_BYTES = 2 ** 24;
/** Of plans for host values, which seldom come again: a collector that finds them alive moves them about. */
const MOST_OF_VALUES = 32;

/** Plans by the hash of what they are for: those kept of late, and those before. */
class Generations {
  readonly #most: number;
  #young = new Map<number, KernelPlan[]>();
  #old = new Map<number, KernelPlan[]>();
  #plans = 0;
  #bytes = 0;

  constructor(most: number) {
    this.#most = most;
  }

  find(hash: number, asked: Asked): KernelPlan | undefined {
    const found = this.#young.get(hash)?.find((plan) => plan.matches(asked));
    if (found) return found;
    const old = this.#old.get(hash)?.find((plan) => plan.matches(asked));
    if (old) this.keep(hash, old);
    return old;
  }

  keep(hash: number, plan: KernelPlan): void {
    for (const table of plan.ready.tables) this.#bytes += table.byteLength;
    if (++this.#plans > this.#most || this.#bytes > MOST_BYTES) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#plans = 0;
      this.#bytes = 0;
    }
    const others = this.#young.get(hash);
    if (others) others.push(plan);
    else this.#young.set(hash, [plan]);
  }

  clear(): void {
    this.#old.clear();
    this.#young.clear();
    this.#plans = 0;
    this.#bytes = 0;
  }
}

export class PlanCache {
  readonly #pipelines: Pipelines;
  readonly #memory: Pick<Memory, 'submitted'>;
  #caps: Caps;
  readonly #ofShapes = new Generations(MOST_PLANS);
  readonly #ofValues = new Generations(MOST_OF_VALUES);
  /** The plans of the last batch, and before `#at` of the one that is being recorded. */
  readonly #sequence: KernelPlan[] = [];
  #at = 0;
  readonly #kernelNumbers = new Map<Kernel, { number: number; live: boolean }>();
  /** This batch's copies of host values by the array they were made of: what several operations read is one table. */
  #copies = new Map<Int32Array, Int32Array>();

  constructor(pipelines: Pipelines, memory: Pick<Memory, 'submitted'>, caps: Caps) {
    this.#pipelines = pipelines;
    this.#memory = memory;
    this.#caps = caps;
  }

  /**
   * The plan of a kernel for what is given; it is made where none is kept.
   * @throws InputError for a parameter or an input that the kernel has not, a tensor of another dtype than its port's, and all
   *   that the kernel's plan refuses; and what `readyPlan` throws
   */
  find(asked: Asked, caps: Caps): KernelPlan {
    if (caps !== this.#caps) this.#forget(caps);
    const guess = this.#sequence[this.#at] as KernelPlan | undefined;
    const found = guess?.matches(asked) ? guess : this.#findOrMake(asked, guess);
    this.#sequence[this.#at++] = found;
    return found;
  }

  /** The next batch begins. */
  rewind(): void {
    this.#sequence.length = this.#at;
    this.#at = 0;
    this.#copies.clear();
  }

  /** Other capabilities, other plans: tests show a runtime some. */
  #forget(caps: Caps): void {
    this.#caps = caps;
    this.#ofShapes.clear();
    this.#ofValues.clear();
    this.#sequence.length = 0;
    this.#at = 0;
  }

  /** @param guess the plan that was in this place in the last batch */
  #findOrMake(asked: Asked, guess: KernelPlan | undefined): KernelPlan {
    asked.given.forEach((input, i) => checkGiven(asked.kernel, asked.names[i], input));
    const { number, live } = this.#kernel(asked.kernel);
    if (live) return this.make(asked, guess?.kernel === asked.kernel ? guess : undefined);
    const plans = asked.given.some(isHost) ? this.#ofValues : this.#ofShapes;
    const hash = hashOf(number, asked);
    const found = plans.find(hash, asked);
    if (found) return found;
    const made = this.make(asked);
    plans.keep(hash, made);
    return made;
  }

  #kernel(kernel: Kernel): { number: number; live: boolean } {
    let known = this.#kernelNumbers.get(kernel);
    if (!known) {
      known = { number: this.#kernelNumbers.size, live: kernel.params.some(({ live }) => live) };
      this.#kernelNumbers.set(kernel, known);
    }
    return known;
  }

  /**
   * Makes a plan, which is the caller's alone. Errors: those of `find`.
   * @param before one that will not be run again, of the same kernel
   */
  make({ kernel, names, given, params, wanted, add }: Asked, before?: KernelPlan): KernelPlan {
    checkParams(kernel, params);
    const like = before?.takes(given, names) ? before : undefined;
    const own = copyOf(params) as Params;
    const reusable = like && like.ready.lastUse <= this.#memory.submitted;
    if (reusable && like.gives(wanted, add)) {
      const renewed = kernel.renew?.(like.ready.plan, like.params, params);
      if (renewed) {
        replace(like.ready, renewed);
        return new KernelPlan(
          this,
          { kernel, names, given: like.given, params: own, wanted, add },
          like.ready,
          like,
        );
      }
    }
    const ownGiven = like?.given ?? given.map((input, i) => this.#own(kernel, names[i], input));
    const shapes: Record<string, Shape> = {};
    const host: Record<string, Int32Array> = {};
    const f16: string[] = [];
    for (let i = 0; i < names.length; i++) {
      const input = ownGiven[i];
      shapes[names[i]] = input.shape;
      if (isHost(input)) host[names[i]] = input.data;
      else if (input.dtype === 'f16') f16.push(names[i]);
    }
    const plan = kernel.plan({ shapes, params: own, caps: this.#caps, host, wanted, add, f16 });
    const request = { kernel, names, given: ownGiven, params: own, wanted, add };
    if (reusable && revise(like.ready, plan)) return new KernelPlan(this, request, like.ready, like);
    const inputs = names.map((name, i) => {
      const input = given[i];
      return isHost(input) ? { name } : { name, shape: input.shape, dtype: input.dtype };
    });
    const ready = readyPlan(plan, inputs, this.#pipelines, this.#caps);
    return new KernelPlan(this, request, ready, before);
  }

  /** What a plan keeps of an input. Errors: an input that the kernel has not, a tensor of another dtype than its port's. */
  #own(kernel: Kernel, name: string, input: Given): Given {
    const port = portOf(kernel.inputs, name);
    if (!port)
      throw new InputError(
        `${kernel.name}: "${name}" is not an input (it takes ${kernel.inputs.map((input) => input.name).join(', ')})`,
      );
    const shape = [...input.shape];
    if (isHost(input)) return { data: this.#copy(input.data), shape };
    const { dtype } = input;
    if (dtype !== port.dtype && !(dtype === 'f16' && port.f16))
      throw new InputError(`${kernel.name}: input "${name}" must be ${port.dtype}, got ${dtype}`);
    return { shape, dtype };
  }

  #copy(data: Int32Array): Int32Array {
    const known = this.#copies.get(data);
    if (known && sameIntegers(known, data)) return known;
    const copy = data.slice();
    this.#copies.set(data, copy);
    this.#copies.set(copy, copy);
    return copy;
  }
}

/** Errors: what is neither a tensor nor host integers. */
function checkGiven({ name: kernel }: Kernel, name: string, input: Given): void {
  if (!Array.isArray((input as Partial<Given>).shape))
    throw new InputError(`${kernel}: "${name}" must be a tensor, or host integers { data, shape }`);
}

/** Values of a host input that go into its hash. */
const SAMPLED = 8;

function hashOf(kernel: number, { given, params }: Asked): number {
  let hash = kernel;
  for (const input of given) {
    for (const d of input.shape) hash = Math.imul(hash, 31) + d;
    hash = Math.imul(hash, 31) + input.shape.length;
    if (!isHost(input)) continue;
    const { data } = input;
    const step = Math.max(1, Math.floor(data.length / SAMPLED));
    for (let i = 0; i < data.length; i += step) hash = Math.imul(hash, 31) + data[i];
  }
  for (const name in params) {
    const value = params[name];
    if (typeof value === 'number') hash = Math.imul(hash, 31) + (value | 0);
  }
  return hash | 0;
}

/** A copy of a value of parameters. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (typeof value !== 'object' || !value) return value;
  const copy: Record<string, unknown> = {};
  for (const name in value) copy[name] = copyOf((value as Readonly<Record<string, unknown>>)[name]);
  return copy;
}
