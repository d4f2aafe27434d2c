/** The model of the long runs: all of STSN, as small as it can be. What is soaked is the bookkeeping, not the arithmetic. */
import { InputError } from '../kernels/errors.ts';
import type { Json } from '../src/models/config.ts';
import type { SpanCorpus, SpanTypes } from '../src/tasks/spans/model.ts';
import { stsn } from '../src/tasks/spans/stsn.ts';
import type { Stsn } from '../src/models/stsn.ts';
import { planTraining, type Planned } from '../src/tasks/training/train.ts';
import { readSplits } from './corpus.ts';

export const tinyStsn: Json = {
  layers: 1,
  heads: 2,
  widthEmbeddingSize: 4,
  maxSpanWidth: 6,
  encoder: {
    model_type: 'bert',
    hidden_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 16,
  },
};

/** The first sentences of a corpus's training split. Errors: InputError naming a file that has fewer. */
export function firstSentences(bench: string, count: number, folder?: string): SpanCorpus {
  const { sentences, file } = readSplits(folder).train;
  if (sentences.length < count)
    throw new InputError(`${file}: has ${sentences.length} sentences; bench ${bench} needs ${count}`);
  return { sentences: sentences.slice(0, count), file, notes: [] };
}

/** A training of the tiny model, in batches of four. */
export const planTiny = (train: SpanCorpus, epochs: number, lr = 1e-3): Planned<SpanTypes<Stsn>> =>
  planTraining(stsn, {
    train,
    config: tinyStsn,
    recipe: { epochs, batch: 4, lr, seed: 1, negativeSpans: 20 },
  });
