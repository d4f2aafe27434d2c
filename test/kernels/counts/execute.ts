/** Executes the dispatches of a plan in JavaScript, and counts what they do. */
import { compileFunction } from 'node:vm';
import { bytesOf, sizeOf, type Dispatch, type Plan } from '../../../kernels/plan.ts';
import { wgslOf } from '../../../kernels/wgsl.ts';
import { widenHalves } from '../../../src/io/half.ts';
import { translate, type Operations, type Translation } from './translate.ts';

/** What a dispatch did. Elements are words of 4 bytes in storage. */
export interface Counts {
  operations: Operations;
  /** Loads, and the different elements among them that the dispatch had not stored itself. */
  loads: number;
  read: number;
  stores: number;
  written: number;
}

type View = 'f32' | 'i32' | 'u32';

/** A storage buffer that counts. */
class Memory {
  readonly #views: Record<View, Float32Array | Int32Array | Uint32Array>;
  readonly #read: Uint8Array;
  readonly #written: Uint8Array;
  loads = 0;
  stores = 0;
  constructor(
    readonly name: string,
    data: Float32Array | Int32Array,
  ) {
    const { buffer, byteOffset, length } = data;
    this.#views = {
      f32: new Float32Array(buffer, byteOffset, length),
      i32: new Int32Array(buffer, byteOffset, length),
      u32: new Uint32Array(buffer, byteOffset, length),
    };
    this.#read = new Uint8Array(length);
    this.#written = new Uint8Array(length);
  }
  /** Elements loaded that were not stored before, and elements stored. */
  get read(): number {
    return this.#read.reduce((sum, one) => sum + one, 0);
  }
  get written(): number {
    return this.#written.reduce((sum, one) => sum + one, 0);
  }
  /** WGSL reads the last element in place of one past the end. */
  #inside(at: number, width: number): number {
    return Math.min(at, this.#read.length - width);
  }
  load(asked: number, width: number, view: View): number | number[] {
    const at = this.#inside(asked, width);
    this.loads += width;
    for (let i = at; i < at + width; i++) this.#read[i] ||= 1 - this.#written[i];
    const from = this.#views[view];
    return width === 1 ? from[at] : Array.from(from.subarray(at, at + width));
  }
  store(at: number, value: number | number[], view: View): void {
    const values = typeof value === 'number' ? [value] : value;
    if (at + values.length > this.#read.length) throw new Error(`${this.name}: a store past its end`);
    this.stores += values.length;
    values.forEach((one, i) => {
      this.#views[view][at + i] = one;
      this.#written[at + i] = 1;
    });
  }
}

const word = new DataView(new ArrayBuffer(4));
const set = {
  f32: (x: number) => word.setFloat32(0, x),
  i32: (x: number) => word.setInt32(0, x),
  u32: (x: number) => word.setUint32(0, x),
};
const get = { f32: () => word.getFloat32(0), i32: () => word.getInt32(0), u32: () => word.getUint32(0) };

function copy(value: unknown): unknown {
  if (Array.isArray(value)) return typeof value[0] === 'number' ? value.slice() : value.map(copy);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, copy(field)]));
}

/** What translated functions call. */
const prelude = {
  F: Math.fround,
  math: {
    ...{ abs: Math.abs, exp: Math.exp, log: Math.log, log2: Math.log2, sqrt: Math.sqrt, tanh: Math.tanh },
    ...{ max: Math.max, min: Math.min, floor: Math.floor, ceil: Math.ceil },
    exp2: (x: number) => 2 ** x,
    inverseSqrt: (x: number) => 1 / Math.sqrt(x),
    unpack2x16float: (x: number) => [...widenHalves(Uint16Array.of(x & 0xffff, x >>> 16))],
    dot: (a: number[], b: number[]) => Math.fround(a.reduce((sum, x, i) => sum + x * b[i], 0)),
  },
  copy,
  choose: <T>(no: T, yes: T, which: boolean): T => (which ? yes : no),
  bits(x: number, from: View, to: View): number {
    set[from](x);
    return get[to]();
  },
};

type Lane = Generator<[string, number | number[]] | undefined, void, unknown>;
interface Module {
  main: (...builtins: unknown[]) => Lane | undefined;
  /** To be called before a lane goes on. */
  enter: (lane: number) => void;
  reset: () => void;
}

interface Compiled extends Translation {
  start: (hits: number[], buffers: object, params: object) => Module;
}

const compiled = new Map<string, Compiled>();

function compile(wgsl: string): Compiled {
  const known = compiled.get(wgsl);
  if (known) return known;
  const translation = translate(wgsl);
  const body = compileFunction(`const { F, math, copy, choose, bits } = prelude;\n${translation.js}`, [
    'prelude',
    'hits',
    'buffers',
    'params',
  ]) as (...args: unknown[]) => Module;
  const made = { ...translation, start: body.bind(undefined, prelude) as Compiled['start'] };
  compiled.set(wgsl, made);
  return made;
}

