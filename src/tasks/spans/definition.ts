/** What all models of spans share: a `SpanModel` with its configuration and recipe becomes a `Definition`. */
import { checkLabels, parseSpertJson, type Sentence } from '../dataset.ts';
import type { Epochs, Loaded, TrainingInput } from '../definition.ts';
import { judgedSentences } from '../errors/judged.ts';
import type { Option } from '../options.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { buildVocab } from '../text/vocab.ts';
import { createWordPieceTokenizer } from '../text/wordpiece.ts';
import { commonRecipe, type RecipeTable, type TrainingRecipe } from '../training/recipe.ts';
import { relationTuning } from '../threshold.ts';
import { shuffledEpochs } from '../training/shuffled.ts';
import { encodeSentence, makeWordBatch } from './batch.ts';
import { spanNotes } from './enumerate.ts';
import { evaluate } from './evaluate.ts';
import { extractWords } from './extract.ts';
import { spanLosses } from './losses.ts';
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
import { predict } from './predict.ts';
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

/** A corpus as the model takes it. Errors: InputError naming file and row. */
const encodeAll = (
  sentences: readonly Sentence[],
  file: string,
  { encoder }: SpanConfig,
  tokenizer: Tokenizer,
) => sentences.map((s, i) => encodeSentence(s.tokens, tokenizer, encoder, `${file}: row ${i + 1}`));

/** Shuffled sentences with samples drawn anew every epoch. */
function epochs<M extends SpanModel>(input: TrainingInput<SpanTypes<M>>): Epochs<SpanBatch> {
  const { model, tokenizer, train, dev, recipe } = input;
  const { config } = model;
  const { seed, negativeSpans, negativePairs } = recipe;
  const { sentences } = train;
  const encoded = encodeAll(sentences, train.file, config, tokenizer);
  if (dev) encodeAll(dev.sentences, dev.file, config, tokenizer);
  const sampling = { ...config, negativeSpans, negativePairs };
  return {
    about: { sentences: sentences.length, dev: dev?.sentences.length ?? 0 },
    notes: [
      ...spanNotes(sentences, config.maxSpanWidth),
      ...(config.tags ? tagNotes(sentences, config.tags) : []),
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

/** Corpora in the SpERT style, for every model that reads them. */
export const spertReading: Pick<SpanDefinition, 'texts' | 'read'> = {
  texts: ({ sentences }) => sentences.map(({ tokens }) => tokens.join(' ')),
  read: (text, file) => ({ sentences: parseSpertJson(text, file), file, notes: [] }),
};

async function evaluateSpans(
  loaded: Loaded<SpanTypes>,
  { sentences, file }: SpanCorpus,
  options: SpanOptions = {},
): Promise<SpanTypes['evaluation']> {
  const predictions = await predict(
    loaded,
    sentences.map(({ tokens }) => tokens),
    (i) => `${file}: row ${i + 1}`,
    options,
  );
  const { maxSpanWidth, symmetric = [] } = loaded.model.config;
  const notes = spanNotes(sentences, maxSpanWidth);
  options.onJudged?.({ texts: judgedSentences(sentences, predictions), symmetric, typedEnds: true });
  return { ...evaluate(sentences, predictions, symmetric), notes };
}

/** The definition of a model of spans. */
export const spanDefinition = <M extends SpanModel>(own: OwnDefinition<M>): SpanDefinition<M> => ({
  ...own,
  pretrained: {},
  pretrainedRecipe: () => ({}),
  configOptions: { symmetric: symmetricOption },
  vocabulary: ({ sentences }) => vocabularyOf(sentences),
  ...spertReading,
  check({ sentences, file }, config) {
    own.checkConfig?.(config, 'config');
    checkLabels(sentences, config, file);
  },
  counted: ['positiveSpans', 'negativeSpans', 'positivePairs', 'negativePairs'],
  epochs,
  losses: spanLosses,
  traceBatch({ model: { config }, tokenizer }, text, file) {
    const sentences = parseSpertJson(text, file);
    checkLabels(sentences, config, file);
    return {
      batch: makeWordBatch(encodeAll(sentences, file, config, tokenizer), tokenizer.padId),
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
  extract: (loaded, texts, what, options) =>
    extractWords(texts, what, (words, names) => predict(loaded, words, names, options)),
});
