/** `spanwise eval`: the scores of a model on annotated texts. */
import type { Runtime } from '../gpu/runtime.ts';
import { writeFileAtomic } from '../io/files.ts';
import { loadCerem } from '../tasks/cerem/checkpoint.ts';
import { evaluateCerem } from '../tasks/cerem/evaluate.ts';
import { scoreNames, type ScoreName } from '../tasks/cerem/scores.ts';
import { readDocumentsFile } from '../tasks/corpus/corpus-file.ts';
import { documentsJson } from '../tasks/corpus/tokens.ts';
import type { Score, TypedScores } from '../tasks/metrics.ts';
import { spanNotes } from '../tasks/spans.ts';
import { loadStsn } from '../tasks/stsn/checkpoint.ts';
import { evaluate } from '../tasks/stsn/evaluate.ts';
import { predict } from '../tasks/stsn/predict.ts';
import { json, type Arguments, type Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import {
  batchOption,
  chosenSchema,
  maxSubjectsOption,
  modelOption,
  overlapOption,
  predictOptions,
  readLabelled,
  readModelKind,
  readStsnConfig,
  refuseOptions,
  schemaOption,
} from './model.ts';
import { percent, print, printJson, table } from './print.ts';
import { Progress } from './progress.ts';
import { effortText } from './report.ts';

/** An evaluation: the document of `--json`, and what is printed without. */
interface Evaluated {
  document: unknown;
  /** By name in words. */
  scores: [name: string, TypedScores][];
  /** Lines below the table. */
  remarks: string[];
}

/** Evaluation by one kind of model, once its options, config and data are checked. */
type Evaluator = (runtime: Runtime) => Promise<Evaluated>;

function stsnEvaluator(args: Arguments, dir: string, data: string, progress: Progress): Evaluator {
  refuseOptions(args, ['schema', 'overlap', 'max-subjects', 'out'], 'CEREM');
  const { batchSize } = predictOptions(args);
  const config = readStsnConfig(dir);
  const sentences = readLabelled(data, config);
  const notes = spanNotes(sentences, config.maxSpanWidth);
  return async (runtime) => {
    const { model, tokenizer } = loadStsn(runtime, dir);
    const predictions = await predict(
      model,
      tokenizer,
      sentences.map(({ tokens }) => tokens),
      (i) => `${data}: row ${i + 1}`,
      { batchSize, progress: (done, total) => progress.show(`eval: ${done} of ${total} sentences`) },
    );
    const result = evaluate(sentences, predictions);
    return {
      document: { ...result, notes },
      scores: [
        ['NER', result.ner],
        ['RE', result.re],
        ['RE+', result.rePlus],
      ],
      remarks: [`${result.sentences} sentences`, ...notes.map((note) => `note: ${note}`)],
    };
  };
}

const ceremNames: Record<ScoreName, string> = {
  entity: 'entity',
  triple: 'triple',
  trigger: 'trigger',
  argument: 'argument',
  eventTriple: 'event triple',
};

function ceremEvaluator(args: Arguments, dir: string, data: string, progress: Progress): Evaluator {
  const options = predictOptions(args);
  const schema = chosenSchema(args, dir);
  const out = args.optional('out');
  if (out !== undefined) checkWritable(out);
  const corpus = readDocumentsFile(data);
  return async (runtime) => {
    const { model, tokenizer } = loadCerem(runtime, dir);
    const result = await evaluateCerem(model, tokenizer, corpus.documents, schema, {
      ...options,
      what: (i) => `${data}: document ${i + 1}`,
      progress: (stage, done, total) => progress.show(`eval: ${stage}, ${done} of ${total} inputs`),
      ...(out !== undefined && {
        onPredicted: (predicted) => writeFileAtomic(out, documentsJson(predicted)),
      }),
    });
    const notes = [...corpus.notes, ...result.notes];
    const scores = scoreNames.flatMap((name) => {
      const found = result[name];
      return found ? [{ name: ceremNames[name], found }] : [];
    });
    return {
      document: { ...result, notes },
      scores: scores.map(({ name, found }) => [name, found]),
      remarks: [
        ...scores.map(({ name, found: { f1Interval } }) => {
          const [low, high] = f1Interval.map(percent);
          return `${name} micro F1: 95 % interval ${low} to ${high}`;
        }),
        `${result.documents} documents, ${effortText(result.effort)}`,
        ...notes.map((note) => `note: ${note}`),
      ],
    };
  };
}

const evaluators = { stsn: stsnEvaluator, cerem: ceremEvaluator };

const scoreCells = ({ p, r, f1, support, predicted }: Score): string[] => [
  percent(p),
  percent(r),
  percent(f1),
  String(support),
  String(predicted),
];

function scoreTable(scores: Evaluated['scores']): string {
  const rows = scores.flatMap(([name, { micro, macro, perType }]) => [
    ...Object.entries(perType).map(([type, score]) => [`${name} ${type}`, ...scoreCells(score)]),
    [`${name} macro`, percent(macro.p), percent(macro.r), percent(macro.f1), '', ''],
    [`${name} micro`, ...scoreCells(micro)],
  ]);
  return table([['', 'P', 'R', 'F1', 'gold', 'predicted'], ...rows]);
}

export const evaluateCommand: Command = {
  name: 'eval',
  summary: 'Scores a model on annotated texts',
  options: {
    model: modelOption,
    data: { value: 'F', doc: 'annotated sentences; CEREM: any corpus of documents', required: true },
    schema: schemaOption,
    overlap: overlapOption,
    'max-subjects': maxSubjectsOption,
    batch: batchOption,
    out: { value: 'F', doc: 'CEREM: predictions to write, a corpus in the form of --data' },
    json,
  },
  notes:
    'STSN: NER: span and type; RE: relation type and both spans; RE+: the entity types too. CEREM: entity: span and\n' +
    'type; triple: relation type and both spans; trigger, argument (event type, role, span), event triple (its trigger\n' +
    'too). In percent, in JSON 0 to 1.',
  async run(args) {
    const [dir, data] = [args.text('model'), args.text('data')];
    const schema = args.optional('schema');
    const progress = new Progress();
    const { document, scores, remarks } = await withDevice(
      [data, ...(schema === undefined ? [] : [schema])],
      () => evaluators[readModelKind(dir)](args, dir, data, progress),
      (runtime, evaluator) => evaluator(runtime).finally(() => progress.clear()),
    );
    if (args.flag('json')) await printJson(document);
    else await print(`${scoreTable(scores)}\n${remarks.map((line) => `${line}\n`).join('')}`);
  },
};
