/** What all models of spans share: a `SpanModel` with its configuration and recipe becomes a `Definition`. */
import { checkLabels, type Sentence } from '../dataset.ts';
import type { Epochs, Loaded, TrainingInput } from '../definition.ts';
import { commonRecipe, type RecipeTable, type TrainingRecipe } from '../training/recipe.ts';
import { relationTuning } from '../threshold.ts';
import { makeWordBatch } from './batch.ts';
import { spanNotes } from './enumerate.ts';
import { extractWords } from './extract.ts';
import { checkGold, relationNotes } from './gold.ts';
import { spanLosses } from './losses.ts';
import type {
  SpanBatch,
  SpanCorpus,
  SpanDefinition,
  SpanModel,
  SpanOptions,
  SpanRecipe,
  SpanTypes,
} from './model.ts';
import { predict, readerOf } from './predict.ts';
import { allSamples, joinSamples, sampleSentence } from './sampling.ts';
import { encodeAll, ofSentences, scoreSentences, sentenceEpochs, vocabularyOf } from './sentences.ts';
import { tagNotes } from './tags.ts';
import type { Predict } from './windows.ts';

/** What a model of spans brings of its own. */
export type OwnDefinition<M extends SpanModel> = Pick<
  SpanDefinition<M>,
  | 'name'
  | 'title'
  | 'parseConfig'
  | 'build'
  | 'small'
  | 'complete'
  | 'recipe'
  | 'demo'
  | 'attention'
  | 'forward'
> & { parts: SpanDefinition['parts']; checkConfig?(config: M['config'], what: string): void };

/** The fields of a recipe for models of spans. */
export const spanRecipe = (
  own: Pick<TrainingRecipe, 'epochs' | 'lr' | 'batch'>,
): RecipeTable<SpanRecipe> => ({
  ...commonRecipe(own),
  negativeSpans: { doc: 'most negative spans a sentence', default: 100, integer: true, min: 0 },
  negativePairs: { doc: 'most pairs without a relation a sentence', default: 100, integer: true, min: 0 },
});

const predictor =
  (loaded: Loaded<SpanTypes>, options?: SpanOptions): Predict =>
  (sentences, what, refused) =>
    predict(loaded, sentences, what, { ...options, refused });

/** Shuffled sentences with samples drawn anew every epoch. */
function epochs<M extends SpanModel>(input: TrainingInput<SpanTypes<M>>): Epochs<SpanBatch> {
  const { model, tokenizer, train, recipe } = input;
  const { config } = model;
  const { seed, negativeSpans, negativePairs } = recipe;
  const reader = readerOf(input);
  const { sentences, encoded, notes } = encodeAll(train, reader);
  const sampling = { ...config, negativeSpans, negativePairs };
  const learnt = {
    sentences,
    items: sentences.length,
    notes: [
      ...notes,
      ...relationNotes(sentences, config.relationTypes, 'trained'),
      ...(config.tags ? tagNotes(sentences, config.tags) : []),
    ],
    goldNotes: (some: readonly Sentence[]) => spanNotes(some, config.maxSpanWidth),
  };
  return sentenceEpochs(input, reader, learnt, (chosen, epoch, regularisation) => {
    const samples = joinSamples(
      chosen.map((i) => sampleSentence(sentences[i], sampling, { seed, epoch, sentence: i })),
    );
    return {
      counts: { ...samples.counts },
      batch: {
        batch: makeWordBatch(
          chosen.map((i) => encoded[i]),
          tokenizer.padId,
        ),
        sentences: chosen.map((i) => sentences[i]),
        samples,
        regularisation,
      },
    };
  });
}

async function evaluateSpans(
  loaded: Loaded<SpanTypes>,
  corpus: SpanCorpus,
  options: SpanOptions = {},
): Promise<SpanTypes['evaluation']> {
  const { config } = loaded.model;
  const { sentences } = corpus;
  checkGold(corpus, 'entities', 'scored');
  const notes = [
    ...spanNotes(sentences, config.maxSpanWidth),
    ...relationNotes(sentences, config.relationTypes, 'scored'),
  ];
  return scoreSentences(corpus, readerOf(loaded), config, notes, options, predictor(loaded, options));
}

/** The definition of a model of spans. */
export const spanDefinition = <M extends SpanModel>(own: OwnDefinition<M>): SpanDefinition<M> => ({
  ...ofSentences,
  ...own,
  pretrainedRecipe: () => ({}),
  vocabulary: ({ sentences }) => vocabularyOf(sentences),
  check(corpus, config, use) {
    own.checkConfig?.(config, 'config');
    checkLabels(corpus, config, use);
  },
  checkGold: (corpus, { config }, use) => checkGold(corpus, 'entities', use, config.maxSpanWidth),
  counted: ['positiveSpans', 'negativeSpans', 'positivePairs', 'negativePairs'],
  epochs,
  losses: spanLosses,
  traceBatch(loaded, text, file) {
    const { config } = loaded.model;
    const corpus = ofSentences.read(text, file, { words: config.words });
    checkLabels(corpus, config);
    const { sentences, encoded } = encodeAll(corpus, readerOf(loaded));
    return {
      batch: makeWordBatch(encoded, loaded.tokenizer.padId),
      sentences,
      samples: joinSamples(sentences.map((s) => allSamples(s, config))),
    };
  },
  shown: ['ner', 'rePlus'],
  options: {
    policy: {
      kind: 'choice',
      choices: ['all', 'flat'],
      value: 'all|flat',
      doc: 'all entities (default), or without overlaps, the best first',
      commands: ['extract'],
    },
    pairChunk: { kind: 'integer', min: 1, value: 'N', doc: 'most pairs scored at once', commands: [] },
    ...ofSentences.options,
  },
  evaluate: evaluateSpans,
  threshold: relationTuning<SpanTypes<M>>(evaluateSpans, (loaded) => loaded),
  /** Mean of NER and RE+ micro F1; NER alone without relation types. */
  best: ({ ner, rePlus }, { relationTypes }) =>
    relationTypes.length > 0 ? (ner.micro.f1 + rePlus.micro.f1) / 2 : ner.micro.f1,
  remarks: ({ sentences }) => [`${sentences} sentences`],
  extract: (loaded, asked, what, options) =>
    extractWords(asked, loaded.model.config.words, what, options?.onBad, predictor(loaded, options)),
});
