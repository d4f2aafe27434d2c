/** What a GPU's shader compiler says of a pipeline, as rows: pure, so that it is tested without the compiler. */
import type { Dispatch } from '../kernels/plan.ts';

/** Operations of one round of a loop, by kind; `all` is of any kind, those of loops inside once. */
export interface LoopMix {
  /** Multiply-adds; a dual-issued pair counts as two operations. */
  fma: number;
  /** Products of matrices of a subgroup; absent where there are none. */
  matrix?: number;
  vector: number;
  /** Exponentials, logarithms, reciprocals, roots. */
  special: number;
  /** Accesses of workgroup memory, and of memory. */
  shared: number;
  memory: number;
  all: number;
}

/** What the compiler made of a pipeline. */
export interface Compiled {
  /** Registers a lane. */
  registers: number;
  /** Registers of a lane or a subgroup that did not fit, and bytes a lane that lie in memory instead. */
  spilledRegisters: number;
  scratchBytes: number;
  /** Bytes of workgroup memory. */
  sharedBytes: number;
  /** Lanes of a subgroup. */
  subgroup: number;
  /**
   * What one SIMD unit holds at a time, as Mesa counts it: from RDNA on in units of 32 lanes, at most 32, on CDNA in
   * subgroups of 64, at most 10.
   */
  occupancy: number;
  instructions: number;
  /** The loop with most multiply-adds; absent where there is no loop. */
  loop?: LoopMix;
}

/**
 * Reads the line of statistics that the driver writes for a pipeline, names as Mesa's RADV has them.
 * Errors: a statistic that is missing or no number, by name.
 */
export function parseStatistics(line: string): Omit<Compiled, 'loop'> {
  const values = JSON.parse(line) as Record<string, unknown>;
  const of = (name: string): number => {
    const value = values[name];
    if (typeof value !== 'number') throw new Error(`bench gpu-forms: the compiler gave no "${name}"`);
    return value;
  };
  return {
    registers: of('VGPRs'),
    spilledRegisters: of('Spilled VGPRs') + of('Spilled SGPRs'),
    scratchBytes: of('Scratch size'),
    sharedBytes: of('LDS size'),
    subgroup: of('subgroup'),
    occupancy: of('Subgroups per SIMD'),
    instructions: of('Instructions'),
  };
}

const FMA = /^v_(dual_|pk_)?(fma|fmac|mad|mac)/;
const MATRIX = /^v_(wmma|mfma)_/;
const SPECIAL = /^v_(exp|log|rcp|rsq|sqrt)_/;

function mixOf(lines: readonly string[]): LoopMix {
  const ops = lines
    .flatMap((line) => line.split('::').map((op) => op.trim()))
    .filter((op) => /^[a-z]/.test(op));
  const count = (pattern: RegExp): number => ops.filter((op) => pattern.test(op)).length;
  const matrix = count(MATRIX);
  return {
    ...(matrix > 0 ? { matrix } : {}),
    ...{ fma: count(FMA), vector: count(/^v_/), special: count(SPECIAL) },
    ...{ shared: count(/^ds_/), memory: count(/^(buffer|global|flat|scratch)_/), all: ops.length },
  };
}

/**
 * The loops of an AMD listing, in the order of their ends: from a label to a branch back to it. Comments (the encoding)
 * follow a semicolon.
 */
export function loopsOf(listing: string): LoopMix[] {
  const lines = listing
    .split('\n')
    .map((line) => line.replace(/;.*/, '').trim())
    .filter((line) => line !== '');
  const labels = new Map<string, number>();
  lines.forEach((line, i) => {
    const label = /^(BB\d+):/.exec(line)?.[1];
    if (label !== undefined) labels.set(label, i);
  });
  return lines.flatMap((line, end) => {
    const start = labels.get(/^s_c?branch\S*\s+(BB\d+)/.exec(line)?.[1] ?? '');
    return start === undefined || start >= end ? [] : [mixOf(lines.slice(start, end + 1))];
  });
}

/** The loop with most multiply-adds, of matrices or of numbers; of equals the shortest, which is the innermost. */
export const hotLoop = (loops: readonly LoopMix[]): LoopMix | undefined =>
  [...loops].sort((a, b) => (b.matrix ?? 0) - (a.matrix ?? 0) || b.fma - a.fma || a.all - b.all)[0];

