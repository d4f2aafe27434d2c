/** `spanwise trace` for CEREM: every logit, loss and gradient of one batch, for comparison with other frameworks. */
import type { HostTensor } from '../../io/safetensors.ts';
import type { Cerem } from '../../models/cerem.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { floats, traceModel, type TracedPass, type TraceOptions } from '../trace.ts';
import { encodeText, makePromptBatch, pointerTargets, type PromptedText } from './batch.ts';
import { ceremLoss } from './loss.ts';

/**
 * The tensors of SPEC section 5 `trace`: one batch of all rows, the logits of padding exactly 0. The model's weights
 * have moved afterwards when `steps` > 0. Errors: InputError naming file and row.
 */
export async function traceCerem(
  model: Cerem,
  tokenizer: Tokenizer,
  texts: readonly PromptedText[],
  file: string,
  options: TraceOptions = {},
): Promise<Map<string, HostTensor>> {
  const encoded = texts.map((text, i) => encodeText(text, tokenizer, model.config, `${file}: row ${i + 1}`));
  const batch = makePromptBatch(encoded, tokenizer.padId);
  const { rows, columns, lengths } = batch;
  const targets = pointerTargets(texts, encoded, columns, file);

  const withoutPadding = (logits: Float32Array): HostTensor => {
    lengths.forEach((length, b) => logits.fill(0, b * columns + length, (b + 1) * columns));
    return floats([rows, columns], logits);
  };

  const forward = (): TracedPass => {
    const { loss, losses, logits } = ceremLoss(model, batch, targets);
    return {
      loss,
      keep: [logits.start, logits.end, losses.start, losses.end],
      read: async () => ({
        start_logits: withoutPadding(await logits.start.read()),
        end_logits: withoutPadding(await logits.end.read()),
        'loss.start': floats([], await losses.start.read()),
        'loss.end': floats([], await losses.end.read()),
      }),
    };
  };
  return traceModel(model.parameters, forward, options);
}
