/** `spanwise trace` for STSN: every logit, loss and gradient of one batch, for comparison with other frameworks. */
import type { HostTensor } from '../../io/safetensors.ts';
import type { Stsn } from '../../models/stsn.ts';
import { record } from '../../ops/index.ts';
import { AdamW } from '../../optim/index.ts';
import type { Sentence } from '../dataset.ts';
import { allSamples, joinSamples } from '../sampling.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { encodeSentence, makeBatch } from './batch.ts';
import { stsnLoss } from './loss.ts';

export interface TraceOptions {
  /** AdamW steps on the batch; `param.*` is written when positive. */
  steps?: number;
  lr?: number;
  weightDecay?: number;
}

/**
 * The tensors of SPEC section 5 `trace`: dropout off, no sampling, one batch of all rows. Without labels `tag_logits`
 * is absent and `loss.tag` is 0. The model's weights have moved afterwards when `steps` > 0.
 */
export async function traceStsn(
  model: Stsn,
  tokenizer: Tokenizer,
  sentences: readonly Sentence[],
  file: string,
  options: TraceOptions = {},
): Promise<Map<string, HostTensor>> {
  const { config, parameters } = model;
  const { runtime } = parameters;
  const encoded = sentences.map((s, i) =>
    encodeSentence(s.tokens, tokenizer, config, `${file}: row ${i + 1}`),
  );
  const batch = makeBatch(encoded, tokenizer.padId);
  const samples = joinSamples(sentences.map((s) => allSamples(s, config)));
  const out = new Map<string, HostTensor>();
  const put = (name: string, shape: readonly number[], data: Float32Array) =>
    out.set(name, { shape, dtype: 'f32', data });

  const step = (): Promise<void> =>
    runtime.scope(async () => {
      parameters.zeroGrad();
      const { result: r, tape } = await record(runtime, () => stsnLoss(model, batch, sentences, samples));
      const kept = [r.tagLogits, r.spanLogits, r.relationLogits, r.tag, r.span, r.relation].filter(
        (x) => x !== undefined,
      );
      tape.backward(r.loss, kept);
      if (out.size > 0) return;
      if (r.tagLogits) {
        const rows = await r.tagLogits.read();
        const tags = config.tags.length;
        const words = batch.wordLengths.reduce((n, l) => n + l, 0);
        const flat = new Float32Array(words * tags);
        let at = 0;
        batch.wordLengths.forEach((length, b) => {
          const from = b * batch.columns * tags;
          flat.set(rows.subarray(from, from + length * tags), at);
          at += length * tags;
        });
        put('tag_logits', [words, tags], flat);
      }
      put('span_logits', r.spanLogits.shape, await r.spanLogits.read());
      put('relation_logits', r.relationLogits.shape, await r.relationLogits.read());
      put('loss', [], await r.loss.read());
      put('loss.tag', [], r.tag ? await r.tag.read() : new Float32Array(1));
      put('loss.span', [], await r.span.read());
      put('loss.relation', [], await r.relation.read());
      for (const [name, { tensor }] of parameters.all)
        put(
          `grad.${name}`,
          tensor.shape,
          tensor.grad ? await tensor.grad.read() : new Float32Array(tensor.size),
        );
    });

  const steps = options.steps ?? 0;
  const optimizer = new AdamW(parameters, {
    lr: options.lr ?? 1e-3,
    weightDecay: options.weightDecay ?? 0.01,
  });
  for (let i = 0; i < Math.max(1, steps); i++) {
    await step();
    if (steps > 0) optimizer.step();
    await runtime.flush();
  }
  if (steps > 0) for (const [name, tensor] of await parameters.read()) out.set(`param.${name}`, tensor);
  optimizer.release();
  parameters.zeroGrad();
  return out;
}
