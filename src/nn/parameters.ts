/**
 * Parameters by name. A model asks for each of its parameters by the checkpoint's name and shape; where the values
 * come from (a seed or a file) is decided here, so loading and initialising are one code path.
 */
import { InputError } from '../../kernels/errors.ts';
import { sizeOf, type Shape } from '../../kernels/plan.ts';
import { narrowToHalves } from '../io/half.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { checkShape } from '../gpu/values.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { Tensor } from '../gpu/tensor.ts';
import { Arena, type Slot } from './arena.ts';
import { stream } from './random.ts';

/**
 * Initial values without a file: docs/spec.md#random-weights (linear N(0, 1/fan-in), embeddings N(0, 0.02²), biases 0,
 * norms 1 and 0). `like`: those of an earlier parameter of the same shape, by its full name.
 */
export type Init = Start | { like: string };
type Start = { normal: number } | { constant: number } | 'zeros' | 'ones';

/** Problems of a file after which no more are looked for: its configuration may ask for tensors without end. */
const MOST_PROBLEMS = 50;

/** Most values of one parameter, 4 GiB: more than a buffer of any device. */
const MOST_VALUES = 2 ** 30;

/**
 * How the weights of linear layers and the tables of embeddings are stored, all that a model computes being f32: as f32, or as
 * f16, to the nearest, in half the memory; for inference alone.
 */
export const precisions = ['f32', 'f16'] as const;
export type Precision = (typeof precisions)[number];

/** Or, to be trained, as f32 beside which lie copies in f16 that are computed with (mixed precision). */
export type StoredPrecision = Precision | 'mixed';
const stored: readonly StoredPrecision[] = [...precisions, 'mixed'];

/** First id of the random streams used here. */
const INIT_STREAM = 2;

export interface Parameter {
  /** In mixed precision the f32, whose gradient is that of the copy. */
  tensor: Tensor;
  /** Weight decay applies: everything but biases and norms. */
  decay: boolean;
  /** Where it lies. */
  slot: Slot;
}

export interface Source {
  /** Names it in errors, where there is something to name: a file. */
  readonly what?: string;
  /** Values of a parameter, or an InputError. */
  values(name: string, shape: Shape, init: Init, index: number): Float32Array;
}

const isCopy = (init: Init): init is { like: string } => typeof init === 'object' && 'like' in init;

/** Random values; the same seed gives the same model on every machine. */
export function randomSource(seed: number): Source {
  const starts = new Map<string, { init: Start; index: number }>();
  return {
    values(name, shape, given, own) {
      const start = isCopy(given) ? starts.get(given.like) : { init: given, index: own };
      if (!start) throw new InputError(`parameter ${name} starts like one that is not there`);
      starts.set(name, start);
      const { init, index } = start;
      const values = new Float32Array(sizeOf(shape));
      if (init === 'ones') values.fill(1);
      else if (init === 'zeros') return values;
      else if ('constant' in init) values.fill(init.constant);
      else {
        const random = stream(seed, INIT_STREAM, index);
        for (let i = 0; i < values.length; i++) values[i] = init.normal * random.normal();
      }
      return values;
    },
  };
}

/** The first NaN or infinity; −1 where there is none. */
function indexOfNonFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) if (values[i] - values[i] !== 0) return i;
  return -1;
}

/**
 * Values from a file's tensors. A missing or mis-shaped one, or one that is not finite, is collected rather than thrown, and reported with the
 * surplus ones by `finish`: one error that lists all.
 */
export class FileSource implements Source {
  readonly #tensors: ReadonlyMap<string, HostTensor>;
  readonly what: string;
  readonly #used = new Set<string>();
  readonly #problems: string[] = [];
  #nothing = new Float32Array(0);

