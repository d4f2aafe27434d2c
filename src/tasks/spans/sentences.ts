/** What all models of sentences of words share: fields of their definitions, what they are trained on, their scores. */
import { wordRules } from '../../models/word-rule.ts';
import { BadRows } from '../bad-rows.ts';
import { parseSentences } from '../corpus/sentences.ts';
import type { Sentence } from '../dataset.ts';
import { placeOf, type Epochs } from '../definition.ts';
import { judgedSentences, type Judgement } from '../errors/judged.ts';
import type { Tokenizer } from '../text/tokenizer.ts';
import { buildVocab } from '../text/vocab.ts';
import { ruleNotes, wordNotes } from '../text/word-rules.ts';
import { createWordPieceTokenizer } from '../text/wordpiece.ts';
import type { TrainingRecipe } from '../training/recipe.ts';
import { shuffledEpochs } from '../training/shuffled.ts';
import { evaluate, type Evaluation } from './evaluate.ts';
import type { SpanConfig, SpanCorpus, SpanDefinition, SpanOptions } from './model.ts';
import { scoredNotes, type Predict, type Reader } from './windows.ts';

/** The fields of a definition that are alike. */
export const ofSentences: Pick<
  SpanDefinition,
  'pretrained' | 'configOptions' | 'texts' | 'read' | 'scores' | 'options'
> = {
  pretrained: {},
  configOptions: {
    words: {
      kind: 'choice',
      choices: wordRules,
      value: wordRules.join('|'),
      doc: 'how plain text is parted into words (default: as gives the training words back)',
    },
    symmetric: {
      kind: 'list',
      value: 'A,B',
      doc: 'relation types of which either end may be the head',
    },
  },
  texts: ({ sentences }) => sentences.map(({ tokens }) => tokens.join(' ')),
  read: (content, file, options) => ({
    ...parseSentences(content, file, options),
    file,
    onBad: options?.onBad,
  }),
  scores: { ner: 'NER', re: 'RE', rePlus: 'RE+' },
  options: {
    overlap: {
      kind: 'integer',
      min: 0,
      value: 'N',
      doc: 'word pieces that the windows of a long text share (default 64)',
    },
  },
};

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
export function encodeAll<E extends object>(corpus: SpanCorpus, reader: Pick<Reader<E>, 'encode'>) {
  const bad = new BadRows(corpus.file, corpus.onBad);
  const sentences: Sentence[] = [];
  const encoded = corpus.sentences.flatMap((sentence, i) => {
    const one = bad.attempt(() => reader.encode(sentence.tokens, placeOf(corpus, i)));
    if (one) sentences.push(sentence);
    return one ? [one] : [];
  });
  if (encoded.length === 0 && bad.count > 0) bad.refuse();
  return { sentences, encoded, notes: bad.settle() };
}

/** What a training learns from. */
export interface Learnt {
  sentences: readonly Sentence[];
  /** What the log counts of them. */
  about?: Readonly<Record<string, number>>;
  /** What of them cannot be learnt. */
  notes: readonly string[];
  /** What of the gold of some sentences the model cannot express. */
  goldNotes(this: void, sentences: readonly Sentence[]): string[];
  /** Number of those that an epoch shuffles. */
  items: number;
}

/**
 * Epochs of shuffled items made of sentences; notes on what of the data cannot be learnt or found, and on how plain text will be
 * parted into words.
 * @param make see `shuffledEpochs`
 */
export const sentenceEpochs = <B>(
  input: { model: { config: SpanConfig }; train: SpanCorpus; dev?: SpanCorpus; recipe: TrainingRecipe },
  reader: Reader<unknown>,
  { sentences, about, notes, goldNotes, items }: Learnt,
  make: Parameters<typeof shuffledEpochs<B>>[2],
): Epochs<B> => {
  const { model, train, dev, recipe } = input;
  return {
    about: { sentences: sentences.length, ...about, dev: dev?.sentences.length ?? 0 },
    notes: [
      ...notes,
      ...goldNotes(sentences),
      ...ruleNotes(model.config),
      ...[train, ...(dev ? [dev] : [])].flatMap((c) => wordNotes(c.sentences, model.config, c.file)),
      ...(dev
        ? [...scoredNotes(dev, reader), ...goldNotes(dev.sentences)].map((note) => `${dev.file}: ${note}`)
        : []),
    ],
    identity: { train: sentences, dev: dev?.sentences },
    ...shuffledEpochs(items, recipe, make),
  };
};

/**
 * Predicts and scores a corpus; sentences that the model cannot take hold nothing.
 * @param goldNotes what of the gold the model cannot express
 * @param judged how errors are judged, where not as those of a model that finds entities and relations
 */
export async function scoreSentences(
  corpus: SpanCorpus,
  reader: Reader<unknown>,
  { symmetric = [], ...config }: Pick<SpanConfig, 'words' | 'symmetric'>,
  goldNotes: readonly string[],
  { onJudged }: Pick<SpanOptions, 'onJudged'>,
  predict: Predict,
  { sentences = corpus.sentences, ...judged }: Partial<Judgement> & { sentences?: readonly Sentence[] } = {},
): Promise<Evaluation & { notes: string[] }> {
  const notes = [...scoredNotes(corpus, reader), ...goldNotes, ...wordNotes(corpus.sentences, config)];
  const words = corpus.sentences.map(({ tokens }) => tokens);
  const found = await predict(
    words,
    (i) => placeOf(corpus, i),
    () => undefined,
  );
  onJudged?.({
    texts: judgedSentences(sentences, found, corpus.texts),
    symmetric,
    typedEnds: true,
    ...judged,
  });
  return { ...evaluate(corpus.sentences, found, symmetric), notes };
}
