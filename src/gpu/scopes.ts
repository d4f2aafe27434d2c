/** Which tensors belong to which scope (Runtime.scope, Runtime.tidy): a scope gives back what was made in it. */
import { Tensor } from './tensor.ts';

/** So many survivors are looked for one by one. */
const FEW = 4;

/** An open scope: what was made in it begins there, and ends where the next one opened. */
export interface Scope {
  first: number;
}

export class Scopes {
  readonly #made: Tensor[] = [];
  readonly #open: Scope[] = [];

  /** Registers a new tensor with the innermost scope. */
  add(tensor: Tensor): void {
    if (this.#open.length > 0) this.#made.push(tensor);
  }

  open(): Scope {
    const scope = { first: this.#made.length };
    this.#open.push(scope);
    return scope;
  }

  /** Hands those of its tensors that are in `survivors` to the enclosing scope and releases the rest. */
  close(scope: Scope, survivors: readonly Tensor[]): void {
    const surviving = survivors.length > FEW ? new Set(survivors) : undefined;
    const made = this.#made;
    const end = this.#endOf(scope);
    let left = scope.first;
    const none = survivors.length === 0;
    for (let at = scope.first; at < end; at++)
      if (!none && (surviving?.has(made[at]) ?? survivors.includes(made[at]))) made[left++] = made[at];
      else if (!made[at].kept) made[at].release();
    this.#drop(left, end);
    this.dissolve(scope);
  }

  /** Hands all its tensors to the enclosing scope. */
  dissolve(scope: Scope): void {
    // The outermost one hands them to nobody.
    if (scope === this.#open[0]) this.#drop(scope.first, this.#endOf(scope));
    if (scope === this.#open[this.#open.length - 1]) this.#open.pop();
    else this.#open.splice(this.#open.lastIndexOf(scope), 1);
  }

  #endOf(scope: Scope): number {
    const next = this.#open[this.#open.lastIndexOf(scope) + 1] as Scope | undefined;
    return next?.first ?? this.#made.length;
  }

  /** Takes tensors out of all scopes. */
  #drop(from: number, to: number): void {
    if (from === to) return;
    if (to === this.#made.length) this.#made.length = from;
    else this.#made.splice(from, to - from);
    for (const scope of this.#open) if (scope.first >= to) scope.first -= to - from;
  }
}

/** Every tensor in a value: itself, or in arrays, maps and plain objects. */
export function tensorsIn(value: unknown, found: Tensor[] = []): Tensor[] {
  if (value instanceof Tensor) found.push(value);
  else if (Array.isArray(value)) for (const item of value) tensorsIn(item, found);
  else if (value instanceof Map) for (const item of value.values()) tensorsIn(item, found);
  else if (value && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) tensorsIn(item, found);
  return found;
}
