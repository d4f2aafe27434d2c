/**
 * The memory of parameters: side by side in few buffers, and their gradients likewise, so that AdamW and the norm of all
 * gradients take a dispatch a buffer and not one a parameter. Where a parameter lies is decided when the first of them
 * is used: all those taken until then are known. Those in f16 lie in buffers of their own, for inference: they have no
 * gradients. So do those that have a copy in f16, which lies in a buffer beside theirs, element for element: the copy is what is
 * computed with, its gradient is the parameter's.
 */
import { InputError, SpanwiseError } from '../../kernels/errors.ts';
import { bytesOf, sizeOf, type DType, type Shape } from '../../kernels/plan.ts';
import { narrowToHalves } from '../io/half.ts';
import type { Block, Storage } from '../gpu/memory.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { Tensor, type GradientHome } from '../gpu/tensor.ts';
import type { Values } from '../gpu/values.ts';

/** Parameters begin at multiples of this many bytes: a binding's offset may have to be one. */
const ALIGN = 256;
/** Most bytes of a chunk, but for a larger parameter. Backward takes the memory of gradients a chunk at a time. */
const CHUNK_BYTES = 64 * 2 ** 20;

/** The first element behind `size` others where a parameter may begin. */
export function aligned(size: number, dtype: DType = 'f32'): number {
  const align = dtype === 'f16' ? ALIGN / 2 : ALIGN / 4;
  return align * Math.ceil(size / align);
}

/** One buffer of parameters, the decaying ones first, and while there are any one of their gradients. */
export class Chunk {
  /** In the order in which they lie. */
  readonly slots: readonly Slot[];
  readonly length: number;
  readonly weights: Tensor;
  /** All weights in f16; whoever writes weights writes these. */
  readonly copy: Tensor | undefined;
  #gradients: Tensor | undefined;
  #live: number;

  constructor(runtime: Runtime, slots: readonly Slot[], length: number) {
    this.slots = slots;
    this.length = length;
    this.#live = slots.length;
    const [{ tensor, used }] = slots;
    const values = tensor.dtype === 'f16' ? new Uint16Array(length) : new Float32Array(length);
    for (const slot of slots) values.set(slot.takeValues(), slot.first);
    const own = (data: Values): Tensor => runtime.keep(runtime.upload(data, [length], 'weights'));
    this.weights = own(values);
    if (used !== tensor) this.copy = own(narrowToHalves(values as Float32Array));
  }

