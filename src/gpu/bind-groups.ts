/** Bind groups, kept from batch to batch: by the run that they are of, and by the numbers of what they bind. */
import type { Dispatch } from '../../kernels/plan.ts';
import { GpuValidationError } from './errors.ts';
import type { Block } from './memory.ts';
import type { Meter } from './meter.ts';
import type { Layout } from './pipelines.ts';
import {
  UNIFORM_BYTES,
  type Kept,
  type Operands,
  type ReadyDispatch,
  type Run,
  type Slot,
} from './ready-plan.ts';

/** When there are so many, the half that was not used for longest is dropped. */
const MOST = 8192;
/** The batch of what was dropped: none comes after it. */
const DROPPED = Infinity;

/** Where bind groups have their slots from. */
interface Slots {
  /** A slot that nobody else has, until it is given back or all are; its first dispatch. */
  take(dispatch: Dispatch): Slot;
  give(slot: Slot): void;
  clear(): void;
}

export class BindGroups {
  readonly #device: GPUDevice;
  readonly #slots: Slots;
  readonly #meter: Meter;
  readonly #byHash = new Map<number, Kept>();
  #count = 0;
  #key: number[] = [];
  #state = 0;
  #batch = 0;

  constructor(device: GPUDevice, slots: Slots, meter: Meter) {
    this.#device = device;
    this.#slots = slots;
    this.#meter = meter;
  }

  /** Counts how often all were dropped: a run's bind groups hold while it stays. */
  get state(): number {
    return this.#state;
  }

  /** Drops all: the buffer of tables is another one, for one. */
  clear(): void {
    this.#byHash.clear();
    this.#count = 0;
    this.#slots.clear();
    this.#state++;
  }

  /**
   * A batch begins that is not the last one again. What it has of that is told by `stays`, before `of` finds the rest; of one that
   * repeats nothing is told.
   */
  begin(batch: number): void {
    if (this.#count >= MOST) this.#dropHalf();
    this.#batch = batch;
  }

  /** Those stay that the last batch had of which something was told. */
  #dropHalf(): void {
    const all: { hash: number; kept: Kept }[] = [];
    for (const [hash, first] of this.#byHash)
      for (let kept: Kept | undefined = first; kept; kept = kept.next) all.push({ hash, kept });
    all.sort((a, b) => b.kept.batch - a.kept.batch);
    this.#byHash.clear();
    this.#count = 0;
    for (const { hash, kept } of all)
      if (this.#count < MOST / 2 || kept.batch === this.#batch) {
        kept.next = this.#byHash.get(hash);
        this.#byHash.set(hash, kept);
        this.#count++;
      } else {
        kept.batch = DROPPED;
        if (kept.slot) this.#slots.give(kept.slot);
      }
  }

  /** A dispatch of the batch has it. */
  stays(kept: Kept, dispatch: Dispatch): void {
    kept.batch = this.#batch;
    kept.dispatch = dispatch;
  }

  /** The bind groups of a run, whose pipelines are compiled, by its dispatches. */
  of(run: Run, tables: GPUBuffer | undefined): readonly Kept[] {
    const { dispatches } = run.plan;
    if (
      run.state === this.#state &&
      run.groups.every((kept, i) => this.#isFree(kept, dispatches[i].dispatch))
    )
      run.groups.forEach((kept, i) => this.stays(kept, dispatches[i].dispatch));
    else {
      run.groups = dispatches.map((ready) => this.#find(ready, run, tables));
      run.state = this.#state;
    }
    return run.groups;
  }

  /** Whether a dispatch of the batch may have it. */
  #isFree(kept: Kept, dispatch: Dispatch): boolean {
    if (kept.batch === this.#batch) return !kept.slot || kept.dispatch === dispatch;
    return kept.batch < this.#batch;
  }

  #find(ready: ReadyDispatch, bound: Readonly<Operands>, tables: GPUBuffer | undefined): Kept {
    const { compiled } = ready.pipeline;
    if (!compiled) throw new GpuValidationError(`${ready.dispatch.label}: its pipeline is missing`);
    const { layout } = compiled;
    const key = this.#key;
    let hash = (key[0] = layout.id);
    let count = 1;
    for (const place of ready.operands) {
      if (place >= 0) {
        const { id } = bound.blocks[place] as Block;
        const part = bound.parts[place];
        if (part) {
          key[count++] = -2;
          key[count++] = part.offset;
          key[count++] = part.size;
          hash = Math.imul(hash, 31) + part.offset;
        }
        key[count++] = id;
        hash = Math.imul(hash, 31) + id;
      } else {
        const { offset, size } = bound.tables[-1 - place];
        key[count++] = -1;
        key[count++] = offset;
        key[count++] = size;
        hash = Math.imul(hash, 31) + offset + size;
      }
    }
    hash |= 0;
    const { dispatch } = ready;
    const first = this.#byHash.get(hash);
    let kept = first;
    while (kept && !(this.#isFree(kept, dispatch) && sameKey(kept.key, key, count))) kept = kept.next;
    if (!kept) {
      const slot = dispatch.uniforms.length > 0 ? this.#slots.take(dispatch) : undefined;
      const group = this.#make(ready, bound, layout, slot, tables);
      const batch = this.#batch;
      kept = { key: key.slice(0, count), group, slot, batch, dispatch, next: first };
      this.#byHash.set(hash, kept);
      this.#count++;
    }
    this.stays(kept, dispatch);
    return kept;
  }

  #make(
    { dispatch, operands }: ReadyDispatch,
    bound: Readonly<Operands>,
    { layout }: Layout,
    slot: Slot | undefined,
    tables: GPUBuffer | undefined,
  ): GPUBindGroup {
    const entries = operands.map((place, binding): GPUBindGroupEntry => {
      if (place < 0)
        return { binding, resource: { buffer: tables as GPUBuffer, ...bound.tables[-1 - place] } };
      const { buffer, boundSize } = bound.blocks[place] as Block;
      const { offset, size } = bound.parts[place] ?? { offset: 0, size: boundSize };
      return { binding, resource: { buffer, offset, size } };
    });
    if (slot) {
      const { buffer, offset } = slot;
      entries.push({ binding: entries.length, resource: { buffer, offset, size: UNIFORM_BYTES } });
    }
    this.#meter.bindGroups++;
    return this.#device.createBindGroup({ layout, entries, label: dispatch.label });
  }
}

function sameKey(a: readonly number[], b: readonly number[], count: number): boolean {
  if (a.length !== count) return false;
  for (let i = 0; i < count; i++) if (a[i] !== b[i]) return false;
  return true;
}
