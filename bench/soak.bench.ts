/** `bench soak`: a thousand training steps; memory must not grow, and every step must be one submit. */
import type { Runtime } from '../src/node.ts';
import type { SpanCorpus } from '../src/tasks/spans/model.ts';
import { memoryStorage } from '../src/tasks/training/storage.ts';
import { runTraining } from '../src/tasks/training/train.ts';
import { makeDocument, onDevice, ownOptions } from './harness.ts';
import type { Bench, BenchCheck, BenchRow } from './harness.ts';
import { firstSentences, planTiny } from './soak.model.ts';

/** 200 sentences in batches of 4: twenty epochs are a thousand steps, on batches of every shape the corpus has. */
const SENTENCES = 200;
const EPOCHS = 20;
/** By then every buffer that lives between steps is there: weights, gradients, moments. */
const SETTLED = 10;
const SHOWN = [1, SETTLED, 100, 250, 500, 750, 1000];

interface StepRecord {
  step: number;
  liveBytes: number;
  pooledBytes: number;
  submits: number;
  residentBytes: number;
  loss: number;
}

async function soak(runtime: Runtime, train: SpanCorpus, log: (line: string) => void): Promise<StepRecord[]> {
  const steps: StepRecord[] = [];
  await runTraining(runtime, planTiny(train, EPOCHS), {
    storage: memoryStorage(),
    onEvent: (event) => {
      if (event.event !== 'step') return;
      const { liveBytes, pooledBytes } = runtime.memory.report();
      const [step, loss] = [Number(event.step), Number(event.loss)];
      const residentBytes = process.memoryUsage().rss;
      steps.push({ step, liveBytes, pooledBytes, submits: runtime.meter.submits, residentBytes, loss });
      log(`step ${step} of ${String(event.steps)}, loss ${loss.toFixed(3)}`);
    },
  });
  return steps;
}

/** What a soak asserts. */
function soakChecks(steps: readonly StepRecord[]): BenchCheck[] {
  const settled = steps.slice(SETTLED - 1);
  const live = settled.map(({ liveBytes }) => liveBytes);
  const submits = steps.map((step) => step.submits);
  return [
    {
      claim: `live bytes are the same after each of steps ${SETTLED} to ${steps.length}`,
      holds: new Set(live).size === 1,
      measured: `${Math.min(...live)} to ${Math.max(...live)}`,
    },
    {
      claim: 'every step is one submit',
      holds: submits.every((n) => n === 1),
      measured: `${Math.min(...submits)} to ${Math.max(...submits)}`,
    },
  ];
}

export const soakBench: Bench = {
  doc: '1,000 training steps of a tiny STSN: live bytes stay flat, one submit a step',
  readsData: true,
  run: ({ args, data, log }) => {
    ownOptions('soak', args);
    const train = firstSentences('soak', SENTENCES, data);
    return onDevice(async (runtime) => {
      const started = performance.now();
      const steps = await soak(runtime, train, log);
      const seconds = (performance.now() - started) / 1000;
      const rows: BenchRow[] = steps.filter(({ step }) => SHOWN.includes(step)).map((step) => ({ ...step }));
      return makeDocument('soak', runtime, rows, soakChecks(steps), { steps: steps.length, seconds });
    });
  },
};
