/**
 * What LAI-Net learns from: its instances in batches with their targets, and the losses of a batch
 * (docs/spec.md#lai-net).
 */
import { InputError } from '../../../kernels/errors.ts';
import type { Tensor } from '../../gpu/tensor.ts';
import { relationClasses, type LaiBatch, type LaiConfig } from '../../models/lai-config.ts';
import type { Lai } from '../../models/lai.ts';
import type { Regularisation } from '../../models/regularisation.ts';
import { add, binaryCrossEntropy, crossEntropy, hostInts, reshape } from '../../ops/index.ts';
import type { Sentence } from '../dataset.ts';
import type { Epochs, Evaluated, Loaded, Losses, TrainingInput, Types, UseOptions } from '../definition.ts';
import { keptAnnotation, spanNotes } from '../spans/enumerate.ts';
import type { Evaluation } from '../spans/evaluate.ts';
import type { SpanCorpus } from '../spans/model.ts';
import type { TrainingRecipe } from '../training/recipe.ts';
import { shuffledEpochs } from '../training/shuffled.ts';
import { candidateRows, joinRows, Packer, type Instance } from './packing.ts';
import { IGNORED, keptTargets, targetsOf, widestOf } from './rows.ts';

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

export interface LaiOptions extends UseOptions {
  /** The model of the relations stage. */
  relations?: Pick<Loaded<LaiTypes>, 'model' | 'tokenizer' | 'what'>;
  /** Word pieces that the windows of a long sentence share; see `wordWindows`. */
  overlap?: number;
}

export interface LaiTypes extends Types {
  model: Lai;
  corpus: SpanCorpus;
  recipe: LaiRecipe;
  extra: undefined;
  batch: LaiTask;
  /** What the stages that were asked can be scored by; `entities`: relations among the gold's. */
  evaluation: Pick<Evaluation, 'sentences'> & Partial<Evaluation> & Evaluated & { entities?: 'gold' };
  options: LaiOptions;
}

/** All instances of a corpus, and a way to batch some of them. Errors: InputError naming file and row. */
function pack({ sentences, file }: SpanCorpus, packer: Packer) {
  const { config } = packer;
  const instances = sentences.flatMap((sentence, i) => {
    const { entities } = keptAnnotation(sentence, widestOf(config));
    return packer.instances(i, packer.encode(sentence.tokens, `${file}: row ${i + 1}`), entities);
  });
  if (instances.length === 0) throw new InputError(`${file}: no sentence has two entities to relate`);
  const tables = sentences.map((sentence) => targetsOf(sentence, config));
  const width = config.stage === 'entities' ? 1 : relationClasses(config);
  const taskOf = (chosen: readonly Instance[]): LaiTask => {
    const batch = packer.batch(chosen);
    const size = batch.columns * width;
    const targets = new Int32Array(chosen.length * size).fill(IGNORED);
    chosen.forEach(({ sentence, row }, b) => {
      targets.set(tables[sentence].subarray(row * width, (row + batch.counts[b]) * width), b * size);
    });
    return { batch, targets };
  };
  return { instances, taskOf, width };
}

/** One batch of all instances, the gold alone kept. */
export function wholeTask({ model, tokenizer }: Loaded<LaiTypes>, corpus: SpanCorpus): LaiTask {
  const { instances, taskOf } = pack(corpus, new Packer(model.config, tokenizer));
  return taskOf(instances);
}

/** What of the gold the stage cannot express. */
export const goldNotes = (sentences: readonly Sentence[], config: LaiConfig): string[] =>
  spanNotes(
    sentences.map((s) => (config.stage === 'entities' ? { ...s, relations: [] } : s)),
    widestOf(config),
  );

/** Shuffled instances. */
export function epochs({ model, tokenizer, train, dev, recipe }: TrainingInput<LaiTypes>): Epochs<LaiTask> {
  const { seed, dropout, coldStart } = recipe;
  const { instances, taskOf, width } = pack(train, new Packer(model.config, tokenizer));
  const { sentences } = train;
  return {
    about: { sentences: sentences.length, instances: instances.length, dev: dev?.sentences.length ?? 0 },
    notes: goldNotes(sentences, model.config),
    identity: { train: sentences, dev: dev?.sentences },
    ...shuffledEpochs(instances.length, recipe, (chosen, epoch, step) => {
      const task = taskOf(chosen.map((i) => instances[i]));
      const candidates = task.batch.counts.reduce((sum, count) => sum + count, 0);
      const positives = new Set<number>();
      task.targets.forEach((target, at) => target > 0 && positives.add(Math.floor(at / width)));
      return {
        counts: { positives: positives.size, negatives: candidates - positives.size },
        batch: { ...task, filtered: epoch >= coldStart, regularisation: { p: dropout, seed, offset: step } },
      };
    }),
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
  const logits = (tensor: Tensor) => ({
    tensor,
    onHost(values: Float32Array) {
      const data = joinRows(candidateRows(values, batch));
      const width = tensor.shape[2];
      return { dtype: 'f32' as const, shape: [data.length / width, width], data };
    },
  });
  if (model.config.stage === 'relations') {
    const [held, counted] = [(t: number) => Math.max(t, 0), (t: number) => Number(t !== IGNORED)].map((of) =>
      hostInts(targets.map(of), classes.shape),
    );
    const relation = binaryCrossEntropy(classes, held, counted);
    return { loss: relation, parts: { relation }, logits: { relation_logits: logits(classes) } };
  }
  const entropy = (tensor: Tensor, rows: Int32Array): Tensor =>
    crossEntropy(reshape(tensor, [rows.length, tensor.shape[2]]), hostInts(rows), IGNORED);
  if (!filter) {
    const span = entropy(classes, targets);
    return { loss: span, parts: { span }, logits: { span_logits: logits(classes) } };
  }
  const kept = keptTargets(targets, filtered ? await filter.read() : undefined);
  const chosen = entropy(
    filter,
    targets.map((label) => Math.min(label, 1)),
  );
  // With nothing kept the span head is not part of the graph: AdamW leaves it alone.
  const span = kept.some((target) => target !== IGNORED) ? entropy(classes, kept) : undefined;
  return {
    loss: span ? add(chosen, span) : chosen,
    parts: { filter: chosen, span },
    logits: { filter_logits: logits(filter), span_logits: logits(classes) },
  };
}
