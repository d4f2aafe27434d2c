/** CEREM as a `Definition` (docs/cerem.md). */
import { InputError } from '../../../kernels/errors.ts';
import { Cerem, ceremAttention, parseCeremConfig } from '../../models/cerem.ts';
import type { Json } from '../../models/config.ts';
import { BadRows } from '../bad-rows.ts';
import { withDefaults } from '../complete.ts';
import { parseDocuments } from '../corpus/parse.ts';
import { placeOf, type Definition } from '../definition.ts';
import { extraction, inWords, joinWords } from '../extraction.ts';
import { smallEncoder } from '../small-encoder.ts';
import { buildVocab } from '../text/vocab.ts';
import { createWordPieceTokenizer } from '../text/wordpiece.ts';
import { bestOfGrid } from '../threshold.ts';
import { commonRecipe } from '../training/recipe.ts';
import { attentionJson, attentionMap, attentionTable } from './attention-map.ts';
import { attentionSvg } from './attention-svg.ts';
import { encodeText, makePromptBatch, parsePromptedJson, pointerTargets } from './batch.ts';
import { evaluateCerem, type EvaluateOptions } from './evaluate.ts';
import { effortNotes, effortText, extractDocuments } from './extract.ts';
import { judgedDocuments } from './judged.ts';
import { answerLimits } from './limits.ts';
import { promptLosses } from './losses.ts';
import type { SeenInputs } from './predict.ts';
import { inferSchema, parseSchema, relationPrompt, schemaJson } from './schema.ts';
import { checkAsked, scoreNames } from './scores.ts';
import { askedSchema, checkSpans, devSubjects, epochs, neededSchema } from './training.ts';
import type { CeremOptions, CeremTypes } from './training.ts';

/** The file of a checkpoint that holds what its model was trained to be asked. */
export const SCHEMA = 'schema.json';

/** A lower threshold than the paper's: a model that has read this little is never sure of a name it has not seen. */
const demoModel: Json = {
  scales: [2, 3, 4],
  heads: 4,
  headSize: 8,
  projections: 'shared',
  threshold: 0.3,
  encoder: { ...smallEncoder, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1 },
};