/** Lanes of one workgroup, from expanded WGSL. Errors: no @workgroup_size of whole numbers before the entry point. */
export function workgroupLanes(wgsl: string, entryPoint: string): number {
  const before = wgsl.slice(0, Math.max(0, wgsl.indexOf(`fn ${entryPoint}(`)));
  const size = [...before.matchAll(/@workgroup_size\(([^)]*)\)/g)].at(-1)?.[1];
  const lanes = (size ?? '').split(',').filter((part) => part.trim() !== '');
  const product = lanes.reduce((n, part) => n * Number(part.trim().replace(/u$/, '')), 1);
  if (lanes.length === 0 || !Number.isInteger(product))
    throw new Error(`bench gpu-forms: no workgroup size of "${entryPoint}"`);
  return product;
}

/** What makes two dispatches one pipeline. */
export const pipelineKey = ({ shader, entryPoint, constants }: Dispatch): string =>
  JSON.stringify([shader.name, entryPoint, constants]);

/** The costliest dispatch of each pipeline, in the order of first use. */
export function byPipeline(dispatches: readonly Dispatch[]): Dispatch[] {
  const cost = (d: Dispatch): number => d.flops + d.bytesRead + d.bytesWritten;
  const found = new Map<string, Dispatch>();
  for (const dispatch of dispatches) {
    const known = found.get(pipelineKey(dispatch));
    if (!known || cost(dispatch) > cost(known)) found.set(pipelineKey(dispatch), dispatch);
  }
  return [...found.values()];
}

/** What is chosen on a GPU; every other form is one that the tuner, or a smaller GPU, may take. */
export const CHOSEN = 'chosen';
/** Products by the matrices of subgroups, which are taken on request alone: no GPU has run them. */
export const SUBGROUP_MATRIX = 'subgroup-matrix';

/** A use of a pipeline: its form, the first case that takes it, and lanes of its costliest dispatch. */
export interface Use {
  case: string;
  pass: 'forward' | 'backward';
  form: string;
  batch: number;
  lanes: number;
}

/** A pipeline on a family of GPUs. */
export interface FormRow extends Compiled, Omit<Use, 'batch' | 'lanes'> {
  family: string;
  pipeline: string;
  /** At batch 1 and 8, the fewest of the cases that take the pipeline in this form. */
  lanes1?: number;
  lanes8?: number;
  /** No device that has what it needs has been seen to compute it rightly, no GPU at least. */
  unverified?: boolean;
}

/** A form that a family has no compiler for, and why. */
export interface SkippedRow extends Pick<FormRow, 'family' | 'form'> {
  skipped: string;
}

/**
 * Of all uses of a pipeline what its row says: a choice goes before another form, the first case before others, and of
 * uses in that form the fewest lanes count.
 */
export function usesOf(uses: readonly Use[]): Pick<FormRow, 'case' | 'pass' | 'form' | 'lanes1' | 'lanes8'> {
  const first = uses.find(({ form }) => form === CHOSEN) ?? uses[0];
  const lanesAt = (at: number): number | undefined => {
    const lanes = uses
      .filter(({ form, batch }) => form === first.form && batch === at)
      .map((use) => use.lanes);
    return lanes.length > 0 ? Math.min(...lanes) : undefined;
  };
  const { case: name, pass, form } = first;
  return { case: name, pass, form, lanes1: lanesAt(1), lanes8: lanesAt(8) };
}

/** `matmul.main(TM=8,TN=8)`: without the constants that are 0. */
export function pipelineName({ shader, entryPoint, constants }: Dispatch): string {
  const set = Object.entries(constants).filter(([, value]) => value !== 0);
  return `${shader.name}.${entryPoint}(${set.map(([name, value]) => `${name}=${String(value)}`).join(',')})`;
}

/** Whether what a lane needs did not fit in registers. */
export const spills = ({ spilledRegisters, scratchBytes }: Compiled): boolean =>
  spilledRegisters > 0 || scratchBytes > 0;

/** The forms that spill, each pipeline once: `family pipeline`, in order. */
export const spilling = (rows: readonly FormRow[]): string[] => [
  ...new Set(rows.filter(spills).map(({ family, pipeline }) => `${family} ${pipeline}`)),
];
