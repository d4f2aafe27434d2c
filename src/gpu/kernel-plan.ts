/** The plan of a kernel for inputs of certain shapes, and of their gradients. */
import { backwardRequest } from '../../kernels/backward-request.ts';
import { portOf, type DType, type Kernel, type Params, type Shape } from '../../kernels/plan.ts';
import type { ReadyPlan } from './ready-plan.ts';
import { sameValue } from './same-value.ts';

/** A host input. */
export interface HostValues {
  readonly data: Int32Array;
  readonly shape: Shape;
}

/** What a plan depends on of an input: a tensor's shape and dtype, or all of a host input. */
export type Given = HostValues | { readonly shape: Shape; readonly dtype: DType };

export const isHost = (given: Given): given is HostValues =>
  (given as Partial<HostValues>).data !== undefined;

/** What a plan is for. */
export interface Asked {
  kernel: Kernel;
  names: readonly string[];
  given: readonly Given[];
  params: Params;
  wanted?: readonly string[];
  add?: readonly string[];
}

/** Makes the plans of gradients (PlanCache). */
interface Maker {
  make(asked: Asked, before?: KernelPlan): KernelPlan;
}

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
  readonly #maker: Maker;
  /** The one whose place it has taken: what that was run by serves again, where only values differ. */
  #before: KernelPlan | undefined;
  readonly #backward = new Map<number, BackwardPlan>();
  /** By input: whether the backward can add its gradient to what is there. */
  readonly #adds: readonly boolean[];

  constructor(maker: Maker, request: Asked, ready: ReadyPlan, before: KernelPlan | undefined) {
    this.#maker = maker;
    this.kernel = request.kernel;
    this.names = request.names;
    this.given = request.given;
    this.params = request.params;
    this.wanted = request.wanted;
    this.add = request.add;
    this.ready = ready;
    this.#before = before;
    if (before) before.#before = undefined;
    if (before?.ready === ready) {
      this.#adds = before.#adds;
      this.visible = before.visible;
      return;
    }
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

  /** The same of gradients that are wanted, and of those that are added to what is there. */
  gives(wanted: readonly string[] | undefined, add: readonly string[] | undefined): boolean {
    return sameValue(this.wanted, wanted) && sameValue(this.add, add);
  }

  matches({ kernel, names, given, params, wanted, add }: Asked): boolean {
    if (this.kernel !== kernel || !this.takes(given, names)) return false;
    return sameValue(this.params, params) && this.gives(wanted, add);
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
    const plan = this.#maker.make(asked, before);
    const names = plan.ready.outputs.map(({ name }) => name);
    return {
      plan,
      inputs: [...Object.values(request.inputs), ...Object.values(request.host).map(() => undefined)],
      gradients: request.wanted.map((name) => names.indexOf(name)),
      added,
    };
  }
}

export function sameIntegers(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

function sameGiven(a: Given, b: Given): boolean {
  if (a.shape !== b.shape) {
    const { length } = a.shape;
    if (length !== (b.shape as Shape | undefined)?.length) return false;
    for (let i = 0; i < length; i++) if (a.shape[i] !== b.shape[i]) return false;
  }
  if (isHost(a)) return isHost(b) && (a.data === b.data || sameIntegers(a.data, b.data));
  return !isHost(b) && a.dtype === b.dtype;
}
