/** `spanwise eval`: the scores of a model on annotated texts. */
import { readCorpus } from '../tasks/corpus-file.ts';
import type { Definition } from '../tasks/definition.ts';
import type { Analysis } from '../tasks/errors/analysis.ts';
import { analysisText } from '../tasks/errors/words.ts';
import { unknownNotes } from '../tasks/text/unknown.ts';
import type { Score, TypedScores } from '../tasks/metrics.ts';
import { json, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { givenJudging, judgingOptions } from './errors.ts';
import { askedModel, batchOption, modelOption, precisionOption } from './model.ts';
import { percent, print, printJson, table } from './print.ts';
import { Progress } from './progress.ts';
import { givenReading, readingOptions } from './reading.ts';
import { useOptions } from './tables.ts';
import { AUTO, chooseThreshold, givenThreshold, thresholdOption } from './threshold.ts';

/** The scores of an evaluation, by name in words. */
const scoresOf = (definition: Definition, evaluation: object): [name: string, TypedScores][] =>
  Object.entries(definition.scores).flatMap(([key, name]) => {
    const found = (evaluation as Record<string, TypedScores | undefined>)[key];
    return found ? [[name, found] as [string, TypedScores]] : [];
  });

/** Whether there is anything to score: a model of entities alone has no rows of relations. */
const isAsked = ([, { micro }]: [string, TypedScores]): boolean => micro.support > 0 || micro.predicted > 0;

const scoreCells = ({ p, r, f1, support, predicted }: Score): string[] => [
  percent(p),
  percent(r),
  percent(f1),
  String(support),
  String(predicted),
];

function scoreTable(scores: readonly [string, TypedScores][]): string {
  const asked = scores.some(isAsked) ? scores.filter(isAsked) : scores;
  const rows = asked.flatMap(([name, { micro, macro, perType }]) => [
    ...Object.entries(perType).map(([type, score]) => [`${name} ${type}`, ...scoreCells(score)]),
    [`${name} macro`, percent(macro.p), percent(macro.r), percent(macro.f1), '', ''],
    [`${name} micro`, ...scoreCells(micro)],
  ]);
  return table([['', 'P', 'R', 'F1', 'gold', 'predicted'], ...rows]);
}

/** An analysis without its texts and the F1 of every threshold. */
const summary = ({ rightTexts, entities, relations }: Analysis) => ({
  rightTexts,
  entities: entities && { ...entities, cuts: undefined },
  relations: relations && { ...relations, cuts: undefined },
});

export const evaluateCommand: Command = {
  name: 'eval',
  summary: 'Scores a model on annotated texts',
  options: {
    model: modelOption,
    data: { path: 'F', doc: 'annotated texts, in any format of docs/formats.md', required: true },
    ...useOptions('eval'),
    ...judgingOptions,
    threshold: {
      value: `X|${AUTO}`,
      doc: `${thresholdOption.doc}; ${AUTO}: the best for --data, kept there`,
    },
    ...readingOptions,
    batch: batchOption,
    precision: precisionOption,
    json,
  },
  notes:
    'NER, entity: span and type; RE, triple: relation type and both spans; RE+: the entity types too; trigger, argument\n' +
    '(event type, role, span), event triple (its trigger too). In percent, in JSON 0 to 1.',
  async run(args) {
    const data = args.text('data');
    const progress = new Progress();
    const judging = givenJudging(args, args.text('model'), data);
    const { definition, evaluation, chosen, notes } = await withDevice(
      async () => {
        givenThreshold(args);
        const asked = await askedModel(args, 'eval');
        const { definition, config } = asked.opened;
        const corpus = readCorpus(definition, data, { ...givenReading(args), words: config.words });
        definition.check(corpus, config, 'scored');
        return { asked, corpus };
      },
      async (runtime, { asked, corpus }) => {
        const { model, options } = await asked.load(runtime);
        const { definition } = model;
        const use = {
          ...options,
          progress: (what: string, done: number, total: number) =>
            progress.show(`eval: ${what}, ${done} of ${total}`),
        };
        const evaluate = async () => {
          const auto = args.optional('threshold') === AUTO;
          const chosen = auto ? await chooseThreshold(model, corpus, use) : undefined;
          const threshold = chosen?.tuned.threshold ?? givenThreshold(args);
          const evaluation = await definition.evaluate(model, corpus, {
            ...use,
            ...(threshold !== undefined && { threshold }),
            ...(judging && { onJudged: judging.onJudged }),
          });
          return { chosen, evaluation };
        };
        const { chosen, evaluation } = await evaluate().finally(() => progress.clear());
        const rule = model.model.config.words;
        const unknown = unknownNotes(model.tokenizer, definition.texts(corpus), { rule });
        return { definition, evaluation, chosen, notes: [...corpus.notes, ...unknown, ...evaluation.notes] };
      },
    );
    const analysis = judging?.analysis;
    if (args.flag('json'))
      return printJson({
        ...{ ...evaluation, notes },
        ...(chosen && { threshold: chosen.tuned }),
        ...(analysis && { errors: summary(analysis) }),
      });
    const lines = [
      ...definition.remarks(evaluation),
      ...notes.map((note) => `note: ${note}`),
      ...(chosen ? [chosen.remark] : []),
      ...(analysis ? [...analysisText(analysis), `see ${args.text('errors')}`] : []),
    ];
    await print(
      `${scoreTable(scoresOf(definition, evaluation))}\n${lines.map((line) => `${line}\n`).join('')}`,
    );
  },
};
