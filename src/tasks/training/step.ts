/** One step of a training: gradients of a batch, clipped, and AdamW on them. */
import { SpanwiseError } from '../../../kernels/errors.ts';
import type { Tensor } from '../../gpu/tensor.ts';
import { record, scale } from '../../ops/index.ts';
import { clipGradNorm, type AdamW, type GradScaler } from '../../optim/index.ts';
import type { Definition, Losses, MicroBatch, Types } from '../definition.ts';
import type { LossValues } from './state.ts';

/** A step that is under way on the device. */
export interface StartedStep {
  /**
   * The batch's losses, likewise weighed; `gradNorm` is not finite where the step was skipped. Rejects with a SpanwiseError when
   * one is not finite otherwise.
   */
  losses: Promise<LossValues>;
}

/** Where in the run a step is, and how far it goes. */
export interface StepOptions {
  /** From 0, over the whole run, for messages. */
  step: number;
  lr: number;
  clip: number;
  /** Of a model in mixed precision. */
  scaler?: GradScaler;
}

/**
 * Starts a step on a batch that goes through the model in parts: one submit (unless the work is large), and no wait: the
 * next step may be recorded while the device does this one. The gradient is that of the parts' means, each weighed by
 * its share.
 * @returns once it is submitted
 */
export async function startStep<T extends Types>(
  definition: Pick<Definition<T>, 'losses' | 'parts'>,
  model: T['model'],
  optimizer: AdamW,
  batch: readonly MicroBatch<T['batch']>[],
  { step, lr, clip, scaler }: StepOptions,
): Promise<StartedStep> {
  const { parameters } = model;
  const { parts } = definition;
  const { runtime } = parameters;
  return runtime.scope(async () => {
    parameters.zeroGrad();
    const scaled = scaler?.begin();
    const sums: LossValues = {};
    const found: { part: string; share: number; tensor: Tensor }[] = [];
    for (const { share, batch: part } of batch) {
      const { result, tape } = await record(runtime, async () => {
        const all = await definition.losses(model, part);
        return { all, weighed: share === 1 ? all.loss : scale(all.loss, share) };
      });
      const first = found.length;
      const all: Losses['parts'] = { loss: result.all.loss, ...result.all.parts };
      for (const name of ['loss', ...parts].filter((name) => name in all)) {
        sums[name] ??= 0;
        const tensor = all[name];
        if (tensor) found.push({ part: name, share, tensor });
      }
      tape.backward(
        result.weighed,
        found.slice(first).map(({ tensor }) => tensor),
        scaled?.scale,
      );
    }
    const { scale: factor, norm, foundInf } = clipGradNorm(parameters, clip, scaled?.scale);
    optimizer.step(lr, factor, foundInf);
    const moved = scaled && [...parameters.all].flatMap(([name, { tensor }]) => (tensor.grad ? [name] : []));
    const losses = runtime
      .readAll([norm, ...found.map(({ tensor }) => tensor)])
      .then(([gradNorm, ...values]) => {
        sums.gradNorm = gradNorm[0];
        found.forEach(({ part, share }, i) => (sums[part] += share * values[i][0]));
        if (Object.values(sums).every(Number.isFinite)) {
          scaled?.end();
          return sums;
        }
        if (scaled && moved && !Number.isFinite(sums.gradNorm) && scaled.skip(moved)) return sums;
        const shown = Object.entries(sums).map(([name, value]) => `${name} ${value}`);
        throw new SpanwiseError(
          `training diverged at step ${step + 1} (${shown.join(', ')}); try a lower lr`,
        );
      });
    losses.catch(() => undefined); // for whoever awaits them, later
    await runtime.flush();
    return { losses };
  });
}

/** The same, and its losses. Errors: SpanwiseError when one is not finite. */
export const trainStep = async <T extends Types>(
  ...step: Parameters<typeof startStep<T>>
): Promise<LossValues> => (await startStep<T>(...step)).losses;