export const cerem: Definition<CeremTypes> = {
  name: 'cerem',
  title: 'CEREM',
  parseConfig: parseCeremConfig,
  build: (parameters, config, { pooler, recipe }) =>
    new Cerem(parameters, config, { pooler, ...(recipe && { mixInit: { constant: recipe.mixInit } }) }),
  extra: {
    file: SCHEMA,
    option: 'schema',
    doc: 'what to ask of a text and how; else the types of the training data',
    parse: parseSchema,
    json: schemaJson,
    start: ({ documents, file }) => inferSchema(documents, { what: file }),
  },

  // The paper's windows, 4 heads of 16.
  small: { scales: [2, 3, 4, 5, 6], heads: 4, headSize: 16 },
  pretrained: { ...ceremAttention },
  configOptions: {},
  /** Of the characters of texts and prompts. */
  vocabulary({ documents }, extra) {
    const schema = neededSchema({ extra, what: 'vocabulary' });
    const prompts = schema.entities.flatMap(({ prompt, relations }) => [
      prompt,
      ...relations.map((relation) => relationPrompt(schema, relation, '')),
    ]);
    const texts = documents.map(({ text }) => text);
    const vocab = buildVocab([...texts, ...prompts], { doLowerCase: false, minCount: Infinity });
    return createWordPieceTokenizer({ vocab, doLowerCase: false });
  },
  complete: (given, what, { documents }, { vocabSize }) =>
    parseCeremConfig(
      withDefaults(given, what, { model: 'cerem', answers: answerLimits(documents) }, vocabSize),
      what,
    ),
  texts: ({ documents }) => documents.map(({ text }) => text),
  read: (content, file, options) => ({
    ...parseDocuments(content, file, options),
    file,
    onBad: options?.onBad,
  }),
  check: checkSpans,
  checkGold: (corpus, { extra }, use) => checkAsked(corpus, neededSchema({ extra, what: corpus.file }), use),

  recipe: {
    ...commonRecipe({ epochs: 10, lr: 1e-3, batch: 32 }),
    accumulation: {
      doc: 'parts that a batch goes through the model in, for less memory',
      default: 1,
      integer: true,
      min: 1,
    },
    negatives: {
      doc: 'prompts without an answer, drawn for each text and each subject',
      default: 1,
      min: 0,
    },
    freezeUntil: {
      doc: 'dev score below which a pretrained encoder learns nothing (0: it always learns; on one, 0.2)',
      default: 0,
      min: 0,
      max: 1,
    },
    mixInit: { doc: 'first weights over the scales', default: 1 / 6 },
    buckets: {
      doc: 'batches sorted by length together (1: no sorting)',
      default: 16,
      integer: true,
      min: 1,
    },
  },
  pretrainedRecipe: (dev) => ({ lr: 5e-5, ...(dev && { freezeUntil: 0.2 }) }),
  checkStart({ freezeUntil }, { pretrained, dev }) {
    if (freezeUntil > 0 && !pretrained)
      throw new InputError(
        'recipe: "freezeUntil" needs a pretrained encoder: random weights are never frozen',
      );
    if (freezeUntil > 0 && !dev)
      throw new InputError('recipe: "freezeUntil" needs dev data, whose score ends the freezing');
    return pretrained && !dev ? ['without dev data the encoder is not frozen at first'] : [];
  },
  parts: ['start', 'end'],
  counted: ['positives', 'negatives'],
  epochs,
  losses: promptLosses,
  forward(model, batch) {
    const { start, end } = model.forward(batch);
    return { start_logits: start, end_logits: end };
  },
  traceBatch({ model, tokenizer }, text, file) {
    const texts = parsePromptedJson(text, file);
    const encoded = texts.map((row, i) => encodeText(row, tokenizer, model.config, `${file}: row ${i + 1}`));
    const batch = makePromptBatch(encoded, tokenizer.padId);
    return { batch, targets: pointerTargets(texts, encoded, batch.columns, file) };
  },

  scores: {
    entity: 'entity',
    triple: 'triple',
    trigger: 'trigger',
    argument: 'argument',
    eventTriple: 'event triple',
  },
  options: {
    schema: {
      kind: 'json',
      value: 'F',
      doc: `what to look for (JSON; default: ${SCHEMA} of the checkpoint)`,
      parse: parseSchema,
    },
    overlap: {
      kind: 'integer',
      min: 0,
      value: 'N',
      doc: 'word pieces that the windows of a long text share (default 64)',
    },
    maxAnswer: {
      kind: 'integer',
      min: 0,
      value: 'N',
      doc: 'characters of the longest answer (default: as long as in training, by type; 0: no limit)',
    },
    maxSubjects: {
      kind: 'integer',
      min: 0,
      value: 'N',
      doc: 'subjects of a document that relations are asked about, the best first (default 100)',
    },
    bootstrap: { kind: 'object', value: 'JSON', doc: 'draws and seed of the intervals', commands: [] },
  },
  async evaluate(loaded, corpus, options: CeremOptions & Pick<EvaluateOptions, 'seen'> = {}) {
    const { schema: given, onJudged, ...rest } = options;
    const schema = askedSchema(loaded, given);
    checkAsked(corpus, schema, 'scored');
    const bad = new BadRows(corpus.file, corpus.onBad);
    const { documents } = corpus;
    const evaluation = await evaluateCerem(loaded.model, loaded.tokenizer, documents, schema, {
      ...rest,
      ...(corpus.onBad === 'skip' && { refused: (_, error) => bad.add(error) }),
      what: (i) => placeOf(corpus, i),
      onPredicted: (predicted) => onJudged?.(judgedDocuments(documents, predicted, schema)),
    });
    return { ...evaluation, notes: [...bad.settle(), ...evaluation.notes] };
  },
  threshold: {
    ...{ key: 'threshold', of: 'answers', model: (loaded) => loaded },
    async tune(loaded, corpus, options) {
      const seen: SeenInputs = new Map();
      const { threshold: present = loaded.model.config.threshold } = options;
      return bestOfGrid(present, corpus.file, async (threshold) => {
        const asked = { ...options, threshold, seen, onJudged: undefined, bootstrap: { draws: 1 } };
        return (await cerem.evaluate(loaded, corpus, asked)).score;
      });
    },
  },
  best: ({ score }) => score,
  devOptions: ({ documents }, extra) => ({
    maxSubjects: devSubjects(documents, neededSchema({ extra, what: 'dev' })),
  }),
  remarks: (evaluation) => [
    ...scoreNames.flatMap((name) => {
      const found = evaluation[name];
      if (!found) return [];
      const [low, high] = found.f1Interval.map((f1) => (100 * f1).toFixed(2));
      return [`${cerem.scores[name]} micro F1: 95 % interval ${low} to ${high}`];
    }),
    `${evaluation.documents} documents, ${effortText(evaluation.effort)}`,
  ],
  effortLines: ({ prompts, forwardPasses, unasked, seconds }) => [
    effortText({ prompts, forwardPasses, seconds }),
    ...effortNotes({ unasked }).map((note) => `note: ${note}`),
  ],
  async attention({ model, tokenizer, what }, input) {
    const map = await attentionMap(model, tokenizer, input, what);
    return {
      svg: attentionSvg(map, [`CEREM, asked “${input.prompt}” of`, input.text]),
      table: attentionTable(map),
      json: { ...input, ...attentionJson(map) },
    };
  },
  extracted:
    'an entity with "objectOnly": true is there because a relation points to it; no entity prompt found it.\n' +
    'Events: triggers are entities, arguments relations from them.',
  prompt: (extra) => extra?.entities[0].prompt ?? '',
  demo: {
    summary:
      'Trains, scores and uses a small CEREM with segments, beside one without, on a small Chinese corpus',
    corpus: 'crops',
    recipe: { epochs: 6, lr: 3e-3, batch: 16, seed: 1 },
    variants: [
      { name: 'with segments', folder: 'segments', config: { ...demoModel, sia: true } },
      { name: 'without', folder: 'plain', config: { ...demoModel, sia: false } },
    ],
  },
  async extract({ model, tokenizer, ...loaded }, asked, what, options = {}) {
    const { schema: given, onBad, ...rest } = options;
    const schema = askedSchema(loaded, given);
    const texts = asked.map((one) => ({ text: typeof one === 'string' ? one : joinWords(one.tokens) }));
    const errors = new Map<number, string>();
    const { documents, report } = await extractDocuments(model, tokenizer, texts, schema, what, {
      ...rest,
      ...(onBad === 'skip' && { refused: (i, { message }) => errors.set(i, message) }),
    });
    const { prompts, forwardPasses, unasked, seconds } = report;
    return {
      results: documents.map(({ entities, relations }, i) => ({
        ...extraction(asked[i], inWords(asked[i], entities), relations),
        ...(errors.has(i) && { error: errors.get(i) }),
      })),
      effort: { prompts, forwardPasses, unasked, seconds },
    };
  },
};