/** What each lane of a subgroup gets, from what all of them gave. */
function together(name: string, given: (number | number[])[]): (number | number[])[] {
  const swap = { quadSwapX: 1, quadSwapY: 2, quadSwapDiagonal: 3 }[name];
  if (swap !== undefined) return given.map((_, i) => given[i ^ swap]);
  const combine = (a: number, b: number): number =>
    name === 'subgroupAdd' ? Math.fround(a + b) : Math.max(a, b);
  const all = given.reduce((a, b) =>
    typeof a === 'number' ? combine(a, b as number) : a.map((x, i) => combine(x, (b as number[])[i])),
  );
  return given.map(() => all);
}

/** All lanes of a workgroup, from barrier to barrier. */
function runLanes(lanes: Lane[], subgroup: number, enter: Module['enter']): void {
  let answers: unknown[] = [];
  for (let live = lanes.map((_, i) => i); live.length > 0;) {
    const steps = live.map((i) => {
      enter(i);
      return { i, ...lanes[i].next(answers[i]) };
    });
    const waiting = steps.filter(({ done }) => !done);
    answers = [];
    for (let first = 0; first < lanes.length; first += subgroup) {
      const group = waiting.filter(({ i }) => i >= first && i < first + subgroup);
      if (!group[0]?.value) continue;
      const given = group.map(({ value }) => value![1]);
      together(group[0].value[0], given).forEach((answer, j) => (answers[group[j].i] = answer));
    }
    live = waiting.map(({ i }) => i);
  }
}

/** The tensors of a plan by name, of which outputs and scratch are made here; NaN before they are written. */
export function placeTensors(
  plan: Plan,
  given: Readonly<Record<string, Float32Array | Int32Array>>,
): Record<string, Float32Array | Int32Array> {
  const made = Object.entries({ ...plan.scratch, ...plan.outputs }).map(
    ([name, { shape, dtype }]) =>
      [
        name,
        dtype === 'f32'
          ? new Float32Array(sizeOf(shape)).fill(NaN)
          : new Int32Array(bytesOf(shape, dtype) / 4).fill(-1), // of f16 two NaN
      ] as const,
  );
  const tensors: Record<string, Float32Array | Int32Array> = {
    ...Object.fromEntries(made),
    ...plan.data,
    ...given,
  };
  for (const [output, input] of Object.entries(plan.inPlace ?? {})) tensors[output] = tensors[input];
  return tensors;
}

/**
 * Executes a dispatch.
 * @param tensors by the names of its bindings
 * @param subgroup lanes of a subgroup
 */
export function execute(
  dispatch: Dispatch,
  tensors: Readonly<Record<string, Float32Array | Int32Array>>,
  subgroup: number,
): Counts {
  const { bindings, uniforms, workgroups, shader, entryPoint } = dispatch;
  if (entryPoint !== 'main') throw new Error(`${shader.name}: entry point ${entryPoint}`);
  const { start, runs, workgroupSize, builtins, fields } = compile(wgslOf(dispatch));
  const memories = new Map<string, Memory>();
  const buffers: Record<string, Memory> = {};
  for (const { name, tensor } of bindings) {
    const memory = memories.get(tensor) ?? new Memory(`${shader.name}.${name}`, tensors[tensor]);
    memories.set(tensor, memory);
    buffers[name] = memory;
  }
  const params = fields.map(({ name, signed }, i) => {
    const value = uniforms[i];
    return [name, typeof value !== 'number' ? Math.fround(value.f32) : signed ? value | 0 : value] as const;
  });
  const hits = runs.map(() => 0);
  const module = start(hits, buffers, Object.fromEntries(params));
  const [x, y = 1, z = 1] = workgroupSize;
  for (let gz = 0; gz < workgroups[2]; gz++)
    for (let gy = 0; gy < workgroups[1]; gy++)
      for (let gx = 0; gx < workgroups[0]; gx++) {
        module.reset();
        const lanes: Lane[] = [];
        for (let index = 0; index < x * y * z; index++) {
          const known: Record<string, unknown> = {
            workgroup_id: [gx, gy, gz],
            num_workgroups: workgroups,
            local_invocation_index: index,
            local_invocation_id: [index % x, Math.floor(index / x) % y, Math.floor(index / (x * y))],
            global_invocation_id: [
              gx * x + (index % x),
              gy * y + (Math.floor(index / x) % y),
              gz * z + Math.floor(index / (x * y)),
            ],
            subgroup_size: subgroup,
            subgroup_invocation_id: index % subgroup,
          };
          module.enter(index);
          const lane = module.main(...builtins.map((name) => known[name]));
          if (lane) lanes.push(lane);
        }
        runLanes(lanes, subgroup, module.enter);
      }
  const operations: Operations = {};
  runs.forEach((run, i) => {
    for (const [name, count] of Object.entries(run))
      operations[name] = (operations[name] ?? 0) + count * hits[i];
  });
  const sum = (key: 'loads' | 'read' | 'stores' | 'written'): number =>
    [...memories.values()].reduce((total, memory) => total + memory[key], 0);
  return {
    operations,
    loads: sum('loads'),
    read: sum('read'),
    stores: sum('stores'),
    written: sum('written'),
  };
}
