/**
 * Plans kept by kernel, parameters, shapes and host values, compared exactly and without a string: what runs again is not
 * planned again. The n-th plan that a step uses is usually the n-th of the last step.
 */
import { backwardRequest } from '../../kernels/backward-request.ts';
import { InputError } from '../../kernels/errors.ts';
import {
  checkParams,
  portOf,
  type Caps,
  type DType,
  type Kernel,
  type Params,
  type Shape,
} from '../../kernels/plan.ts';
import type { Memory } from './memory.ts';
import type { Pipelines } from './pipelines.ts';
import { readyPlan, revise, type ReadyPlan } from './ready-plan.ts';
import { sameValue } from './same-value.ts';

/** A host input. */
export interface HostValues {
  readonly data: Int32Array;
  readonly shape: Shape;
}

/** What a plan depends on of an input: a tensor's shape and dtype, or all of a host input. */
export type Given = HostValues | { readonly shape: Shape; readonly dtype: DType };

const isHost = (given: Given): given is HostValues => (given as Partial<HostValues>).data !== undefined;

/** Plans that one generation of the cache holds, and bytes of its host tables. */
const MOST_PLANS = 1024;
const MOST_BYTES = 2 ** 24;

/** Where the tensor of a backward's input comes from: from the inputs or outputs of the forward run, or their gradients. */
export interface BackwardInput {
  readonly from: 'inputs' | 'outputs' | 'gradients';
  readonly at: number;
}

/** What the gradients of a run are made by. */
export interface BackwardPlan {
  readonly plan: KernelPlan;
  /** Of each of its inputs; undefined for a host input, whose values it has. */
  readonly inputs: readonly (BackwardInput | undefined)[];
  /** For each of the gradients asked for, the output that it is, and whether it is added to what is there. */
  readonly gradients: readonly number[];
  readonly added: readonly boolean[];
}

/** A kernel's plan for inputs of certain shapes. */
export class KernelPlan {
  readonly kernel: Kernel;
  /** Of the inputs that are there, tensors and host values, in the order given. */
  readonly names: readonly string[];
  readonly given: readonly Given[];
  readonly params: Params;
  readonly wanted: readonly string[] | undefined;
  readonly add: readonly string[] | undefined;
  readonly ready: ReadyPlan;
  /** By output: whether a caller sees it, or only the backward. */
  readonly visible: readonly boolean[];
  readonly #cache: PlanCache;
  /** The one whose place it has taken: what that was run by serves again, where only values differ. */
  #before: KernelPlan | undefined;
  readonly #backward = new Map<number, BackwardPlan>();
  /** By input: whether the backward can add its gradient to what is there. */
  readonly #adds: readonly boolean[];

  constructor(cache: PlanCache, request: Asked, ready: ReadyPlan, before: KernelPlan | undefined) {
    this.#cache = cache;
    this.kernel = request.kernel;
    this.names = request.names;
    this.given = request.given;
    this.params = request.params;
    this.wanted = request.wanted;
    this.add = request.add;
    this.ready = ready;
    this.#before = before;
    if (before) before.#before = undefined;
    const adds = this.kernel.backward?.adds ?? [];
    this.#adds = this.names.map((name) => adds.includes(`grad_${name}`));
    this.visible = ready.outputs.map(({ name }) => !portOf(request.kernel.outputs, name)?.saved);
  }

  /** Whether inputs are those that it was made for, as far as a plan depends on them. */
  takes(given: readonly Given[], names: readonly string[]): boolean {
    if (this.names.length !== names.length) return false;
    for (let i = 0; i < names.length; i++) {
      if (this.names[i] !== names[i]) return false;
      if (!sameGiven(this.given[i], given[i])) return false;
    }
    return true;
  }

  matches({ kernel, names, given, params, wanted, add }: Asked): boolean {
    if (this.kernel !== kernel || !this.takes(given, names)) return false;
    return sameValue(this.params, params) && sameValue(this.wanted, wanted) && sameValue(this.add, add);
  }

