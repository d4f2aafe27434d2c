/** One training step of a model of Table 6: work, memory and time. */
import type { CeremConfig } from '../src/models/cerem.ts';
import type { Runtime } from '../src/node.ts';
import { AdamW } from '../src/optim/index.ts';
import { cerem } from '../src/tasks/prompts/cerem.ts';
import { trainStep } from '../src/tasks/training/step.ts';
import { buildVariant, randomBatch } from './cerem.variants.ts';
import type { BenchRow } from './harness.ts';

/**
 * Forward, backward, clipping and AdamW on one row of `tokens` pieces with one answer; what it takes with the pipelines
 * compiled, by a model of one layer.
 */
export async function measureStep(runtime: Runtime, config: CeremConfig, tokens: number): Promise<BenchRow> {
  await runStep(runtime, { ...config, encoder: { ...config.encoder, layers: 1 } }, tokens);
  return runStep(runtime, config, tokens);
}

async function runStep(runtime: Runtime, config: CeremConfig, tokens: number): Promise<BenchRow> {
  const model = buildVariant(runtime, config);
  const optimizer = new AdamW(model.parameters, { lr: 5e-5, weightDecay: 0.01 });
  try {
    const batch = randomBatch(1, tokens, config);
    const targets = {
      start: Int32Array.from({ length: tokens }, (_, i) => Number(i === 0)),
      end: Int32Array.from({ length: tokens }, (_, i) => Number(i === tokens - 1)),
      mask: new Int32Array(tokens).fill(1),
    };
    await runtime.finish();
    runtime.memory.resetPeak();
    runtime.meter.reset();
    const started = performance.now();
    await trainStep(cerem, model, optimizer, [{ share: 1, counts: {}, batch: { batch, targets } }], {
      ...{ step: 0, lr: 5e-5, clip: 1 },
    });
    const stepMs = performance.now() - started;
    const { macs, flops } = runtime.meter.total();
    const { peakBytes, peakByLabel } = runtime.memory.report();
    return {
      ...{ stepMs, stepMacs: macs, stepFlops: flops, stepPeakBytes: peakBytes },
      stepPeakBytesByLabel: peakByLabel,
    };
  } finally {
    optimizer.release();
    model.parameters.release();
  }
}
