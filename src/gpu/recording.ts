/**
 * The runs of plans that wait for their submit. A step that repeats records the same plans on the same memory in the same
 * order: a run that equals the one in its place in the last batch, or one that its plan remembers, is that one again, and
 * what was found for it holds.
 */
import type { Place } from './host-tables.ts';
import type { Phase } from './meter.ts';
import type { Operands, ReadyPlan, Run } from './ready-plan.ts';

export class Recording {
  #runs: Run[] = [];
  #last: readonly Run[] = [];
  /** Longer than the plan's own, which the rest is none of. */
  readonly #operands: Operands = { blocks: [], parts: [], tables: [] };

  get length(): number {
    return this.#runs.length;
  }

  /** To be filled with the operands of a plan, for `add`; the same lists again and again. */
  operandsOf(plan: ReadyPlan): Operands {
    const { blocks, parts } = this.#operands;
    const count = countOf(plan);
    for (let i = 0; i < count; i++) {
      blocks[i] = undefined;
      parts[i] = undefined;
    }
    return this.#operands;
  }

  add(plan: ReadyPlan, operands: Operands, phase: Phase): void {
    const last = this.#last[this.#runs.length] as Run | undefined;
    const again = last?.plan === plan && last.phase === phase && sameOperands(last, operands);
    this.#runs.push(again ? last : this.#earlier(plan, operands, phase));
  }

  /** A run of batches before the last, or a new one. */
  #earlier(plan: ReadyPlan, operands: Operands, phase: Phase): Run {
    const { runs } = plan;
    for (const run of runs) if (run.phase === phase && sameOperands(run, operands)) return run;
    const made = makeRun(plan, operands, phase);
    if (runs.length < MOST_RUNS) runs.push(made);
    else runs[plan.oldest++ % MOST_RUNS] = made;
    return made;
  }

  /** The runs of a batch; what is added from now on is of the next. */
  take(): readonly Run[] {
    const runs = this.#runs;
    this.#runs = [];
    if (runs.length > 0) this.#last = runs;
    return runs;
  }
}

/** Runs that a plan remembers: where batches differ, those of the same shape find theirs again. */
const MOST_RUNS = 16;

/** Most runs have no parts and many no tables: those have this list. */
const NONE: never[] = [];

const countOf = ({ inputs, outputs, scratch }: ReadyPlan): number => inputs + outputs.length + scratch.length;

const makeRun = (plan: ReadyPlan, { blocks, parts, tables }: Operands, phase: Phase): Run => ({
  plan,
  phase,
  blocks: blocks.slice(0, countOf(plan)),
  parts: parts.some((part) => part) ? parts.slice(0, countOf(plan)) : NONE,
  tables: plan.tables.length > 0 ? tables.slice(0, plan.tables.length) : NONE,
  groups: NONE,
  state: -1,
});

const samePlace = (a: Place | undefined, b: Place | undefined): boolean =>
  a === b || (a !== undefined && b !== undefined && a.offset === b.offset && a.size === b.size);

/** Whether those of a run are the operands of one of the same plan. */
function sameOperands(a: Readonly<Operands>, b: Operands): boolean {
  for (let i = 0; i < a.blocks.length; i++)
    if (a.blocks[i] !== b.blocks[i] || !samePlace(a.parts[i], b.parts[i])) return false;
  for (let i = 0; i < a.tables.length; i++) if (!samePlace(a.tables[i], b.tables[i])) return false;
  return true;
}
