/** `spanwise trace` for STSN: every logit, loss and gradient of one batch, for comparison with other frameworks. */
import type { HostTensor } from '../../io/safetensors.ts';
import type { Stsn } from '../../models/stsn.ts';
import type { Sentence } from '../dataset.ts';
import { allSamples, joinSamples } from '../sampling.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { floats, traceModel, type TracedPass, type TraceOptions } from '../trace.ts';
import { encodeSentence, makeBatch } from './batch.ts';
import { stsnLoss } from './loss.ts';

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
  const { config } = model;
  const encoded = sentences.map((s, i) =>
    encodeSentence(s.tokens, tokenizer, config, `${file}: row ${i + 1}`),
  );
  const batch = makeBatch(encoded, tokenizer.padId);
  const samples = joinSamples(sentences.map((s) => allSamples(s, config)));

  /** Tag logits [B, n, tags] without the rows of padding: [Σ words, tags]. */
  const unpad = (rows: Float32Array): HostTensor => {
    const tags = config.tags.length;
    const words = batch.wordLengths.reduce((n, l) => n + l, 0);
    const flat = new Float32Array(words * tags);
    let at = 0;
    batch.wordLengths.forEach((length, b) => {
      const from = b * batch.columns * tags;
      flat.set(rows.subarray(from, from + length * tags), at);
      at += length * tags;
    });
    return floats([words, tags], flat);
  };

  const forward = (): TracedPass => {
    const r = stsnLoss(model, batch, sentences, samples);
    const parts = [r.tagLogits, r.spanLogits, r.relationLogits, r.tag, r.span, r.relation];
    return {
      loss: r.loss,
      keep: parts.filter((x) => x !== undefined),
      read: async () => ({
        ...(r.tagLogits ? { tag_logits: unpad(await r.tagLogits.read()) } : {}),
        span_logits: floats(r.spanLogits.shape, await r.spanLogits.read()),
        relation_logits: floats(r.relationLogits.shape, await r.relationLogits.read()),
        'loss.tag': floats([], r.tag ? await r.tag.read() : new Float32Array(1)),
        'loss.span': floats([], await r.span.read()),
        'loss.relation': floats([], await r.relation.read()),
      }),
    };
  };
  return traceModel(model.parameters, forward, options);
}
