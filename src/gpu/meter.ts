/** Counts what plans say they do: FLOPs, multiply-adds, bytes and dispatches, by phase and kernel. */
export type Phase = 'forward' | 'backward' | 'optimizer';

export interface Work {
  dispatches: number;
  macs: number;
  flops: number;
  bytesRead: number;
  bytesWritten: number;
  /** GPU time in nanoseconds, where the runtime profiles with timestamp queries; 0 otherwise. */
  gpuNanoseconds: number;
}

/** What the dispatches of one label add up to in a plan. */
export interface LabelWork {
  readonly label: string;
  readonly work: Readonly<Work>;
}

export const noWork = (): Work => ({
  dispatches: 0,
  macs: 0,
  flops: 0,
  bytesRead: 0,
  bytesWritten: 0,
  gpuNanoseconds: 0,
});

function addWork(to: Work, from: Work): void {
  for (const key of Object.keys(to) as (keyof Work)[]) to[key] += from[key];
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

  /** Counts one run of a plan under the current phase. */
  record(works: readonly LabelWork[]): void {
    for (const { label, work } of works) {
      const total = this.entry(this.phase, label);
      total.dispatches += work.dispatches;
      total.macs += work.macs;
      total.flops += work.flops;
      total.bytesRead += work.bytesRead;
      total.bytesWritten += work.bytesWritten;
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
    return (Object.keys(this.#work) as Phase[]).flatMap((phase) =>
      [...this.#work[phase]].map(([kernel, work]) => ({ phase, kernel, work: { ...work } })),
    );
  }

  reset(): void {
    for (const all of Object.values(this.#work)) all.clear();
    this.submits = 0;
    this.pipelines = 0;
    this.bindGroups = 0;
  }
}
