/** What a step of a training will take, told before the first one: planned, not run. */
import { dryDevice } from '../../gpu/dry-device.ts';
import { Runtime } from '../../gpu/runtime.ts';
import { sizeOf } from '../../../kernels/plan.ts';
import { Parameters, type Source } from '../../nn/parameters.ts';
import { AdamW, GradScaler } from '../../optim/index.ts';
import type { Definition, Epochs, MicroBatch, TrainingInput, Types } from '../definition.ts';
import { trainStep } from './step.ts';

/** Of the longest batch of the first epoch, its encoder learning: others of like length differ in what is drawn. */
export interface Forecast {
  parameters: number;
  /** Floating-point operations of its step. */
  flops: number;
  /** The most bytes of tensors at once, weights, gradients and the optimizer's moments among them. */
  peakBytes: number;
}

/** How many numbers a batch holds, for the device: what is longest has the most. */
function numbersIn(value: unknown): number {
  if (ArrayBuffer.isView(value)) return (value as Int32Array).length;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + numbersIn(item), 0);
  if (!value || typeof value !== 'object') return 0;
  return Object.values(value).reduce((sum: number, item) => sum + numbersIn(item), 0);
}

const sizeOfBatch = (parts: readonly MicroBatch[]): number =>
  Math.max(...parts.map(({ batch }) => numbersIn(batch)));

const zeros: Source = { values: (_name, shape) => new Float32Array(sizeOf(shape)) };

/** Plans a step on the longest batch of an epoch. Takes the host's time of an epoch's batches and of two steps. */
export async function forecastStep<T extends Types>(
  definition: Definition<T>,
  { model: { parameters, config }, recipe }: Pick<TrainingInput<T>, 'model' | 'recipe'>,
  epochs: Epochs<T['batch']>,
): Promise<Forecast> {
  const epoch = epochs.epoch(0, Infinity);
  let longest = epoch.batch(0, 0);
  for (let batch = 1; batch < epochs.batches; batch++) {
    const other = epoch.batch(batch, batch);
    if (sizeOfBatch(other) > sizeOfBatch(longest)) longest = other;
  }
  const runtime = new Runtime(dryDevice(parameters.runtime));
  const pooler = [...parameters.all.keys()].some((name) => name.startsWith('encoder.pooler.'));
  const model = definition.build(new Parameters(runtime, zeros, parameters.precision), config, { pooler });
  const optimizer = new AdamW(model.parameters, { lr: recipe.lr, weightDecay: recipe.weightDecay });
  const scaler = parameters.precision === 'mixed' ? new GradScaler(optimizer) : undefined;
  try {
    // The first step makes the optimizer's moments: from the second on they are there all along.
    for (let step = 0; step < 2; step++) {
      runtime.meter.reset();
      const options = { step, lr: recipe.lr, clip: recipe.clip, scaler };
      await trainStep(definition, model, optimizer, longest, options);
    }
    return {
      parameters: parameters.count(),
      flops: runtime.meter.total().flops,
      peakBytes: runtime.memory.report().peakBytes,
    };
  } finally {
    runtime.close();
  }
}
