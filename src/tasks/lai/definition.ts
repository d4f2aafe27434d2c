/** LAI-Net as a `Definition` (docs/lai.md): a model for each stage, which extract together. */
import { InputError } from '../../../kernels/errors.ts';
import type { Json } from '../../models/config.ts';
import { parseLaiConfig, stageLabels, stages, type LaiConfig } from '../../models/lai-config.ts';
import { Lai } from '../../models/lai.ts';
import { withSentences } from '../complete.ts';
import { checkLabels, withoutRelations } from '../dataset.ts';
import type { Definition, Loaded, Opened } from '../definition.ts';
import { keptAnnotation } from '../spans/enumerate.ts';
import { extractWords } from '../spans/extract.ts';
import { checkGold } from '../spans/gold.ts';
import type { SpanCorpus } from '../spans/model.ts';
import { ofSentences, scoreSentences, sentenceEpochs, vocabularyOf } from '../spans/sentences.ts';
import { relationTuning } from '../threshold.ts';
import { commonRecipe } from '../training/recipe.ts';
import { predict, systemOf } from './predict.ts';
import { goldNotes, widestOf } from './rows.ts';
import { laiLosses, pack, type LaiOptions, type LaiTypes } from './training.ts';

/** A filter that starts from random weights learns late, and what is classified jumps when it does. */
const small: Json = { filter: false };

/**
 * A configuration with the labels of the training sentences. Errors: InputError for a corpus that has none of the stage's
 * gold and for an annotation of no label, too.
 */
function complete(given: Json, what: string, corpus: SpanCorpus, vocabSize: number): LaiConfig {
  const stage = stages.find((name) => name === given.stage);
  if (stage) checkGold(corpus, stage, 'trained');
  const { sentences } = corpus;
  const config = parseLaiConfig(withSentences(given, what, { model: 'lai', sentences }, vocabSize), what);
  const labels = [...config.entityTypes, ...config.relationTypes];
  const stray = Object.keys(config.annotations).find((label) => !labels.includes(label));
  if (stray === undefined) return config;
  throw new InputError(`${what}: annotations: "${stray}" is no label (there are: ${labels.join(', ')})`);
}

/** What tells that two stages are of other data: entity types that the relations were not learnt among, other words. */
function stageNotes(config: LaiConfig, relations: Pick<Opened, 'config' | 'what'>): string[] {
  const other = relations.config as LaiConfig;
  const unknown = config.entityTypes.filter((type) => !other.entityTypes.includes(type));
  return [
    ...(unknown.length > 0
      ? [
          `${relations.what}: learnt relations among entities of ${other.entityTypes.join(', ') || 'no type'}, and not of ${unknown.join(', ')}`,
        ]
      : []),
    ...(JSON.stringify(config.words) === JSON.stringify(other.words)
      ? []
      : [
          `${relations.what}: parts text into words by another rule than the model of entities, whose is used`,
        ]),
  ];
}

async function evaluateLai(
  loaded: Loaded<LaiTypes>,
  corpus: SpanCorpus,
  options: LaiOptions = {},
): Promise<LaiTypes['evaluation']> {
  const { sentences } = corpus;
  const { config } = loaded.model;
  checkGold(corpus, config.stage, 'scored');
  const other = options.relations?.model.config;
  const gold =
    config.stage === 'relations' ? sentences.map((s) => keptAnnotation(s, Infinity).entities) : undefined;
  const { re, rePlus, byTextLength, ...found } = await scoreSentences(
    corpus,
    systemOf(loaded, options),
    { words: config.words, symmetric: (other ?? config).symmetric },
    goldNotes(sentences, config),
    options,
    (words, what, refused) => predict(loaded, words, what, { ...options, refused }, gold),
    {
      ...(gold && { given: true, typedEnds: false }),
      // What no stage looks for is not judged.
      ...(!gold && !other && { sentences: sentences.map(withoutRelations) }),
    },
  );
  if (gold) return { sentences: found.sentences, notes: found.notes, entities: 'gold', re };
  return { ...found, ...(other && { re, rePlus, byTextLength }) };
}

export const lai: Definition<LaiTypes> = {
  ...ofSentences,
  name: 'lai',
  title: 'LAI-Net',
  parseConfig: parseLaiConfig,
  build: (parameters, config, { pooler }) => new Lai(parameters, config, pooler),
  small,
  configOptions: {
    ...ofSentences.configOptions,
    stage: {
      ...{ kind: 'choice', choices: stages, value: stages.join('|') },
      doc: 'what the model finds: a system has one of each',
    },
  },
  vocabulary(corpus, _extra, given, what) {
    const { entityTypes, relationTypes, annotations, markers } = complete(given, what, corpus, 1);
    const phrases = [...entityTypes, ...relationTypes, ...Object.values(annotations)];
    // Twice, which makes their words entries.
    return vocabularyOf(corpus.sentences, {
      words: [...phrases, ...phrases],
      reserved: Object.values(markers),
    });
  },
  complete: (given, what, corpus, { vocabSize }) => complete(given, what, corpus, vocabSize),
  check: (corpus, config, use) => checkLabels(corpus, stageLabels(config), use),
  checkGold: (corpus, { config }, use) => checkGold(corpus, config.stage, use, widestOf(config)),

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
    const { instances, taskOf, ...learnt } = pack(input, input.train);
    return sentenceEpochs(input, systemOf(input), learnt, (chosen, epoch, regularisation) => {
      const task = taskOf(chosen.map((i) => instances[i]));
      return {
        counts: { candidates: task.batch.counts.reduce((sum, count) => sum + count, 0) },
        batch: { ...task, filtered: epoch >= input.recipe.coldStart, regularisation },
      };
    });
  },
  losses: laiLosses,
  traceBatch(loaded, text, file) {
    const { config } = loaded.model;
    const corpus = lai.read(text, file, { words: config.words });
    lai.check(corpus, config);
    const { instances, taskOf } = pack(loaded, corpus);
    return taskOf(instances);
  },

  options: {
    relations: {
      kind: 'model',
      value: 'DIR',
      doc: 'a model of relations among the entities that the model finds',
    },
    ...ofSentences.options,
  },
  checkOptions({ config, what }, { relations }, command) {
    const { stage } = config;
    const other = (relations?.config as LaiConfig | undefined)?.stage;
    if (relations && stage !== 'entities')
      throw new InputError(
        `${relations.what}: goes with a model of stage entities, not with one of ${stage}`,
      );
    if (relations && other !== 'relations')
      throw new InputError(`${relations.what}: a model of stage ${other}, where one of relations is needed`);
    if (command === 'extract' && stage === 'relations')
      throw new InputError(
        `${what}: a model of stage relations finds no entities, but relates those of another`,
      );
    return relations ? stageNotes(config, relations) : [];
  },
  evaluate: evaluateLai,
  threshold: relationTuning<LaiTypes>(evaluateLai, (loaded, options) => options.relations ?? loaded),
  /** Of a model by itself, as it trains. */
  best: ({ ner, re }) => (ner ?? re)!.micro.f1,
  remarks: ({ sentences, entities }) => [
    `${sentences} sentences${entities ? ', relations among their gold entities' : ''}`,
  ],
  extract: (loaded, asked, what, options) =>
    extractWords(asked, loaded.model.config.words, what, options?.onBad, (words, names, refused) =>
      predict(loaded, words, names, { ...options, refused }),
    ),
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
