/** Counts what plans say they do: FLOPs, multiply-adds, bytes and dispatches, by phase and kernel. */
const phases = ['forward', 'backward', 'optimizer'] as const;
export type Phase = (typeof phases)[number];

export interface Work {
  dispatches: number;
  macs: number;
  flops: number;
  bytesRead: number;
  bytesWritten: number;
  /** GPU time in nanoseconds, where the runtime profiles with timestamp queries; 0 otherwise. */
  gpuNanoseconds: number;
}

/** What the dispatches of a plan add up to by label, and the runs of it by phase that no total has yet. */
export interface PlanWork {
  readonly labels: readonly { readonly label: string; readonly work: Readonly<Work> }[];
  readonly runs: Record<Phase, number>;
  /** Whether there are some. */
  pending: boolean;
}

/** Plans whose runs wait to be added up. */
const MOST_PENDING = 1024;

export const noWork = (): Work => ({
  dispatches: 0,
  macs: 0,
  flops: 0,
  bytesRead: 0,
  bytesWritten: 0,
  gpuNanoseconds: 0,
});

function addWork(to: Work, from: Readonly<Work>, times = 1): void {
  to.dispatches += times * from.dispatches;
  to.macs += times * from.macs;
  to.flops += times * from.flops;
  to.bytesRead += times * from.bytesRead;
  to.bytesWritten += times * from.bytesWritten;
  to.gpuNanoseconds += times * from.gpuNanoseconds;
}

export class Meter {
  /** Submits, pipelines and bind groups made since the last reset. */
  submits = 0;
  pipelines = 0;
  bindGroups = 0;
  phase: Phase = 'forward';
  readonly #work: Readonly<Record<Phase, Map<string, Work>>> = {
    forward: new Map(),
    backward: new Map(),
    optimizer: new Map(),
  };
  readonly #pending: PlanWork[] = [];

  /** Counts one run of a plan under the current phase. */
  record(work: PlanWork): void {
    if (!work.pending) {
      if (this.#pending.length >= MOST_PENDING) this.#settle();
      this.#pending.push(work);
      work.pending = true;
    }
    const { runs } = work;
    if (this.phase === 'forward') runs.forward++;
    else if (this.phase === 'backward') runs.backward++;
    else runs.optimizer++;
  }

  /** Adds the runs of plans to the totals. */
  #settle(): void {
    for (const work of this.#pending.splice(0)) {
      const { labels, runs } = work;
      work.pending = false;
      for (const phase of phases) {
        const count = runs[phase];
        if (count === 0) continue;
        runs[phase] = 0;
        for (const { label, work } of labels) addWork(this.entry(phase, label), work, count);
      }
    }
  }

  /** The running total of a phase and label. */
  entry(phase: Phase, label: string): Work {
    const all = this.#work[phase];
    let work = all.get(label);
    if (!work) all.set(label, (work = noWork()));
    return work;
  }

  /** Work of one phase, or of all. */
  total(phase?: Phase): Work {
    const total = noWork();
    for (const row of this.rows()) if (!phase || row.phase === phase) addWork(total, row.work);
    return total;
  }

  /** Work by phase and kernel label. */
  rows(): { phase: Phase; kernel: string; work: Work }[] {
    this.#settle();
    return phases.flatMap((phase) =>
      [...this.#work[phase]].map(([kernel, work]) => ({ phase, kernel, work: { ...work } })),
    );
  }

  reset(): void {
    this.#settle();
    for (const all of Object.values(this.#work)) all.clear();
    this.submits = 0;
    this.pipelines = 0;
    this.bindGroups = 0;
  }
}
