/** Reading configuration objects: every problem is one InputError that names file and key. */
import { InputError } from '../../kernels/errors.ts';
import type { Json } from '../io/json.ts';

export type { Json };

/** A model's configuration as a checkpoint stores it: its name, its own keys, its encoder's as they were read. */
export const configJson = (model: string, config: { readonly encoder: { readonly json: Json } }): Json => ({
  model,
  ...config,
  encoder: config.encoder.json,
});

/** Most of what is counted by a configuration, unless a key says otherwise: widths, heads, words. */
const LARGEST = 2 ** 16;
/** Most layers: the deepest encoders have 48. */
export const MOST_LAYERS = 1000;
/** Most entries of a vocabulary. */
export const MOST_ENTRIES = 2 ** 24;

/** Typed access to the keys of a configuration. */
export class Fields {
  readonly #json: Json;
  readonly #what: string;
  readonly #known = new Set<string>();

  constructor(json: Json, what: string) {
    this.#json = json;
    this.#what = what;
  }

  /** @param max what no real model comes near: a size past it is refused here, where its key is known */
  integer(key: string, fallback?: number, min = 1, max = LARGEST): number {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min)
      throw this.error(key, `must be an integer of at least ${min}`, value);
    if (value > max) throw this.error(key, `must be at most ${max}`, value);
    return value;
  }

  number(key: string, fallback?: number, min = -Infinity, max = Infinity): number {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value) || value < min || value > max)
      throw this.error(key, `must be a number between ${min} and ${max}`, value);
    return value;
  }

  boolean(key: string, fallback?: boolean): boolean {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'boolean') throw this.error(key, 'must be true or false', value);
    return value;
  }

  oneOf<T extends string>(key: string, choices: readonly T[], fallback?: T): T {
    const value = this.#get(key) ?? fallback;
    if (!choices.includes(value as T)) throw this.error(key, `must be one of ${choices.join(', ')}`, value);
    return value as T;
  }

  strings(key: string, fallback?: readonly string[]): string[] {
    const value = this.#get(key) ?? fallback;
    if (!Array.isArray(value) || value.some((v) => typeof v !== 'string'))
      throw this.error(key, 'must be a list of strings', value);
    if (new Set(value).size !== value.length) throw this.error(key, 'must not repeat an entry', value);
    return value as string[];
  }

  /** A text that is not blank. */
  text(key: string, fallback?: string): string {
    const value = this.#get(key) ?? fallback;
    if (typeof value !== 'string' || value.trim() === '') throw this.error(key, 'must be a text', value);
    return value;
  }

  /** Distinct integers of at least 1, at least one of them. */
  integers(key: string, fallback?: readonly number[]): number[] {
    const value = this.#get(key) ?? fallback;
    const whole = (v: unknown) => typeof v === 'number' && Number.isInteger(v) && v >= 1;
    if (!Array.isArray(value) || value.length === 0 || !value.every(whole))
      throw this.error(key, 'must be a list of integers of at least 1', value);
    if (value.some((v) => v > LARGEST)) throw this.error(key, `must have none over ${LARGEST}`, value);
    if (new Set(value).size !== value.length) throw this.error(key, 'must not repeat an entry', value);
    return value as number[];
  }

  object(key: string): Json {
    const value = this.#get(key);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw this.error(key, 'must be an object', value);
    return value as Json;
  }

  /** The fields of an object, none where the key is absent. */
  fields(key: string): Fields {
    return new Fields(this.has(key) ? this.object(key) : {}, `${this.#what}: ${key}`);
  }

  /** Every key with its text. */
  texts(): Record<string, string> {
    return Object.fromEntries(Object.keys(this.#json).map((key) => [key, this.text(key)]));
  }

  /** Whatever the key holds; undefined where it is absent. The key counts as known. */
  value(key: string): unknown {
    return this.#get(key);
  }

  has(key: string): boolean {
    return this.#get(key) !== undefined;
  }

  /** Errors: a key that nobody asked for, with the nearest known one. */
  rejectUnknown(): void {
    for (const key of Object.keys(this.#json))
      if (!this.#known.has(key))
        throw new InputError(`${this.#what}: unknown key "${key}" (known: ${[...this.#known].join(', ')})`);
  }

  error(key: string, rule: string, value: unknown): InputError {
    const shown = value === undefined ? 'is missing' : `is ${JSON.stringify(value)?.slice(0, 80)}`;
    return new InputError(`${this.#what}: "${key}" ${rule}; it ${shown}`);
  }

  #get(key: string): unknown {
    this.#known.add(key);
    return Object.hasOwn(this.#json, key) ? this.#json[key] : undefined;
  }
}
