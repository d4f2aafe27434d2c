/** What all models of spans share: a `SpanModel` with its configuration and recipe becomes a `Definition`. */
import { wordRules } from '../../models/word-rule.ts';
import { BadRows } from '../bad-rows.ts';
import { parseSentences } from '../corpus/sentences.ts';
import { checkLabels, strangerNotes, type Sentence } from '../dataset.ts';
import { placeOf, type Epochs, type Loaded, type TrainingInput } from '../definition.ts';
import { judgedSentences } from '../errors/judged.ts';
import type { Option } from '../options.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { buildVocab } from '../text/vocab.ts';
import { createWordPieceTokenizer } from '../text/wordpiece.ts';
import { wordNotes } from '../text/word-rules.ts';
import { commonRecipe, type RecipeTable, type TrainingRecipe } from '../training/recipe.ts';
import { relationTuning } from '../threshold.ts';
import { shuffledEpochs } from '../training/shuffled.ts';
import { encodeSentence, makeWordBatch } from './batch.ts';
import { spanNotes } from './enumerate.ts';
import { evaluate } from './evaluate.ts';
import { extractWords } from './extract.ts';
import { spanLosses } from './losses.ts';
import { corpusNotes } from './notes.ts';
import type {
  SpanBatch,
  SpanConfig,
  SpanCorpus,
  SpanDefinition,
  SpanModel,
  SpanOptions,
  SpanRecipe,
  SpanTypes,
} from './model.ts';
import { predict, sentenceNotes } from './predict.ts';
import { allSamples, joinSamples, sampleSentence } from './sampling.ts';
import { tagNotes } from './tags.ts';

/** What a model of spans brings of its own. */
export type OwnDefinition<M extends SpanModel> = Pick<
  SpanDefinition<M>,
  'name' | 'title' | 'parseConfig' | 'build' | 'small' | 'complete' | 'recipe' | 'demo' | 'attention'
> & { parts: SpanDefinition['parts']; checkConfig?(config: M['config'], what: string): void };

/** The fields of a recipe for models of spans. */
export const spanRecipe = (
  own: Pick<TrainingRecipe, 'epochs' | 'lr' | 'batch'>,
): RecipeTable<SpanRecipe> => ({
  ...commonRecipe(own),
  negativeSpans: { doc: 'most negative spans a sentence', default: 100, integer: true, min: 0 },
  negativePairs: { doc: 'most pairs without a relation a sentence', default: 100, integer: true, min: 0 },
});

/**
 * A vocabulary of the training words, for models that start from random weights.
 * @param extra further words, and tokens that no text contains
 */
export function vocabularyOf(
  sentences: readonly Sentence[],
  extra: { words?: readonly string[]; reserved?: readonly string[] } = {},
): Tokenizer {
  const words = [...sentences.flatMap(({ tokens }) => tokens), ...(extra.words ?? [])];
  const vocab = buildVocab(words, { doLowerCase: false, reserved: extra.reserved });
  return createWordPieceTokenizer({ vocab, doLowerCase: false });
}

/**
 * The sentences of a corpus that the model takes whole, and a note on others.
 * @throws InputError naming file and row of all the others, where they stop what is done with the corpus
 */
function encodeAll(corpus: SpanCorpus, { encoder }: SpanConfig, tokenizer: Tokenizer) {
  const bad = new BadRows(corpus.file, corpus.onBad);
  const sentences: Sentence[] = [];
  const encoded = corpus.sentences.flatMap((sentence, i) => {
    const one = bad.attempt(() => encodeSentence(sentence.tokens, tokenizer, encoder, placeOf(corpus, i)));
    if (one) sentences.push(sentence);
    return one ?? [];
  });
  if (encoded.length === 0 && bad.count > 0) bad.refuse();
  return { sentences, encoded, notes: bad.settle() };
}

/** What of a corpus cannot be found, whatever the weights. Errors: those of `sentenceNotes`. */
const scoredNotes = (
  loaded: Pick<Loaded<SpanTypes>, 'model' | 'tokenizer'>,
  corpus: SpanCorpus,
): string[] => [...sentenceNotes(loaded, corpus), ...strangerNotes(corpus.sentences, loaded.model.config)];

