/** A tensor, and what tensors and operations know of the runtime and of the tape: the three name each other. */
import {
  boundBytes,
  bytesOf,
  sizeOf,
  type Caps,
  type DType,
  type Kernel,
  type Params,
  type Shape,
} from '../../kernels/plan.ts';
import { InputError, SpanwiseError } from '../../kernels/errors.ts';
import { checkShape, type Values } from './values.ts';
import type { Place } from './host-tables.ts';
import type { Block, Label, Memory, Storage } from './memory.ts';
import type { Asked, HostValues, KernelPlan } from './kernel-plan.ts';
import type { ReadyPlan } from './ready-plan.ts';
import type { GPUBuffer } from './webgpu.ts';

export interface WrapOptions {
  /** Byte of the buffer where the elements begin; 0 unless given. */
  offset?: number;
  dtype?: DType;
  label?: Label;
}

export interface KernelOptions {
  params?: Params;
  /** Integer inputs that the plan reads. */
  host?: Readonly<Record<string, HostValues>>;
  /** Outputs of a backward kernel that are wanted; all when absent. */
  wanted?: readonly string[];
  /** What the outputs' bytes are for. */
  label?: Label;
  /**
   * Tensors of their shapes that outputs are written to in place of new ones, by output: over a buffer of the caller's, say
   * (`wrap`). In no buffer that an input lies in: WebGPU cannot read and write one in a dispatch.
   */
  out?: Readonly<Record<string, Tensor | undefined>>;
  /** Those of them that are added to: outputs that the kernel `adds`. */
  add?: readonly string[];
}

/** A tensor for a gradient: it is written there, or added to the one that is there. */
export interface GradientPlace {
  tensor: Tensor;
  add: boolean;
}

/** What operations ask of the runtime of a tensor; see Runtime, which is it. */
export interface TensorRuntime {
  readonly caps: Caps;
  readonly memory: Memory;
  tape: Recorder | undefined;
  /** Tensors written over so far, by the host or in place: what a backward needs must not be among the later ones. */
  readonly writes: number;
  empty(shape: Shape, dtype?: DType, label?: Label): Tensor;
  upload(data: Values, shape: Shape, label?: Label): Tensor;
  read(tensor: Tensor): Promise<Float32Array | Int32Array>;
  track(tensor: Tensor): Tensor;
  keep(tensor: Tensor): Tensor;
  tidy<T>(body: () => T): T;
  kernel(
    kernel: Kernel,
    inputs: Readonly<Record<string, Tensor | undefined>>,
    options?: KernelOptions,
  ): Record<string, Tensor>;
  /** The plan of a kernel, kept or made: see PlanCache.find. */
  plan(asked: Asked): KernelPlan;
  /** Records it on what it was asked for: see Runtime.execute. */
  execute(
    plan: ReadyPlan,
    given: readonly unknown[],
    label: Label,
    into?: readonly (Tensor | undefined)[],
  ): Tensor[];
}

/** Keeps the operations that run while it is `Runtime.tape`; the tape of src/ops is one. */
export interface Recorder {
  record(node: Node): void;
  /** Operations kept so far. */
  readonly length: number;
}

/** One operation that ran. */
export interface Node {
  op: string;
  /** Inputs that require a gradient. */
  inputs: readonly Tensor[];
  /** All that it made: also what only its backward needs. It is released once that has run. */
  outputs: readonly Tensor[];
  /**
   * Gradients of `inputs`, given those of `outputs` (undefined where the loss does not depend on that output).
   * The tape adds to the returned tensors in place, so each is a new one, and no two share memory; a view of a given
   * gradient is fine, and so is the tensor in `places` where that was used.
   */
  backward(
    grads: readonly (Tensor | undefined)[],
    places: readonly (GradientPlace | undefined)[],
  ): readonly (Tensor | undefined)[];
}

/** Where the gradient of a parameter belongs, so that what all gradients go through need not look for each of them. */
export interface GradientHome {
  /** That place as a tensor, for a kernel to write; once between two clearings, and not where a gradient is already. */
  claim(): Tensor | undefined;
  /** Parameters that lie in a row as one: each has the gradient of its elements, the tensor itself none. */
  readonly parts?: readonly Tensor[] | undefined;
  /** A gradient as those of `parts`, which take its place. */
  split(grad: Tensor): readonly Tensor[];
}

/**
 * A row-major tensor on the device. It belongs to the scope it was made in (Runtime.scope) and lives until that scope
 * ends, `release()` is called, or, made outside any scope, the runtime closes.
 */
