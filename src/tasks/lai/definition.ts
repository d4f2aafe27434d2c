/** LAI-Net as a `Definition` (docs/lai.md): a model for each stage, which extract together. */
import { InputError } from '../../../kernels/errors.ts';
import type { Json } from '../../models/config.ts';
import { parseLaiConfig, stages, type LaiConfig } from '../../models/lai-config.ts';
import { Lai } from '../../models/lai.ts';
import { withDefaults } from '../complete.ts';
import { checkLabels, labelSets, type Sentence } from '../dataset.ts';
import type { Definition, Loaded } from '../definition.ts';
import { judgedSentences } from '../errors/judged.ts';
import { overlapOption, spertReading, symmetricOption, vocabularyOf } from '../spans/definition.ts';
import { keptAnnotation } from '../spans/enumerate.ts';
import { evaluate } from '../spans/evaluate.ts';
import { extractWords } from '../spans/extract.ts';
import { relationTuning } from '../threshold.ts';
import { commonRecipe } from '../training/recipe.ts';
import { predict } from './predict.ts';
import { epochs, goldNotes, laiLosses, pack, type LaiTypes } from './training.ts';

/** A filter that starts from random weights learns late, and what is classified jumps when it does. */
const small: Json = { filter: false };

/** A configuration with the labels of the training sentences. */
const complete = (given: Json, what: string, sentences: readonly Sentence[], vocabSize: number): LaiConfig =>
  parseLaiConfig(withDefaults(given, what, { model: 'lai', ...labelSets(sentences) }, vocabSize), what);

/** Errors: InputError for models that are not of the stages that they are asked for; `what` names the second. */
function checkStages(first: LaiConfig, second: LaiConfig | undefined, what = 'relations'): void {
  if (second && first.stage !== 'entities')
    throw new InputError(`${what}: goes with a model of stage entities, not with one of ${first.stage}`);
  if (second && second.stage !== 'relations')
    throw new InputError(`${what}: a model of stage ${second.stage}, where one of relations is needed`);
}

async function evaluateLai(
  loaded: Loaded<LaiTypes>,
  { sentences, file, notes }: LaiTypes['corpus'],
  options: LaiTypes['options'] = {},
): Promise<LaiTypes['evaluation']> {
  const { config } = loaded.model;
  const other = options.relations?.model.config;
  checkStages(config, other, options.relations?.what);
  if (other) lai.check({ sentences, file, notes }, other);
  const gold =
    config.stage === 'relations' ? sentences.map((s) => keptAnnotation(s, Infinity).entities) : undefined;
  const words = sentences.map(({ tokens }) => tokens);
  const predictions = await predict(loaded, words, (i) => `${file}: row ${i + 1}`, options, gold);
  const { symmetric } = other ?? config;
  const scores = evaluate(sentences, predictions, symmetric);
  // What no stage looks for is not judged.
  const asked = other || gold ? sentences : sentences.map((s) => ({ ...s, relations: [] }));
  options.onJudged?.({
    ...{ texts: judgedSentences(asked, predictions), symmetric, typedEnds: !gold },
    ...(gold && { given: true }),
  });
  const { re, rePlus, byTextLength, ...entities } = scores;
  const own = { sentences: sentences.length, notes: goldNotes(sentences, config) };
  if (gold) return { ...own, entities: 'gold', re };
  return { ...entities, ...(other && { re, rePlus, byTextLength }), ...own };
}

export const lai: Definition<LaiTypes> = {
  ...spertReading,
  name: 'lai',
  title: 'LAI-Net',
  parseConfig: parseLaiConfig,
  build: (parameters, config, { pooler }) => new Lai(parameters, config, pooler),
  small,
  pretrained: {},
  configOptions: {
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
  check({ sentences, file }, config) {
    const others = config.stage === 'entities' ? { relations: [] } : { entities: [] };
    const own = sentences.map((sentence) => ({ ...sentence, ...others }));
    checkLabels(own, config, file);
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
  epochs,
  losses: laiLosses,
  traceBatch(loaded, text, file) {
    const corpus = lai.read(text, file);
    lai.check(corpus, loaded.model.config);
    const { instances, taskOf } = pack(loaded, corpus);
    return taskOf(instances);
  },

  scores: { ner: 'NER', re: 'RE', rePlus: 'RE+' },
  options: {
    relations: {
      kind: 'model',
      value: 'DIR',
      doc: 'a model of relations among the entities that --model finds',
    },
    overlap: overlapOption,
  },
  checkOptions(config, { relations }) {
    if (!relations) return;
    const { definition, what } = relations;
    if (definition.name !== 'lai') throw new InputError(`${what}: a ${definition.title}, not a LAI-Net`);
    checkStages(config, relations.config as LaiConfig, what);
  },
  evaluate: evaluateLai,
  threshold: relationTuning<LaiTypes>(evaluateLai, (loaded, options) => options.relations ?? loaded),
  /** Of a model by itself, as it trains. */
  best: ({ ner, re }) => (ner ?? re)!.micro.f1,
  remarks: ({ sentences, entities }) => [
    `${sentences} sentences${entities ? ', relations among their gold entities' : ''}`,
  ],
  async extract(loaded, texts, what, options = {}) {
    const { config } = loaded.model;
    checkStages(config, options.relations?.model.config, options.relations?.what);
    if (config.stage === 'entities')
      return extractWords(texts, what, (words, names) => predict(loaded, words, names, options));
    throw new InputError(
      `${loaded.what}: a model of stage relations finds no entities, but relates those of another`,
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
