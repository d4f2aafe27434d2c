/** What `spanwise trace` does for every model: one batch forward and backward, and training steps on it. */
import type { Tensor } from '../gpu/tensor.ts';
import type { HostTensor } from '../io/safetensors.ts';
import type { Parameters } from '../nn/parameters.ts';
import { record } from '../ops/index.ts';
import { AdamW } from '../optim/index.ts';

export interface TraceOptions {
  /** AdamW steps on the batch; `param.*` is written when positive. */
  steps?: number;
  lr?: number;
  weightDecay?: number;
}

/** One forward pass. */
export interface TracedPass {
  loss: Tensor;
  /** Tensors that `read` needs after the backward pass. */
  keep: Tensor[];
  /** The logits and the parts of the loss, on the host. */
  read(): Promise<Record<string, HostTensor>>;
}

/** A host tensor of floats. */
export const floats = (shape: readonly number[], data: Float32Array): HostTensor => ({
  shape,
  dtype: 'f32',
  data,
});

/**
 * What `forward` gives, `loss`, `grad.<parameter>` of every parameter (zeros where the loss does not reach), and with
 * `steps` `param.<parameter>` after so many AdamW steps: the weights have moved then.
 */
export async function traceModel(
  parameters: Parameters,
  forward: () => TracedPass,
  options: TraceOptions = {},
): Promise<Map<string, HostTensor>> {
  const { runtime } = parameters;
  const out = new Map<string, HostTensor>();
  const pass = (): Promise<void> =>
    runtime.scope(async () => {
      parameters.zeroGrad();
      const { result, tape } = await record(runtime, forward);
      tape.backward(result.loss, result.keep);
      if (out.size > 0) return;
      for (const [name, tensor] of Object.entries(await result.read())) out.set(name, tensor);
      out.set('loss', floats([], await result.loss.read()));
      for (const [name, { tensor }] of parameters.all) {
        const grad = tensor.grad ? await tensor.grad.read() : new Float32Array(tensor.size);
        out.set(`grad.${name}`, floats(tensor.shape, grad));
      }
    });

  const { steps = 0, lr = 1e-3, weightDecay = 0.01 } = options;
  const optimizer = new AdamW(parameters, { lr, weightDecay });
  for (let i = 0; i < Math.max(1, steps); i++) {
    await pass();
    if (steps > 0) optimizer.step();
    await runtime.flush();
  }
  if (steps > 0) for (const [name, tensor] of await parameters.read()) out.set(`param.${name}`, tensor);
  optimizer.release();
  parameters.zeroGrad();
  return out;
}