export class Tensor {
  readonly runtime: TensorRuntime;
  readonly shape: Shape;
  readonly dtype: DType;
  /** The gradient of the last `backward`, for leaves that require one. */
  grad: Tensor | undefined;
  /** Part of the graph: the tape records operations on it. */
  requiresGrad = false;
  /** What recorded the operation that made it; undefined for leaves. */
  recorder: Recorder | undefined;
  /** Of what was recorded: its gradient as far as a backward has come. */
  flow: Tensor | undefined;
  /** Out of all scopes: see Runtime.keep. */
  kept = false;
  /** Of a parameter alone. */
  home: GradientHome | undefined;
  readonly #storage: Storage;
  /** Bytes from the storage's first. */
  readonly #offset: number;
  #part: Place | undefined | null = null;
  #released = false;

  /** For the runtime's use; see Runtime.upload, Runtime.empty, Runtime.wrap. */
  constructor(runtime: TensorRuntime, shape: Shape, dtype: DType, storage: Storage, offset = 0) {
    this.runtime = runtime;
    this.shape = shape;
    this.dtype = dtype;
    this.#storage = storage;
    this.#offset = offset;
    storage.references++;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get bytes(): number {
    return bytesOf(this.shape, this.dtype);
  }

  get released(): boolean {
    return this.#released;
  }

  /** The block behind the tensor. Errors: the tensor was released. */
  get block(): Block {
    if (this.#released) throw new SpanwiseError(`a released tensor of shape [${this.shape}] was used`);
    return this.#storage.block;
  }

  /**
   * The GPU buffer that holds the elements from byte `offset`, without a copy. It stays Spanwise's: it is valid until the
   * tensor is released, and must not be destroyed. Call `runtime.flush()` before using it elsewhere.
   */
  get buffer(): GPUBuffer {
    return this.block.buffer;
  }

  /** Where the elements begin in `buffer`, in bytes: 0 but for parameters, their gradients and slices. */
  get offset(): number {
    return this.#storage.offset + this.#offset;
  }

  /** The last write over its memory, in terms of `TensorRuntime.writes`. */
  get writtenAt(): number {
    return this.#storage.writtenAt;
  }

  set writtenAt(writes: number) {
    this.#storage.writtenAt = writes;
  }

  /** What of its block it is, where that is not all that was asked of the block: others may lie beside it. */
  get part(): Place | undefined {
    if (this.#part === null) {
      const { block, offset, bytes } = this;
      const whole = offset === 0 && block.charged === bytes;
      const size = Math.min(boundBytes(bytes), 4 * Math.floor((block.size - offset) / 4));
      // Of a buffer of others it is what was wrapped: more may lie behind it.
      this.#part = whole && (!block.external || size === block.boundSize) ? undefined : { offset, size };
    }
    return this.#part;
  }

  /** The same elements under another shape, sharing memory. Not recorded on the tape: see ops `reshape`. */
  view(shape: Shape): Tensor {
    checkShape(shape, 'view: ');
    if (sizeOf(shape) !== this.size)
      throw new SpanwiseError(`view: [${this.shape}] has ${this.size} elements, [${shape}] ${sizeOf(shape)}`);
    return this.slice(0, shape);
  }

  /**
   * The elements from `first` on, under a shape, sharing memory. A kernel takes it where its first byte lies on a multiple
   * of the device's `minStorageBufferOffsetAlignment`.
   * @param first even where they are f16, two to a word
   */
  slice(first: number, shape: Shape): Tensor {
    checkShape(shape, 'slice: ');
    if (!(Number.isInteger(first) && first >= 0))
      throw new InputError(`slice: ${first} is no element of [${this.shape}]`);
    if (first + sizeOf(shape) > this.size)
      throw new SpanwiseError(`slice: [${this.shape}] has no [${shape}] from element ${first} on`);
    if (this.dtype === 'f16' && first % 2 === 1)
      throw new InputError(`slice: an f16 tensor is cut at even elements, got ${first}`);
    void this.block;
    const offset = this.#offset + bytesOf([first], this.dtype);
    return this.runtime.track(new Tensor(this.runtime, shape, this.dtype, this.#storage, offset));
  }

  /** Copies the elements to the host, f16 widened: flushes and waits. */
  async read(): Promise<Float32Array> {
    return (await this.runtime.read(this)) as Float32Array;
  }

  /** Gives the memory back (or the view's share of it). Safe to call twice. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    if (--this.#storage.references === 0) this.#storage.free();
  }
}
