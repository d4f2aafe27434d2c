/** Which tensors belong to which scope (Runtime.scope, Runtime.tidy): a scope gives back what was made in it. */
import { Tensor } from './tensor.ts';

export type Scope = Tensor[];

export class Scopes {
  readonly #open: Scope[] = [];

  /** Registers a new tensor with the innermost scope. */
  add(tensor: Tensor): void {
    if (this.#open.length > 0) this.#open[this.#open.length - 1].push(tensor);
  }

  open(): Scope {
    const made: Scope = [];
    this.#open.push(made);
    return made;
  }

  /** Hands those of its tensors that are in `survivors` to the enclosing scope and releases the rest. */
  close(made: Scope, survivors: Iterable<Tensor>): void {
    const outer = this.#leave(made);
    const surviving = new Set(survivors);
    for (const tensor of made)
      if (surviving.has(tensor)) outer?.push(tensor);
      else if (!tensor.kept) tensor.release();
  }

  /** Hands all its tensors to the enclosing scope. */
  dissolve(made: Scope): void {
    const outer = this.#leave(made);
    if (outer) for (const tensor of made) outer.push(tensor);
  }

  /** Takes a scope away; returns the one around it. */
  #leave(made: Scope): Scope | undefined {
    const at = this.#open.lastIndexOf(made);
    this.#open.splice(at, 1);
    return this.#open[at - 1];
  }
}

/** Every tensor in a value: itself, or in arrays, maps and plain objects. */
export function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value instanceof Tensor) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (value instanceof Map) for (const item of value.values()) yield* tensorsIn(item);
  else if (value && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* tensorsIn(item);
}
