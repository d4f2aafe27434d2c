/**
 * The dispatches of a batch in a row, as the encoder walks them. What a run has that is the run of the last batch, and lies
 * where it lay, is not looked up again.
 */
import type { BindGroups } from './bind-groups.ts';
import type { Phase } from './meter.ts';
import type { Kept, ReadyDispatch, Run } from './ready-plan.ts';

export class Commands {
  /** Dispatches of the batch, and of each what the encoder needs, side by side: lists are faster to walk than objects. */
  count = 0;
  readonly dispatches: ReadyDispatch[] = [];
  readonly phases: Phase[] = [];
  readonly flops: number[] = [];
  readonly pipelines: GPUComputePipeline[] = [];
  readonly groups: Kept[] = [];
  readonly workgroups: [x: number[], y: number[], z: number[]] = [[], [], []];
  /** By run of the last batch: its first dispatch and its last + 1, and the state of the bind groups that it has. */
  #runs: Run[] = [];
  readonly #firsts: number[] = [];
  readonly #ends: number[] = [];
  readonly #states: number[] = [];

  /** Takes the dispatches of a batch, whose pipelines are compiled. `bind` follows. */
  take(runs: readonly Run[]): void {
    let at = 0;
    for (let i = 0; i < runs.length; i++) {
      if (this.#runs[i] !== runs[i] || this.#firsts[i] !== at) this.#put(runs[i], i, at);
      at = this.#ends[i];
    }
    // A shorter batch may have written over what the rest had.
    this.#runs.length = runs.length;
    this.count = at;
  }

  #put(run: Run, i: number, first: number): void {
    const [x, y, z] = this.workgroups;
    let at = first;
    for (const ready of run.plan.dispatches) {
      const { flops, workgroups } = ready.dispatch;
      this.dispatches[at] = ready;
      this.phases[at] = run.phase;
      this.flops[at] = flops;
      this.pipelines[at] = ready.pipeline.compiled?.pipeline as GPUComputePipeline;
      x[at] = workgroups[0];
      y[at] = workgroups[1];
      z[at] = workgroups[2];
      at++;
    }
    this.#runs[i] = run;
    this.#firsts[i] = first;
    this.#ends[i] = at;
    this.#states[i] = -1;
  }

  /** Finds or makes the bind groups of batch `number`, once tables have their buffer. */
  bind(groups: BindGroups, number: number, tables: GPUBuffer | undefined): void {
    const { state } = groups;
    const runs = this.#runs;
    let found = 0;
    while (found < runs.length && this.#states[found] === state) found++;
    if (found === runs.length) return; // nothing is dropped then: what is here has not been told to stay
    groups.begin(number);
    for (let i = 0; i < runs.length; i++)
      if (this.#states[i] === state)
        for (let at = this.#firsts[i]; at < this.#ends[i]; at++)
          groups.stays(this.groups[at], this.dispatches[at].dispatch);
    for (let i = 0; i < runs.length; i++) {
      if (this.#states[i] === state) continue;
      let at = this.#firsts[i];
      for (const kept of groups.of(runs[i], tables)) this.groups[at++] = kept;
      this.#states[i] = state;
    }
  }
}