  /** The gradients of all slots; what no backward has written is undefined. */
  get gradients(): Tensor {
    const { runtime } = this.weights;
    return (this.#gradients ??= runtime.keep(runtime.empty([this.length], 'f32', 'gradients')));
  }

  clearGradients(): void {
    for (let i = 0; i < this.slots.length; i++) this.slots[i].clearGradient();
    this.#gradients?.release();
    this.#gradients = undefined;
  }

  /** Called for each slot: the last one takes the memory with it. */
  free(): void {
    if (--this.#live > 0) return;
    this.clearGradients();
    this.weights.release();
    this.copy?.release();
  }
}

/** The place of the gradients of parameters that lie in a row, as one tensor: the same step after step. */
class GradientRow implements GradientHome, Storage {
  readonly parts: readonly Tensor[] | undefined;
  references = 0;
  writtenAt = 0;
  readonly #slots: readonly Slot[];
  readonly #shape: Shape;
  #tensor: Tensor | undefined;

  /** @param parts the parameters, where the row is of a tensor that stands for them */
  constructor(slots: readonly Slot[], shape: Shape, parts?: readonly Tensor[]) {
    this.#slots = slots;
    this.#shape = shape;
    this.parts = parts;
  }

  /** Whether a gradient is what lies here. */
  holds(grad: Tensor): boolean {
    return grad === this.#tensor && !grad.released;
  }

  get tensor(): Tensor {
    if (!this.#tensor || this.#tensor.released) {
      const { runtime } = this.#slots[0].chunk.weights;
      this.#tensor = runtime.keep(new Tensor(runtime, this.#shape, 'f32', this));
    }
    return this.#tensor;
  }

  /** Errors: the gradients have been cleared, and no backward has written them since. */
  get block(): Block {
    for (const { claimed } of this.#slots)
      if (!claimed) throw new SpanwiseError('a gradient was used that had been cleared');
    return this.#slots[0].chunk.gradients.block;
  }

  get offset(): number {
    return 4 * this.#slots[0].first;
  }

  /** The chunk gives it back, when gradients are cleared. */
  free(): void {}

  claim(): Tensor | undefined {
    const slots = this.#slots;
    for (let i = 0; i < slots.length; i++) if (slots[i].claimed || slots[i].tensor.grad) return undefined;
    for (let i = 0; i < slots.length; i++) slots[i].claimed = true;
    void slots[0].chunk.gradients;
    return this.tensor;
  }

  split(grad: Tensor): Tensor[] {
    if (grad === this.#tensor) return this.#slots.map(({ home }) => home.tensor);
    let first = 0;
    const split = this.#slots.map(({ tensor: { shape, size } }) => grad.slice((first += size) - size, shape));
    grad.release();
    return split;
  }
}

/** A parameter's place. */
export class Slot implements Storage {
  readonly tensor: Tensor;
  /** What is computed with: the tensor, or its copy. */
  readonly used: Tensor;
  /** Where that lies. */
  readonly storage: Storage;
  readonly decay: boolean;
  readonly size: number;
  /** Set once a backward may have written its gradient. */
  claimed = false;
  readonly home: GradientRow;
  references = 0;
  #writtenAt = 0;
  /** First element in the chunk. */
  first = 0;
  /** Those that must lie in a row, it among them. */
  row: readonly Slot[];
  readonly #arena: Arena;
  #values: Float32Array | Uint16Array | undefined;
  #chunk: Chunk | undefined;

  constructor(
    arena: Arena,
    values: Float32Array | Uint16Array,
    { shape, decay, copied }: { shape: Shape; decay: boolean; copied: boolean },
  ) {
    this.#arena = arena;
    this.#values = values;
    this.decay = decay;
    this.size = values.length;
    this.row = [this];
    const dtype = values instanceof Uint16Array ? 'f16' : 'f32';
    this.tensor = new Tensor(arena.runtime, shape, dtype, this);
    this.tensor.requiresGrad = dtype === 'f32';
    this.home = new GradientRow(this.row, shape);
    this.tensor.home = this.home;
    this.storage = copied ? new CopyPlace(this) : this;
    this.used = copied ? new Tensor(arena.runtime, shape, 'f16', this.storage) : this.tensor;
    if (!copied) return;
    this.used.requiresGrad = true;
    this.used.home = new GradientRow(this.row, shape, [this.tensor]);
  }

  /** Its chunk, once it has one. */
  get placed(): Chunk | undefined {
    return this.#chunk;
  }

  get chunk(): Chunk {
    if (!this.#chunk) this.#arena.place();
    return this.#chunk as Chunk;
  }

  get block(): Block {
    return this.chunk.weights.block;
  }

  get offset(): number {
    void this.chunk;
    return bytesOf([this.first], this.tensor.dtype);
  }

  /** Alone, or with all of the chunk: the optimizer writes that as one. */
  get writtenAt(): number {
    return Math.max(this.#writtenAt, this.#chunk?.weights.writtenAt ?? 0);
  }

  set writtenAt(writes: number) {
    this.#writtenAt = writes;
  }

  clearGradient(): void {
    const { grad } = this.tensor;
    if (grad && !this.home.holds(grad)) grad.release();
    this.tensor.grad = undefined;
    this.claimed = false;
  }

  put(chunk: Chunk): void {
    this.#chunk = chunk;
  }

  /** Its first values, which the host need not hold any longer. */
  takeValues(): Float32Array | Uint16Array {
    const values = this.#values as Float32Array | Uint16Array;
    this.#values = undefined;
    return values;
  }

  free(): void {
    if (this.#chunk) this.#chunk.free();
    else this.#arena.drop(this);
  }
}

/** A parameter's place in the copy of its chunk. */
class CopyPlace implements Storage {
  readonly #slot: Slot;
  references = 0;

  constructor(slot: Slot) {
    this.#slot = slot;
  }

  get #copy(): Tensor {
    return this.#slot.chunk.copy as Tensor;
  }

  get block(): Block {
    return this.#copy.block;
  }

  get offset(): number {
    return bytesOf([this.#slot.first], 'f16');
  }

  get writtenAt(): number {
    return this.#copy.writtenAt;
  }

  set writtenAt(writes: number) {
    this.#copy.writtenAt = writes;
  }

  /** The chunk's: it goes with the parameters themselves. */
  free(): void {}
}

export class Arena {
  readonly runtime: Runtime;
  readonly #chunks: Chunk[] = [];
  #waiting: Slot[] = [];
  #joined: Tensor[] = [];

  constructor(runtime: Runtime) {
    this.runtime = runtime;
  }

  /**
   * A new parameter with these values (bits of f16 in a Uint16Array), which are on the device once it is used. Errors: a count
   * that does not fit.
   * @param copied it has a copy in f16, which is computed with
   */
  add(values: Float32Array | Uint16Array, shape: Shape, decay: boolean, copied = false): Slot {
    if (values.length !== sizeOf(shape))
      throw new InputError(`${values.length} values do not fill a parameter of shape [${shape}]`);
    const slot = new Slot(this, values, { shape, decay, copied });
    this.#waiting.push(slot);
    return slot;
  }

  /**
   * Parameters [n, ...] that were taken and not used yet, below one another: [Σ n, ...], without a copy. Those that lie in
   * a row may be part of such a tensor again.
   * @returns undefined where they cannot: one of them is no multiple of 256 bytes, as it is used, in use, or in another row
   */
  join(slots: readonly Slot[]): Tensor | undefined {
    const { decay, tensor, used, storage } = slots[0];
    const { dtype, requiresGrad } = used;
    const fit = (slot: Slot): boolean =>
      aligned(slot.size, dtype) === slot.size &&
      slot.decay === decay &&
      slot.used.dtype === dtype &&
      slot.tensor.dtype === tensor.dtype &&
      this.#waiting.includes(slot);
    if (!slots.every(fit)) return undefined;
    const { row } = slots[0];
    const at = row.indexOf(slots[0]);
    if (slots.every((slot) => slot.row.length === 1)) for (const slot of slots) slot.row = slots;
    else if (slots.some((slot, i) => slot !== row[at + i])) return undefined;
    const rows = slots.reduce((sum, { tensor }) => sum + tensor.shape[0], 0);
    const shape = [rows, ...tensor.shape.slice(1)];
    const joined = new Tensor(this.runtime, shape, dtype, storage);
    joined.requiresGrad = requiresGrad;
    const parts = slots.map(({ tensor }) => tensor);
    joined.home = new GradientRow(slots, shape, parts);
    this.#joined.push(joined);
    return joined;
  }

  /** Puts all that waits into chunks and on the device. */
  place(): void {
    if (this.#waiting.length === 0) return;
    const { caps } = this.runtime;
    const most = Math.min(CHUNK_BYTES, caps.maxStorageBufferBindingSize, caps.maxBufferSize);
    const waiting = new Set(this.#waiting.map((slot) => slot.row));
    this.#waiting = [];
    for (const [dtype, ofUsed] of [
      ['f32', 'f32'],
      ['f32', 'f16'],
      ['f16', 'f16'],
    ])
      this.#placeRows(
        [...waiting].filter(([{ tensor, used }]) => tensor.dtype === dtype && used.dtype === ofUsed),
        most,
      );
  }

  /**
   * @param all of the same types
   * @param most bytes of a chunk
   */
  #placeRows(all: readonly (readonly Slot[])[], most: number): void {
    const sizeIn = ({ size, used }: Slot): number => aligned(size, used.dtype);
    let rows: (readonly Slot[])[] = [];
    let length = 0;
    const close = (): void => {
      const slots = [true, false].flatMap((decay) => rows.filter(([slot]) => slot.decay === decay)).flat();
      let end = 0;
      for (const slot of slots) {
        slot.first = end;
        end += sizeIn(slot);
      }
      if (slots.length > 0) {
        const chunk = new Chunk(this.runtime, slots, end);
        for (const slot of slots) slot.put(chunk);
        this.#chunks.push(chunk);
      }
      rows = [];
      length = 0;
    };
    for (const row of all) {
      const size = row.reduce((sum, slot) => sum + sizeIn(slot), 0);
      if (bytesOf([length + size], row[0].tensor.dtype) > most) close();
      rows.push(row);
      length += size;
    }
    close();
  }

  /** In no particular order; all parameters are in one. */
  get chunks(): readonly Chunk[] {
    this.place();
    return this.#chunks;
  }

  /** A parameter that is released before it was used. */
  drop(slot: Slot): void {
    this.#waiting = this.#waiting.filter((other) => other !== slot);
  }

  /** Clears all gradients and gives their memory back. */
  clearGradients(): void {
    for (const chunk of this.#chunks) chunk.clearGradients();
    for (const slot of this.#waiting) slot.clearGradient();
  }

  /** Releases what `join` made; parameters are released one by one. */
  release(): void {
    for (const tensor of this.#joined) tensor.release();
    this.#joined = [];
    this.#chunks.length = 0;
  }
}
