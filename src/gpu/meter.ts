/** Counts what plans say they do: FLOPs, multiply-adds, bytes and dispatches, by phase and kernel. */
import { SpanwiseError } from '../../kernels/errors.ts';
import type { Dispatch } from '../../kernels/plan.ts';

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
  readonly #work = new Map<string, Work>();

  /**
   * Counts one dispatch under the current phase.
   * @returns the running total that it was added to
   * @throws SpanwiseError for a cost that is not a finite number of at least 0
   */
  record(dispatch: Dispatch): Work {
    for (const cost of [dispatch.macs, dispatch.flops, dispatch.bytesRead, dispatch.bytesWritten])
      if (!Number.isFinite(cost) || cost < 0)
        throw new SpanwiseError(`${dispatch.label}: a dispatch without an exact cost`);
    const work = this.#entry(`${this.phase}/${dispatch.label}`);
    work.dispatches++;
    work.macs += dispatch.macs;
    work.flops += dispatch.flops;
    work.bytesRead += dispatch.bytesRead;
    work.bytesWritten += dispatch.bytesWritten;
    return work;
  }

  #entry(key: string): Work {
    let work = this.#work.get(key);
    if (!work) this.#work.set(key, (work = noWork()));
    return work;
  }

  /** Work of one phase, or of all. */
  total(phase?: Phase): Work {
    const total = noWork();
    for (const [key, work] of this.#work) if (!phase || key.startsWith(`${phase}/`)) addWork(total, work);
    return total;
  }

  /** Work by phase and kernel label. */
  rows(): { phase: Phase; kernel: string; work: Work }[] {
    return [...this.#work].map(([key, work]) => {
      const slash = key.indexOf('/');
      return { phase: key.slice(0, slash) as Phase, kernel: key.slice(slash + 1), work: { ...work } };
    });
  }

  reset(): void {
    this.#work.clear();
    this.submits = 0;
    this.pipelines = 0;
    this.bindGroups = 0;
  }
}
