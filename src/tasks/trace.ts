/** What `spanwise trace` does for every model: one batch forward and backward, and training steps on it. */
import { SpanwiseError } from '../../kernels/errors.ts';
import type { HostTensor } from '../io/safetensors.ts';
import { record } from '../ops/index.ts';
import { AdamW } from '../optim/index.ts';
import type { Definition, Types } from './definition.ts';

export interface TraceOptions {
  /** AdamW steps on the batch; `param.*` is written when positive. */
  steps?: number;
  lr?: number;
  weightDecay?: number;
}

export const traceOptions: readonly string[] = [
  'steps',
  'lr',
  'weightDecay',
] satisfies (keyof TraceOptions)[];

/** A host tensor of floats. */
export const floats = (shape: readonly number[], data: Float32Array): HostTensor => ({
  shape,
  dtype: 'f32',
  data,
});

/**
 * Every logit, `loss` and its parts `loss.<part>` (0 where the batch has none), `grad.<parameter>` of every parameter
 * (zeros where the loss does not reach), and with `steps` `param.<parameter>` after so many AdamW steps: the weights have
 * moved then.
 * @throws SpanwiseError where the loss, or any of it, is not finite: nothing can be compared with that
 */
export async function traceModel<T extends Types>(
  definition: Definition<T>,
  model: T['model'],
  batch: T['batch'],
  options: TraceOptions = {},
): Promise<Map<string, HostTensor>> {
  const { parameters } = model;
  const { runtime } = parameters;
  const out = new Map<string, HostTensor>();
  const pass = (step: number): Promise<void> =>
    runtime.scope(async () => {
      parameters.zeroGrad();
      const { result, tape } = await record(runtime, () => definition.losses(model, batch));
      const { loss, logits } = result;
      const kept = [...Object.values(logits).map(({ tensor }) => tensor), ...Object.values(result.parts)];
      tape.backward(
        loss,
        kept.filter((tensor) => tensor !== undefined),
      );
      const value = await loss.read();
      if (!Number.isFinite(value[0]))
        throw new SpanwiseError(`trace: diverged at step ${step} (loss ${value[0]}); try a lower lr`);
      if (out.size > 0) return;
      for (const [name, { tensor, onHost }] of Object.entries(logits)) {
        const values = await tensor.read();
        out.set(name, onHost ? onHost(values) : floats(tensor.shape, values));
      }
      for (const part of definition.parts.filter((name) => name in result.parts))
        out.set(`loss.${part}`, floats([], (await result.parts[part]?.read()) ?? new Float32Array(1)));
      out.set('loss', floats([], value));
      for (const [name, { tensor }] of parameters.all) {
        const grad = tensor.grad ? await tensor.grad.read() : new Float32Array(tensor.size);
        out.set(`grad.${name}`, floats(tensor.shape, grad));
      }
    });

  const { steps = 0, lr = 1e-3, weightDecay = 0.01 } = options;
  const optimizer = new AdamW(parameters, { lr, weightDecay });
  try {
    for (let i = 0; i < Math.max(1, steps); i++) {
      await pass(i + 1);
      if (steps > 0) optimizer.step();
      await runtime.flush();
    }
    if (steps > 0) for (const [name, tensor] of await parameters.read()) out.set(`param.${name}`, tensor);
  } finally {
    optimizer.release();
    parameters.zeroGrad();
  }
  for (const [name, { data }] of out) {
    const odd = data.find((value) => !Number.isFinite(value));
    if (odd !== undefined)
      throw new SpanwiseError(`trace: ${name} holds ${odd}${steps > 0 ? '; try a lower lr' : ''}`);
  }
  return out;
}
