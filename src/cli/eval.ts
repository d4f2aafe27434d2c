/** `spanwise eval`: the scores of a model on annotated sentences. */
import type { Score } from '../tasks/metrics.ts';
import { evaluate, type Evaluation } from '../tasks/stsn/evaluate.ts';
import { spanNotes } from '../tasks/spans.ts';
import { loadStsn } from '../tasks/stsn/checkpoint.ts';
import { predict } from '../tasks/stsn/predict.ts';
import { json, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { modelOption, readLabelled, readModelConfig } from './model.ts';
import { percent, print, printJson, table } from './print.ts';
import { Progress } from './progress.ts';

const tasks = { ner: 'NER', re: 'RE', rePlus: 'RE+' } as const;

const scoreCells = ({ p, r, f1, support, predicted }: Score): string[] => [
  percent(p),
  percent(r),
  percent(f1),
  String(support),
  String(predicted),
];

function scoreTable(result: Evaluation): string {
  const rows = Object.entries(tasks).flatMap(([key, name]) => {
    const { micro, macro, perType } = result[key as keyof typeof tasks];
    return [
      ...Object.entries(perType).map(([type, score]) => [`${name} ${type}`, ...scoreCells(score)]),
      [`${name} macro`, percent(macro.p), percent(macro.r), percent(macro.f1), '', ''],
      [`${name} micro`, ...scoreCells(micro)],
    ];
  });
  return table([['', 'P', 'R', 'F1', 'gold', 'predicted'], ...rows]);
}

export const evaluateCommand: Command = {
  name: 'eval',
  summary: 'Scores a model on annotated sentences',
  options: {
    model: modelOption,
    data: { value: 'F', doc: 'annotated sentences (JSON)', required: true },
    json,
  },
  notes:
    'NER: span and type; RE: relation type and both spans; RE+: the entity types too. In percent, in JSON 0 to 1.',
  async run(args) {
    const [dir, data] = [args.text('model'), args.text('data')];
    const progress = new Progress();
    const { result, notes } = await withDevice(
      [data],
      () => {
        const config = readModelConfig(dir);
        const sentences = readLabelled(data, config);
        return { sentences, notes: spanNotes(sentences, config.maxSpanWidth) };
      },
      async (runtime, { sentences, notes }) => {
        const { model, tokenizer } = loadStsn(runtime, dir);
        const predictions = await predict(
          model,
          tokenizer,
          sentences.map(({ tokens }) => tokens),
          (i) => `${data}: row ${i + 1}`,
          { progress: (done, total) => progress.show(`eval: ${done} of ${total} sentences`) },
        ).finally(() => progress.clear());
        return { result: evaluate(sentences, predictions), notes };
      },
    );
    if (args.flag('json')) await printJson({ ...result, notes });
    else {
      await print(scoreTable(result));
      await print(`\n${result.sentences} sentences\n${notes.map((note) => `note: ${note}\n`).join('')}`);
    }
  },
};
