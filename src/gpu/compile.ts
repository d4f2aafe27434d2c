/** Compiles what recorded runs need and is not compiled yet. */
import type { Meter } from './meter.ts';
import type { Pipeline, Pipelines } from './pipelines.ts';
import type { ReadyPlan, Run } from './ready-plan.ts';

/**
 * @returns undefined where all is compiled; else a promise that rejects with the ShaderError of the first pipeline that fails,
 *   once all have ended: a device must not be destroyed in mid-compilation
 */
export function compileRuns(
  runs: readonly Run[],
  pipelines: Pipelines,
  meter: Pick<Meter, 'pipelines'>,
): Promise<void> | undefined {
  const plans: ReadyPlan[] = [];
  for (const { plan } of runs) if (!plan.compiled) plans.push(plan);
  if (plans.length === 0) return undefined;
  const missing = new Set<Pipeline>();
  for (const { dispatches } of plans)
    for (const { pipeline } of dispatches) if (!pipeline.compiled) missing.add(pipeline);
  meter.pipelines += missing.size;
  return Promise.allSettled([...missing].map((pipeline) => pipelines.compile(pipeline))).then((made) => {
    for (const one of made) if (one.status === 'rejected') throw one.reason;
    for (const plan of plans) plan.compiled = true;
  });
}
