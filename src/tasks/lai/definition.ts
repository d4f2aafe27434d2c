/** LAI-Net as a `Definition` (docs/lai.md): a model for each stage, which extract together. */
import { InputError } from '../../../kernels/errors.ts';
import type { Json } from '../../models/config.ts';
import { parseLaiConfig, stages, type LaiConfig } from '../../models/lai-config.ts';
import { Lai } from '../../models/lai.ts';
import { withSentences } from '../complete.ts';
import { checkLabels, type Sentence } from '../dataset.ts';
import { placeOf, type Definition, type Loaded } from '../definition.ts';
import { judgedSentences } from '../errors/judged.ts';
import {
  overlapOption,
  symmetricOption,
  vocabularyOf,
  wordReading,
  wordsOption,
} from '../spans/definition.ts';
import { keptAnnotation } from '../spans/enumerate.ts';
import { evaluate } from '../spans/evaluate.ts';
import { extractWords } from '../spans/extract.ts';
import { corpusNotes } from '../spans/notes.ts';
import { wordNotes } from '../text/word-rules.ts';
import { relationTuning } from '../threshold.ts';
import { commonRecipe } from '../training/recipe.ts';
import { predict, scoredNotes } from './predict.ts';
import { goldNotes, ownGold } from './rows.ts';
import { epochs, laiLosses, pack, type LaiTypes } from './training.ts';

/** A filter that starts from random weights learns late, and what is classified jumps when it does. */
const small: Json = { filter: false };

/** A configuration with the labels of the training sentences. */
const complete = (given: Json, what: string, sentences: readonly Sentence[], vocabSize: number): LaiConfig =>
  parseLaiConfig(withSentences(given, what, { model: 'lai', sentences }, vocabSize), what);

/** Errors: InputError for models that are not of the stages that they are asked for; `what` names the second. */
function checkStages(first: LaiConfig, second: LaiConfig | undefined, what = 'relations'): void {
  if (second && first.stage !== 'entities')
    throw new InputError(`${what}: goes with a model of stage entities, not with one of ${first.stage}`);
  if (second && second.stage !== 'relations')
    throw new InputError(`${what}: a model of stage ${second.stage}, where one of relations is needed`);
}

/** Errors: InputError where the model finds nothing in plain text. */
function checkFinds({ stage }: LaiConfig, what: string): void {
  if (stage === 'relations')
    throw new InputError(
      `${what}: a model of stage relations finds no entities, but relates those of another`,
    );
}

const withoutRelations = ({ beyond, ...sentence }: Sentence): Sentence => ({
  ...sentence,
  relations: [],
  ...(beyond && { beyond: { ...beyond, relations: [] } }),
});

async function evaluateLai(
  loaded: Loaded<LaiTypes>,
  corpus: LaiTypes['corpus'],
  options: LaiTypes['options'] = {},
): Promise<LaiTypes['evaluation']> {
  const { sentences } = corpus;
  const { config } = loaded.model;
  const other = options.relations?.model.config;
  checkStages(config, other, options.relations?.what);
  const notes = [...scoredNotes(loaded, corpus, options), ...goldNotes(sentences, config)];
  const gold =
    config.stage === 'relations' ? sentences.map((s) => keptAnnotation(s, Infinity).entities) : undefined;
  const words = sentences.map(({ tokens }) => tokens);
  const skipping = { ...options, refused: () => undefined };
  const predictions = await predict(loaded, words, (i) => placeOf(corpus, i), skipping, gold);
  const { symmetric } = other ?? config;
  const scores = evaluate(sentences, predictions, symmetric);
  // What no stage looks for is not judged.
  const asked = other || gold ? sentences : sentences.map(withoutRelations);
  options.onJudged?.({
    ...{ texts: judgedSentences(asked, predictions), symmetric, typedEnds: !gold },
    ...(gold && { given: true }),
  });
  const { re, rePlus, byTextLength, ...entities } = scores;
  const own = { sentences: sentences.length, notes: [...notes, ...wordNotes(sentences, config)] };
  if (gold) return { ...own, entities: 'gold', re };
  return { ...entities, ...(other && { re, rePlus, byTextLength }), ...own };
}