  /**
   * The plan of the gradients of the inputs at the places `of`.
   * @param places by gradient; added to what is there, where that is asked for and the backward `adds` it
   * @throws SpanwiseError for a kernel whose backward gives no such gradient
   */
  backward(of: readonly number[], places: readonly ({ readonly add: boolean } | undefined)[]): BackwardPlan {
    let key = 1;
    // Past 2^53 two keys could be one.
    let exact = of.length <= 8;
    for (let i = 0; i < of.length; i++) {
      if (of[i] >= 32) exact = false;
      key = key * 64 + 2 * of[i] + Number(places[i]?.add === true && this.#adds[of[i]]);
    }
    const found = exact ? this.#backward.get(key) : undefined;
    if (found) return found;
    const added = of.map((at, i) => places[i]?.add === true && this.#adds[at]);
    const made = this.#planBackward(of, added, exact ? this.#before?.giveUp(key) : undefined);
    if (exact) this.#backward.set(key, made);
    return made;
  }

  /** A plan of its gradients that another may replace. */
  giveUp(key: number): KernelPlan | undefined {
    const plan = this.#backward.get(key)?.plan;
    this.#backward.delete(key);
    return plan;
  }

  #planBackward(of: readonly number[], added: readonly boolean[], before?: KernelPlan): BackwardPlan {
    type Source = BackwardInput & { given: Given };
    const inputs: Record<string, Source> = {};
    const host: Record<string, HostValues> = {};
    this.given.forEach((given, at) => {
      if (isHost(given)) host[this.names[at]] = given;
      else inputs[this.names[at]] = { from: 'inputs', at, given };
    });
    const outputs = Object.fromEntries(
      this.ready.outputs.map(({ name, shape, dtype }, at): [string, Source] => [
        name,
        { from: 'outputs', at, given: { shape, dtype } },
      ]),
    );
    const request = backwardRequest(
      this.kernel,
      { inputs, host, outputs, params: this.params },
      (output): Source => ({ ...outputs[output], from: 'gradients' }),
      of.map((at) => this.names[at]),
    );
    const asked = {
      kernel: request.kernel,
      names: [...Object.keys(request.inputs), ...Object.keys(request.host)],
      given: [...Object.values(request.inputs).map(({ given }) => given), ...Object.values(request.host)],
      params: request.params,
      wanted: request.wanted,
      add: request.wanted.filter((_, i) => added[i]),
    };
    const plan = this.#cache.make(asked, before);
    const names = plan.ready.outputs.map(({ name }) => name);
    return {
      plan,
      inputs: [...Object.values(request.inputs), ...Object.values(request.host).map(() => undefined)],
      gradients: request.wanted.map((name) => names.indexOf(name)),
      added,
    };
  }
}

/** What is asked of the cache. */
export interface Asked {
  kernel: Kernel;
  names: readonly string[];
  given: readonly Given[];
  params: Params;
  wanted?: readonly string[];
  add?: readonly string[];
}

export class PlanCache {
  readonly #pipelines: Pipelines;
  readonly #memory: Pick<Memory, 'submitted'>;
  #caps: Caps;
  /** The plans of this generation and of the one before, by the hash of what they are for. */
  #young = new Map<number, KernelPlan[]>();
  #old = new Map<number, KernelPlan[]>();
  #plans = 0;
  #bytes = 0;
  /** The plans of the last batch, and before `#at` of the one that is being recorded. */
  readonly #sequence: KernelPlan[] = [];
  #at = 0;
  readonly #kernelNumbers = new Map<Kernel, { number: number; live: boolean }>();
  /** Copies of host values by the array they were made of: what several operations read is one table. */
  #copies = new WeakMap<Int32Array, Int32Array>();

  constructor(pipelines: Pipelines, memory: Pick<Memory, 'submitted'>, caps: Caps) {
    this.#pipelines = pipelines;
    this.#memory = memory;
    this.#caps = caps;
  }

