/** Trains an STSN (SPEC section 3): its samples, losses and scores for the shared loop. Node only. */
import { InputError } from '../../../kernels/errors.ts';
import type { Stsn } from '../../models/stsn.ts';
import { stream } from '../../nn/random.ts';
import { checkLabels, type Sentence } from '../dataset.ts';
import { evaluate, type Evaluation } from './evaluate.ts';
import { joinSamples, sampleSentence, type SampleCounts } from '../sampling.ts';
import { spanNotes } from '../spans.ts';
import { tagNotes } from '../tags.ts';
import { tokenizerFiles, type Tokenizer } from '../text/tokenizer.ts';
import { train as run } from '../training/run.ts';
import { hashOf, readState } from '../training/state.ts';
import type {
  EvaluationProgress,
  Fingerprint,
  MicroBatch,
  RunOptions,
  StateFormat,
  TrainingReport,
} from '../training/task.ts';
import { encodeSentence, makeBatch, type EncodedSentence } from './batch.ts';
import { checkpointFiles } from './checkpoint.ts';
import { stsnLoss } from './loss.ts';
import { predict } from './predict.ts';
import { parseRecipe, type Recipe } from './recipe.ts';
import { checkTags } from './setup.ts';

export { defaultRecipe, type Recipe } from './recipe.ts';
export { canResume } from '../training/state.ts';
export type { LogEvent } from '../training/task.ts';

export interface Corpus {
  sentences: readonly Sentence[];
  /** Where it came from, for messages. */
  file: string;
}

export interface TrainOptions extends RunOptions {
  model: Stsn;
  tokenizer: Tokenizer;
  train: Corpus;
  /** Without it there is no best model: every epoch's replaces the last. */
  dev?: Corpus;
  recipe: Recipe;
  /** What was noticed on the way here, for the log and the report. */
  notes?: readonly string[];
}

type Part = 'tag' | 'span' | 'relation';
type Count = keyof SampleCounts;
export type TrainReport = TrainingReport<Part, Evaluation>;

const format: StateFormat<Recipe, Part, Count> = {
  parseRecipe,
  parts: ['tag', 'span', 'relation'],
  counted: ['positiveSpans', 'negativeSpans', 'positivePairs', 'negativePairs'],
};

const ORDER_STREAM = 3;

/** The recipe of the run in `out`. Errors: InputError where it holds no run, or not a whole one. */
export const savedRecipe = (out: string): Recipe => readState(out, format).recipe;

/** Identity of the data and the model's shape, so that a resumed run cannot silently change them. */
function fingerprint({ train, dev, model, tokenizer }: TrainOptions): Fingerprint {
  return {
    train: hashOf(train.sentences),
    dev: hashOf(dev?.sentences ?? null),
    model: hashOf([model.config, tokenizerFiles(tokenizer)]),
  };
}

/** Mean of NER and RE+ micro F1 (NER alone without relation types): what "best" means. */
export const devScore = (e: Evaluation, relations: boolean): number =>
  relations ? (e.ner.micro.f1 + e.rePlus.micro.f1) / 2 : e.ner.micro.f1;

/**
 * A corpus as the model takes it. Errors: InputError naming file and row, for a label that the model does not have and
 * for whatever `encodeSentence` refuses.
 */
function encodeCorpus({ model, tokenizer }: TrainOptions, { sentences, file }: Corpus): EncodedSentence[] {
  if (sentences.length === 0) throw new InputError(`${file}: holds no sentence`);
  checkLabels(sentences, model.config, file);
  return sentences.map((s, i) => encodeSentence(s.tokens, tokenizer, model.config, `${file}: row ${i + 1}`));
}

/**
 * Trains `options.model` in place. Errors: InputError, before the first step, for a recipe out of range, data that does
 * not fit the model, a folder that cannot be written or resumed; SpanwiseError when the loss stops being finite (the
 * last checkpoint stays).
 */
export async function trainStsn(options: TrainOptions): Promise<TrainReport> {
  const { model, tokenizer, train, dev, notes = [] } = options;
  const recipe = parseRecipe({ ...options.recipe }, 'recipe');
  const { config } = model;
  checkTags(config, `${options.out}: config`);
  const encoded = encodeCorpus(options, train);
  if (dev) encodeCorpus(options, dev);
  const score = async (corpus: Corpus, progress: EvaluationProgress) => {
    const evaluation = await evaluateStsn(model, tokenizer, corpus, progress);
    const { ner, re, rePlus } = evaluation;
    return {
      score: devScore(evaluation, config.relationTypes.length > 0),
      f1: { ner: ner.micro.f1, re: re.micro.f1, rePlus: rePlus.micro.f1 },
      evaluation,
    };
  };
  return run(
    {
      ...format,
      ...{ model, tokenizer, recipe },
      data: fingerprint(options),
      about: { sentences: train.sentences.length, dev: dev?.sentences.length ?? 0 },
      notes: [
        ...notes,
        ...spanNotes(train.sentences, config.maxSpanWidth),
        ...(config.label ? tagNotes(train.sentences, config.tags) : []),
      ],
      batches: Math.ceil(train.sentences.length / recipe.batch),
      epoch(epoch) {
        const order = train.sentences.map((_, i) => i);
        stream(recipe.seed, ORDER_STREAM, epoch).shuffle(order);
        return {
          batch: (batch, step) => [
            sampleBatch(
              { ...options, recipe },
              encoded,
              order.slice(batch * recipe.batch, (batch + 1) * recipe.batch),
              epoch,
              step,
            ),
          ],
        };
      },
      evaluate: dev && ((progress) => score(dev, progress)),
      files: () => checkpointFiles(model, tokenizer),
    },
    options,
  );
}

/**
 * The chosen sentences with their samples.
 * @param step from 0, over the whole run
 */
function sampleBatch(
  { model, recipe, tokenizer, train }: TrainOptions,
  encoded: readonly EncodedSentence[],
  chosen: readonly number[],
  epoch: number,
  step: number,
): MicroBatch<Part, Count> {
  const { seed, negativeSpans, negativePairs } = recipe;
  const sampling = { ...model.config, negativeSpans, negativePairs };
  const samples = joinSamples(
    chosen.map((i) => sampleSentence(train.sentences[i], sampling, { seed, epoch, sentence: i })),
  );
  const batch = makeBatch(
    chosen.map((i) => encoded[i]),
    tokenizer.padId,
  );
  const sentences = chosen.map((i) => train.sentences[i]);
  return {
    share: 1,
    counts: samples.counts,
    losses: () => stsnLoss(model, batch, sentences, samples, { p: recipe.dropout, seed, offset: step }),
  };
}

/** Scores a model on a corpus. */
export async function evaluateStsn(
  model: Stsn,
  tokenizer: Tokenizer,
  corpus: Corpus,
  progress?: EvaluationProgress,
): Promise<Evaluation> {
  const predictions = await predict(
    model,
    tokenizer,
    corpus.sentences.map((s) => s.tokens),
    (i) => `${corpus.file}: row ${i + 1}`,
    { progress: (done, total) => progress?.('sentences', done, total) },
  );
  return evaluate(corpus.sentences, predictions);
}