/** Shuffled sentences with samples drawn anew every epoch. */
function epochs<M extends SpanModel>(input: TrainingInput<SpanTypes<M>>): Epochs<SpanBatch> {
  const { model, tokenizer, train, dev, recipe } = input;
  const { config } = model;
  const { seed, negativeSpans, negativePairs } = recipe;
  const { sentences, encoded, notes } = encodeAll(train, config, tokenizer);
  const sampling = { ...config, negativeSpans, negativePairs };
  return {
    about: { sentences: sentences.length, dev: dev?.sentences.length ?? 0 },
    notes: [
      ...notes,
      ...spanNotes(sentences, config.maxSpanWidth),
      ...(config.tags ? tagNotes(sentences, config.tags) : []),
      ...corpusNotes(input, (corpus) => scoredNotes(input, corpus)),
    ],
    identity: { train: sentences, dev: dev?.sentences },
    ...shuffledEpochs(sentences.length, recipe, (chosen, epoch, regularisation) => {
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
    }),
  };
}

export const overlapOption: Option = {
  kind: 'integer',
  min: 0,
  value: 'N',
  doc: 'word pieces that the windows of a long text share (default 64)',
};

export const symmetricOption: Option = {
  kind: 'list',
  value: 'A,B',
  doc: 'relation types of which either end may be the head',
};

export const wordsOption: Option = {
  kind: 'choice',
  choices: wordRules,
  value: wordRules.join('|'),
  doc: 'how plain text is parted into words (default: as gives the training words back)',
};

/** Corpora as sentences, for every model that reads words. */
export const wordReading: Pick<SpanDefinition, 'texts' | 'read'> = {
  texts: ({ sentences }) => sentences.map(({ tokens }) => tokens.join(' ')),
  read: (content, file, options) => ({
    ...parseSentences(content, file, options),
    file,
    onBad: options?.onBad,
  }),
};

async function evaluateSpans(
  loaded: Loaded<SpanTypes>,
  corpus: SpanCorpus,
  options: SpanOptions = {},
): Promise<SpanTypes['evaluation']> {
  const { sentences } = corpus;
  const { config } = loaded.model;
  const notes = [
    ...scoredNotes(loaded, corpus),
    ...spanNotes(sentences, config.maxSpanWidth),
    ...wordNotes(sentences, config),
  ];
  const predictions = await predict(
    loaded,
    sentences.map(({ tokens }) => tokens),
    (i) => placeOf(corpus, i),
    { ...options, refused: () => undefined },
  );
  const { symmetric = [] } = config;
  options.onJudged?.({ texts: judgedSentences(sentences, predictions), symmetric, typedEnds: true });
  return { ...evaluate(sentences, predictions, symmetric), notes };
}

/** The definition of a model of spans. */
export const spanDefinition = <M extends SpanModel>(own: OwnDefinition<M>): SpanDefinition<M> => ({
  ...own,
  pretrained: {},
  pretrainedRecipe: () => ({}),
  configOptions: { words: wordsOption, symmetric: symmetricOption },
  vocabulary: ({ sentences }) => vocabularyOf(sentences),
  ...wordReading,
  check(corpus, config, use) {
    own.checkConfig?.(config, 'config');
    checkLabels(corpus, config, use);
  },
  counted: ['positiveSpans', 'negativeSpans', 'positivePairs', 'negativePairs'],
  epochs,
  losses: spanLosses,
  traceBatch({ model: { config }, tokenizer }, text, file) {
    const corpus = wordReading.read(text, file, { words: config.words });
    checkLabels(corpus, config);
    const { sentences, encoded } = encodeAll(corpus, config, tokenizer);
    return {
      batch: makeWordBatch(encoded, tokenizer.padId),
      sentences,
      samples: joinSamples(sentences.map((s) => allSamples(s, config))),
    };
  },
  scores: { ner: 'NER', re: 'RE', rePlus: 'RE+' },
  shown: ['ner', 'rePlus'],
  options: {
    policy: {
      kind: 'choice',
      choices: ['all', 'flat'],
      value: 'all|flat',
      doc: 'all entities (default), or without overlaps, the best first',
      commands: ['extract'],
    },
    overlap: overlapOption,
  },
  evaluate: evaluateSpans,
  threshold: relationTuning<SpanTypes<M>>(evaluateSpans, (loaded) => loaded),
  /** Mean of NER and RE+ micro F1; NER alone without relation types. */
  best: ({ ner, rePlus }, { relationTypes }) =>
    relationTypes.length > 0 ? (ner.micro.f1 + rePlus.micro.f1) / 2 : ner.micro.f1,
  remarks: ({ sentences }) => [`${sentences} sentences`],
  extract: (loaded, asked, what, options) =>
    extractWords(asked, loaded.model.config.words, what, options?.onBad, (words, names, refused) =>
      predict(loaded, words, names, { ...options, refused }),
    ),
});
