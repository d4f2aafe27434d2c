/**
 * What LAI-Net learns from: its instances in batches with their targets, and the losses of a batch
 * (docs/spec.md#lai-net).
 */
import { InputError } from '../../../kernels/errors.ts';
import type { Tensor } from '../../gpu/tensor.ts';
import { relationClasses, type LaiBatch } from '../../models/lai-config.ts';
import type { Lai } from '../../models/lai.ts';
import type { Regularisation } from '../../models/regularisation.ts';
import { binaryCrossEntropy, hostInts } from '../../ops/index.ts';
import type { Sentence } from '../dataset.ts';
import type { Evaluated, Loaded, Logits, Losses, Types } from '../definition.ts';
import { classLoss, IGNORED, sumOfParts } from '../losses.ts';
import { padded, withoutPadding } from '../padding.ts';
import { keptAnnotation } from '../spans/enumerate.ts';
import type { Evaluation } from '../spans/evaluate.ts';
import type { SpanCorpus, SpanOptions } from '../spans/model.ts';
import { encodeAll } from '../spans/sentences.ts';
import type { TrainingRecipe } from '../training/recipe.ts';
import { Packer, type Instance } from './packing.ts';
import { goldNotes, keptTargets, targetsOf, widestOf } from './rows.ts';

export interface LaiRecipe extends TrainingRecipe {
  /** Epochs in which the gold alone is kept, whatever the filter says. */
  coldStart: number;
}

/** Instances with the targets of their candidates. */
export interface LaiTask {
  batch: LaiBatch;
  /** i32[B, C] classes or i32[B, C, classes], padding ignored. */
  targets: Int32Array;
  /** What the filter says yes to is kept too. */
  filtered?: boolean;
  /** While the model trains. */
  regularisation?: Regularisation;
}

export type LaiStage = Pick<Loaded<LaiTypes>, 'model' | 'tokenizer' | 'what'>;

export interface LaiOptions extends Omit<SpanOptions, 'pairChunk' | 'policy'> {
  /** The model of the relations stage. */
  relations?: LaiStage;
}

export interface LaiTypes extends Types {
  model: Lai;
  corpus: SpanCorpus;
  recipe: LaiRecipe;
  extra: undefined;
  batch: LaiTask;
  /** What the stages that were asked can be scored by; `entities`: relations among the gold's. */
  evaluation: Pick<Evaluation, 'sentences'> & Partial<Evaluation> & Evaluated & { entities?: 'gold' };
  options: Omit<LaiOptions, 'refused'>;
}

/**
 * The sentences of a corpus with their instances, what makes a batch of some of these, and notes on what cannot be learnt.
 * @throws InputError naming file and row of all that are too long, where they stop what is done with the corpus, or
 *   where there is no instance
 */
export function pack({ model: { config }, tokenizer }: LaiStage, corpus: SpanCorpus) {
  const packer = new Packer(config, tokenizer);
  const { sentences, encoded, notes } = encodeAll(corpus, packer);
  const instances = encoded.flatMap((one, i) =>
    packer.instances(i, one, keptAnnotation(sentences[i], widestOf(config)).entities),
  );
  if (instances.length === 0) throw new InputError(`${corpus.file}: no sentence has two entities to relate`);
  const tables = sentences.map((sentence) => targetsOf(sentence, config));
  const width = config.stage === 'entities' ? 1 : relationClasses(config);
  const taskOf = (chosen: readonly Instance[]): LaiTask => {
    const batch = packer.batch(chosen);
    const targets = chosen.map(({ sentence, row }, b) =>
      tables[sentence].subarray(row * width, (row + batch.counts[b]) * width),
    );
    return { batch, targets: padded(targets, batch.columns * width, IGNORED) };
  };
  return {
    ...{ sentences, instances, taskOf, items: instances.length, about: { instances: instances.length } },
    notes,
    goldNotes: (some: readonly Sentence[]) => goldNotes(some, config),
  };
}

/**
 * Filter and span losses, or the relation loss: each one mean over the whole batch. What the filter says is read back in
 * the middle of a step, where it decides what is kept.
 */
export async function laiLosses(
  model: Lai,
  { batch, targets, filtered, regularisation }: LaiTask,
): Promise<Losses> {
  const { filter, classes } = model.forward(batch, regularisation);
  const logits = (tensor: Tensor): Logits => withoutPadding(tensor, batch.counts);
  if (model.config.stage === 'relations') {
    const [held, counted] = [(t: number) => Math.max(t, 0), (t: number) => Number(t !== IGNORED)].map((of) =>
      hostInts(targets.map(of), classes.shape),
    );
    const relation = binaryCrossEntropy(classes, held, counted);
    return sumOfParts({ relation }, { relation_logits: logits(classes) });
  }
  const span_logits = logits(classes);
  if (!filter) return sumOfParts({ span: classLoss(classes, targets) }, { span_logits });
  const kept = keptTargets(targets, filtered ? await filter.read() : undefined);
  const isEntity = targets.map((label) => Math.min(label, 1));
  // With nothing kept the span head is not part of the graph: AdamW leaves it alone.
  const span = kept.some((label) => label !== IGNORED) ? classLoss(classes, kept) : undefined;
  return sumOfParts(
    { filter: classLoss(filter, isEntity), span },
    { filter_logits: logits(filter), span_logits },
  );
}