  /**
   * The plan of a kernel for what is given; it is made where none is kept.
   * @throws InputError for a parameter that the kernel has not, a tensor of another dtype than its port's, and all that the
   *   kernel's plan refuses; and what `readyPlan` throws
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
  }

  /** Other capabilities, other plans: tests show a runtime some. */
  #forget(caps: Caps): void {
    this.#caps = caps;
    this.#young = new Map();
    this.#old = new Map();
    this.#sequence.length = 0;
    this.#at = 0;
  }

  /** @param guess the plan that was in this place in the last batch */
  #findOrMake(asked: Asked, guess: KernelPlan | undefined): KernelPlan {
    const { number, live } = this.#kernel(asked.kernel);
    if (live) return this.make(asked, guess?.kernel === asked.kernel ? guess : undefined);
    const hash = hashOf(number, asked);
    const found = this.#young.get(hash)?.find((plan) => plan.matches(asked));
    if (found) return found;
    const plan = this.#old.get(hash)?.find((kept) => kept.matches(asked)) ?? this.make(asked);
    this.#keep(hash, plan);
    return plan;
  }

  #kernel(kernel: Kernel): { number: number; live: boolean } {
    let known = this.#kernelNumbers.get(kernel);
    if (!known) {
      known = { number: this.#kernelNumbers.size, live: kernel.params.some(({ live }) => live) };
      this.#kernelNumbers.set(kernel, known);
    }
    return known;
  }

  #keep(hash: number, plan: KernelPlan): void {
    if (++this.#plans > MOST_PLANS || this.#bytes > MOST_BYTES) {
      this.#old = this.#young;
      this.#young = new Map();
      this.#plans = 0;
      this.#bytes = 0;
    }
    const others = this.#young.get(hash);
    if (others) others.push(plan);
    else this.#young.set(hash, [plan]);
  }

  /**
   * Makes a plan, which is the caller's alone. Errors: those of `find`.
   * @param before one that will not be run again, of the same kernel
   */
  make({ kernel, names, given, params, wanted, add }: Asked, before?: KernelPlan): KernelPlan {
    checkParams(kernel, params);
    const shapes: Record<string, Shape> = {};
    const host: Record<string, Int32Array> = {};
    const ownGiven = given.map((input, i): Given => {
      const name = names[i];
      shapes[name] = input.shape;
      if (isHost(input)) {
        host[name] = this.#copy(input.data);
        return { data: host[name], shape: input.shape };
      }
      const { shape, dtype } = input;
      const expected = portOf(kernel.inputs, name)?.dtype ?? dtype;
      if (dtype !== expected)
        throw new InputError(`${kernel.name}: input "${name}" must be ${expected}, got ${dtype}`);
      return { shape, dtype };
    });
    const own = copyOf(params) as Params;
    const plan = kernel.plan({ shapes, params: own, caps: this.#caps, host, wanted, add });
    const request = { kernel, names, given: ownGiven, params: own, wanted, add };
    if (before?.takes(given, names) && before.ready.lastUse <= this.#memory.submitted)
      if (revise(before.ready, plan)) return new KernelPlan(this, request, before.ready, before);
    const inputs = names.map((name, i) => ({ name, shape: isHost(given[i]) ? undefined : given[i].shape }));
    const ready = readyPlan(plan, inputs, this.#pipelines, this.#caps);
    for (const table of ready.tables) this.#bytes += table.byteLength;
    return new KernelPlan(this, request, ready, before);
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

function sameIntegers(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function sameGiven(a: Given, b: Given): boolean {
  if (a.shape !== b.shape) {
    const { length } = a.shape;
    if (length !== b.shape.length) return false;
    for (let i = 0; i < length; i++) if (a.shape[i] !== b.shape[i]) return false;
  }
  if (isHost(a)) return isHost(b) && (a.data === b.data || sameIntegers(a.data, b.data));
  return !isHost(b) && a.dtype === b.dtype;
}

/** A copy of a value of parameters. */
function copyOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copyOf);
  if (typeof value !== 'object' || !value) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, copyOf(part)]));
}