export const lai: Definition<LaiTypes> = {
  ...wordReading,
  name: 'lai',
  title: 'LAI-Net',
  parseConfig: parseLaiConfig,
  build: (parameters, config, { pooler }) => new Lai(parameters, config, pooler),
  small,
  pretrained: {},
  configOptions: {
    words: wordsOption,
    stage: {
      ...{ kind: 'choice', choices: stages, value: stages.join('|') },
      doc: 'what the model finds: a system has one of each',
    },
    symmetric: symmetricOption,
  },
  vocabulary({ sentences }, _extra, given, what) {
    const { entityTypes, relationTypes, annotations, markers } = complete(given, what, sentences, 1);
    const phrases = [...entityTypes, ...relationTypes, ...Object.values(annotations)];
    // Twice, which makes their words entries.
    return vocabularyOf(sentences, { words: [...phrases, ...phrases], reserved: Object.values(markers) });
  },
  complete: (given, what, { sentences }, { vocabSize }) => complete(given, what, sentences, vocabSize),
  check(corpus, config, use) {
    checkLabels({ ...corpus, sentences: ownGold(corpus.sentences, config) }, config, use);
  },

  recipe: {
    ...commonRecipe({ epochs: 60, lr: 5e-4, batch: 8 }),
    coldStart: {
      doc: 'epochs before the filter has a say in what is classified: half of them',
      default: (recipe) => Math.ceil(recipe.epochs / 2),
      ...{ integer: true, min: 0 },
    },
  },
  // PL-Marker's rate.
  pretrainedRecipe: () => ({ lr: 2e-5 }),
  parts: ['filter', 'span', 'relation'],
  counted: ['candidates'],
  epochs(input) {
    const found = epochs(input);
    const notes = corpusNotes(input, (corpus) => scoredNotes(input, corpus));
    return { ...found, notes: [...found.notes, ...notes] };
  },
  losses: laiLosses,
  traceBatch(loaded, text, file) {
    const { config } = loaded.model;
    const corpus = lai.read(text, file, { words: config.words });
    lai.check(corpus, config);
    const { instances, taskOf } = pack(loaded, corpus);
    return taskOf(instances);
  },

  scores: { ner: 'NER', re: 'RE', rePlus: 'RE+' },
  options: {
    relations: {
      kind: 'model',
      value: 'DIR',
      doc: 'a model of relations among the entities that the model finds',
    },
    overlap: overlapOption,
  },
  checkOptions({ config, what }, { relations }, command) {
    if (relations && relations.definition.name !== 'lai')
      throw new InputError(
        `${relations.what}: a model of kind ${relations.definition.title}, where a LAI-Net is needed`,
      );
    checkStages(config, relations?.config as LaiConfig | undefined, relations?.what);
    if (command === 'extract') checkFinds(config, what);
  },
  evaluate: evaluateLai,
  threshold: relationTuning<LaiTypes>(evaluateLai, (loaded, options) => options.relations ?? loaded),
  /** Of a model by itself, as it trains. */
  best: ({ ner, re }) => (ner ?? re)!.micro.f1,
  remarks: ({ sentences, entities }) => [
    `${sentences} sentences${entities ? ', relations among their gold entities' : ''}`,
  ],
  async extract(loaded, asked, what, options = {}) {
    const { config } = loaded.model;
    checkStages(config, options.relations?.model.config, options.relations?.what);
    checkFinds(config, loaded.what);
    return extractWords(asked, config.words, what, options.onBad, (words, names, refused) =>
      predict(loaded, words, names, { ...options, refused }),
    );
  },
  demo: {
    summary: 'Trains both stages of a small LAI-Net, scores them, together too, and extracts',
    corpus: 'expeditions',
    recipe: { epochs: 8, lr: 1e-3, batch: 8, seed: 1 },
    // No entity of the corpus has more words.
    variants: stages.map((stage) => ({
      name: stage,
      folder: stage,
      config: { ...small, maxSpanWidth: 5, stage },
    })),
    stages: ([, relations]) => ({ relations }),
  },
};