  /** @param what the file, for error messages */
  constructor(tensors: ReadonlyMap<string, HostTensor>, what: string) {
    this.#tensors = tensors;
    this.what = what;
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  values(name: string, shape: Shape): Float32Array {
    const found = this.#tensors.get(name);
    this.#used.add(name);
    if (!found) this.#problems.push(`missing ${name} [${shape}]`);
    else if (found.dtype !== 'f32') this.#problems.push(`${name} holds integers`);
    else if (found.shape.length !== shape.length || found.shape.some((d, i) => d !== shape[i]))
      this.#problems.push(`${name} is [${found.shape}], expected [${shape}]`);
    else {
      const values = found.data as Float32Array;
      const at = indexOfNonFinite(values);
      if (at < 0) return values;
      this.#problems.push(`${name} holds ${values[at]} (element ${at})`);
    }
    if (this.#problems.length === MOST_PROBLEMS) {
      this.#problems.push('…');
      this.#fail();
    }
    // In the place of what the model is never built with: one for all.
    const size = sizeOf(shape);
    if (this.#nothing.length < size) this.#nothing = new Float32Array(size);
    return this.#nothing.subarray(0, size);
  }

  /** Marks a tensor as known though no parameter asks for it. */
  ignore(name: string): void {
    this.#used.add(name);
  }

  /** Errors: InputError listing every tensor that is missing, mis-shaped, not finite or surplus. */
  finish(): void {
    for (const name of this.#tensors.keys())
      if (!this.#used.has(name)) this.#problems.push(`surplus ${name}`);
    if (this.#problems.length > 0) this.#fail();
  }

  #fail(): never {
    throw new InputError(`${this.what}: ${this.#problems.join('; ')}`);
  }
}

/** From here on numbers round to what f16 does not hold. */
export const BEYOND_F16 = 65520;

/** Errors: InputError for a value that f16 does not hold. */
function checkHalves(what: string, values: Float32Array): void {
  const odd = values.find((value) => !(Math.abs(value) < BEYOND_F16));
  if (odd !== undefined)
    throw new InputError(`${what} holds ${odd}, beyond f16 (-65504 to 65504): load it as f32`);
}

/** The parameters of a model, in the order the model asked for them. */
export class Parameters {
  readonly all: Map<string, Parameter>;
  readonly runtime: Runtime;
  readonly precision: StoredPrecision;
  readonly arena: Arena;
  readonly #source: Source;
  readonly #prefix: string;

  constructor(
    runtime: Runtime,
    source: Source,
    precision: StoredPrecision = 'f32',
    all = new Map<string, Parameter>(),
    prefix = '',
    arena = new Arena(runtime),
  ) {
    if (!stored.includes(precision))
      throw new InputError(`precision must be one of ${stored.join(', ')}, got ${JSON.stringify(precision)}`);
    this.runtime = runtime;
    this.precision = precision;
    this.arena = arena;
    this.all = all;
    this.#source = source;
    this.#prefix = prefix;
  }

  /** The same parameters under a longer prefix: `in('layers.0')`. */
  in(name: string): Parameters {
    const prefix = `${this.#prefix}${name}.`;
    return new Parameters(this.runtime, this.#source, this.precision, this.all, prefix, this.arena);
  }

  /**
   * One parameter, on the device once it is used; lives until `release`.
   * @param narrow it is f16 where that is the precision, and requires no gradient then; only kernels whose port says f16 take it
   * @returns it; of a narrow one in mixed precision its copy, which is what is computed with
   * @throws InputError for a name asked for twice, what is no shape, and a value that f16 does not hold
   */
  take(name: string, shape: Shape, init: Init, decay = true, narrow = false): Tensor {
    const full = this.#prefix + name;
    if (this.all.has(full)) throw new InputError(`parameter ${full} is defined twice`);
    checkShape(shape, `parameter ${full} `);
    if (sizeOf(shape) > MOST_VALUES)
      throw new InputError(`parameter ${full} [${shape}] of the configuration is over ${MOST_VALUES} values`);
    const values = this.#source.values(full, shape, init, this.all.size);
    const { what } = this.#source;
    const named = what === undefined ? `parameter ${full}` : `${what}: ${full}`;
    const precision = narrow ? this.precision : 'f32';
    if (precision !== 'f32') checkHalves(named, values);
    const given = precision === 'f16' ? narrowToHalves(values) : values;
    const slot = this.arena.add(given, shape, decay, precision === 'mixed');
    this.all.set(full, { tensor: slot.tensor, decay, slot });
    return slot.used;
  }

  /**
   * Parameters [n, ...] of this model that have not been used yet, below one another as one tensor [Σ n, ...] that shares
   * their memory. Its gradient is theirs.
   * @returns undefined where they cannot lie in a row: one of them has no multiple of 256 bytes
   */
  join(tensors: readonly Tensor[]): Tensor | undefined {
    const slots = new Map([...this.all.values()].map(({ slot }) => [slot.used, slot]));
    return this.arena.join(tensors.map((tensor) => slots.get(tensor) as Slot));
  }

  /** Puts all parameters on the device; without it that is done when the first of them is used. */
  place(): void {
    this.arena.place();
  }

  /** Clears all gradients. */
  zeroGrad(): void {
    this.arena.clearGradients();
  }

  /** Number of trainable values. */
  count(): number {
    let total = 0;
    for (const { tensor } of this.all.values()) total += tensor.size;
    return total;
  }

  /** All values on the host, by name; those in f16 as they were rounded. */
  async read(): Promise<Map<string, HostTensor>> {
    const names = [...this.all.keys()];
    const values = await this.runtime.readAll([...this.all.values()].map((p) => p.tensor));
    return new Map(
      names.map((name, i) => {
        const shape = this.all.get(name)?.tensor.shape ?? [];
        return [name, { shape, dtype: 'f32', data: values[i] as Float32Array }];
      }),
    );
  }

  /**
   * Writes values over a parameter, and over its copy where it has one; over one in f16 the nearest that it holds.
   * @throws InputError for a name that there is not, another count of values, and where f16 takes part one that it does not hold
   */
  async write(name: string, values: Float32Array): Promise<void> {
    const parameter = this.all.get(name);
    if (!parameter) throw new InputError(`there is no parameter ${name}`);
    const { tensor, slot } = parameter;
    if (slot.used.dtype === 'f32') return this.runtime.write(tensor, values);
    checkHalves(`parameter ${name}`, values);
    if (slot.used !== tensor) await this.runtime.write(tensor, values);
    await this.runtime.write(slot.used, narrowToHalves(values));
  }

  /** Frees weights and gradients. */
  release(): void {
    this.zeroGrad();
    for (const { tensor, slot } of this.all.values()) {
      tensor.release();
      slot.used.release();
    }
    this.arena.release();
    this.all.clear();
  }
}
