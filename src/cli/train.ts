/** `spanwise train`: a checkpoint folder from annotated texts. */
import { constants } from 'node:os';
import { join } from 'node:path';
import type { Json } from '../models/config.ts';
import type { WordRule } from '../models/word-rule.ts';
import { precisions } from '../nn/parameters.ts';
import { openRuntime } from '../node.ts';
import { readEncoder } from '../tasks/checkpoint.ts';
import { corpusContent } from '../tasks/corpus-file.ts';
import type { Definition } from '../tasks/definition.ts';
import { encoderSource, folderStorage, readJsonFile } from '../tasks/folder.ts';
import { flagOf } from '../tasks/options.ts';
import { definitionNamed, definitions } from '../tasks/registry.ts';
import { loadTokenizer } from '../tasks/text/load.ts';
import type { LogEvent } from '../tasks/training/curve.ts';
import type { Forecast } from '../tasks/training/forecast.ts';
import { planResume, planTraining, refuseModel, runTraining, type Planned } from '../tasks/training/train.ts';
import { json, type Arguments, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { print, printJson } from './print.ts';
import { oneLine, tell } from './printable.ts';
import { givenReading, readingOptions } from './reading.ts';
import { costReport, forecastText } from './report.ts';
import { givenRecipe, names, recipeOptions, refuseOthers } from './tables.ts';
import { devText, trainingProgress } from './training-progress.ts';

/** Where a new model comes from. */
const sourceOptions: Command['options'] = {
  encoder: { path: 'DIR', doc: 'pretrained encoder folder (config.json, model.safetensors, vocabulary)' },
  config: {
    path: 'FILE',
    doc: 'model configuration as in a checkpoint; labels default to those of the data',
  },
  vocab: { path: 'FILE', doc: 'vocab.txt or tokenizer.json; built from the training data when absent' },
};

/** The options of a new model that only some definitions have: a further file, keys of the configuration. */
const ownOptions = ({ extra, configOptions }: Definition): Command['options'] => ({
  ...(extra && { [extra.option]: { path: 'FILE', doc: `${extra.doc} (JSON)` } }),
  ...configOptions,
});

/** Those of all definitions, the owners before what not all have. */
const startOptions: Command['options'] = {};
for (const { name, ...definition } of definitions)
  for (const [key, { value, path, doc }] of Object.entries(ownOptions({ name, ...definition }))) {
    const known = startOptions[flagOf(key)]?.doc.replace(/: .*$/, '');
    Object.assign(startOptions, {
      [flagOf(key)]: { value, path, doc: `${known ? `${known}, ` : ''}${name}: ${doc}` },
    });
  }

/**
 * The keys of a configuration that are options.
 * @param config what `file` says; errors: InputError where that is another thing
 */
function configKeys(args: Arguments, definition: Definition, config: Json = {}, file?: string): Json {
  const keys: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(definition.configOptions)) {
    const flag = flagOf(key);
    const given = args.optional(flag);
    if (given === undefined) continue;
    if (option.kind === 'list') keys[key] = given.split(',').map((name) => name.trim());
    else keys[key] = option.kind === 'choice' ? args.oneOf(flag, option.choices, given) : given;
    const said = JSON.stringify(config[key]);
    if (config[key] !== undefined && said !== JSON.stringify(keys[key]))
      args.fail(`--${flag} ${given} contradicts ${file}, where "${key}" is ${said}`);
  }
  return keys;
}

/** Reads and checks everything that the options name. */
async function plan(args: Arguments, definition: Definition): Promise<Planned> {
  const tables = (d: Definition) => ({ ...d.recipe, ...ownOptions(d) });
  refuseOthers(args, definition, tables, (owners) => `--model ${owners.join(' or ')}`);
  const storage = folderStorage(args.text('out'));
  const reading = givenReading(args);
  const reader = (path: string) => {
    const content = corpusContent(path);
    return (words?: WordRule) => definition.read(content, path, { ...reading, words });
  };
  const devFile = args.optional('dev');
  const train = reader(args.text('data'));
  const dev = devFile === undefined ? undefined : reader(devFile);
  const recipe = givenRecipe(args, definition);
  const precision =
    args.optional('precision') === undefined ? undefined : args.oneOf('precision', precisions, 'f32');
  if (args.flag('resume')) {
    for (const option of startedWith(args))
      args.fail(`--${option} does not go with --resume: the run has its model`);
    return planResume(definition, storage, { train, dev, recipe, precision });
  }
  await refuseModel(storage, 'choose another --out, or continue it with --resume');
  const [folder, file, vocab] = ['encoder', 'config', 'vocab'].map((name) => args.optional(name));
  if (folder !== undefined && vocab !== undefined)
    args.fail('--vocab does not go with --encoder, which has its own');
  const { extra } = definition;
  const extraFile = extra && args.optional(extra.option);
  const config = file === undefined ? undefined : readJsonFile(file, 'config');
  return planTraining(definition, {
    ...{ train, dev, recipe, precision, config },
    overrides: configKeys(args, definition, config, file),
    configName: file,
    encoder: folder === undefined ? undefined : await readEncoder(encoderSource(folder), folder),
    tokenizer: vocab === undefined ? undefined : await loadTokenizer(vocab),
    extra:
      extraFile === undefined ? undefined : extra!.parse(readJsonFile(extraFile, extra!.option), extraFile),
  });
}

function givenPatience(args: Arguments): number | undefined {
  if (args.optional('patience') === undefined) return undefined;
  if (args.optional('dev') === undefined) args.fail('--patience needs --dev, whose scores it waits for');
  return args.integer('patience', 1, 1);
}

/** Texts from which on random weights are worth a try, and rates below which they learn next to nothing. */
const FEW_TEXTS = 300;
const SLOW = 2e-4;

/** What makes a training from random weights fail, and what helps. */
function startNotes({ definition, train, recipe, random }: Planned): string[] {
  if (!random) return [];
  const texts = definition.texts(train).length;
  return [
    ...(texts < FEW_TEXTS
      ? [
          `random weights learn little from ${texts} texts: a pretrained encoder (--encoder) helps most, ` +
            'then more --epochs (docs/own-data.md)',
        ]
      : []),
    ...(recipe.lr < SLOW
      ? [`a rate of ${recipe.lr} is for pretrained encoders: random weights learn faster at --lr 1e-3`]
      : []),
  ];
}

/** A run that was told to end, and has saved what it had. */
class Stopped extends Error {
  readonly status: number;

  constructor(signal: keyof typeof stopSignals) {
    super(signal);
    this.status = 128 + stopSignals[signal];
  }
}

/** Signals that end a run, and their numbers. */
const stopSignals = { SIGINT: constants.signals.SIGINT, SIGTERM: constants.signals.SIGTERM };

/** Options of those given that a run has from its start: it is resumed without them. */
const startedWith = (args: Arguments): string[] =>
  Object.keys({ ...sourceOptions, ...startOptions }).filter((option) => args.optional(option) !== undefined);

/**
 * Stops a run at the first signal, with what it has done saved, and the process at the second.
 * @param without options that it is not resumed with
 */
function stopOnSignals(without: readonly string[]): {
  signal: AbortSignal;
  rethrow: (error: unknown) => never;
  end: () => void;
} {
  const controller = new AbortController();
  const stop = (name: keyof typeof stopSignals): void => {
    const stopped = new Stopped(name);
    if (controller.signal.aborted) process.exit(stopped.status);
    tell('spanwise: stopping after this step; once more to stop at once');
    controller.abort(stopped);
  };
  const names = ['SIGINT', 'SIGTERM'] as const;
  for (const name of names) process.on(name, stop);
  return {
    signal: controller.signal,
    rethrow(error) {
      if (!(error instanceof Stopped)) throw error;
      const less =
        without.length > 0 ? `, without ${without.map((option) => `--${option}`).join(', ')},` : '';
      tell(`spanwise: stopped; what was done is saved: the same command with --resume${less} goes on`);
      process.exit(error.status);
    },
    end() {
      for (const name of names) process.off(name, stop);
    },
  };
}

export const trainCommand: Command = {
  name: 'train',
  summary: 'Trains a model on annotated texts',
  options: {
    model: { value: 'NAME', doc: names.join(', '), required: true },
    data: { path: 'FILE', doc: 'training data, in any format of docs/formats.md', required: true },
    dev: {
      path: 'FILE',
      doc: 'data that choose the best epoch, by the mean of the F1 scores that it is shown',
    },
    ...readingOptions,
    ...sourceOptions,
    out: {
      path: 'DIR',
      doc: 'checkpoint folder; best model there, state to resume from in DIR/last',
      required: true,
    },
    resume: { doc: 'continue the run in --out, bit for bit; with more --epochs than it had, make it longer' },
    patience: { value: 'N', doc: 'stop after N epochs without a better dev score (needs --dev)' },
    quiet: { doc: 'no lines while it trains' },
    'save-seconds': { value: 'N', doc: 'also save within an epoch, at most this often (300)' },
    ...recipeOptions(),
    precision: {
      value: precisions.join('|'),
      doc: 'f16: weights of layers and embeddings are computed with as f16 and learn as f32 (f32)',
    },
    ...startOptions,
    json,
  },
  notes:
    'Writes DIR/log.jsonl: a line at the start and after every epoch. Without --encoder, --config and --vocab a small\n' +
    'model starts from random weights, which learn better at a rate of 5e-4 to 1e-3 than at 5e-5.',
  async run(args) {
    const definition = definitionNamed(args.oneOf('model', names, names[0]));
    await withDevice(
      async () => ({
        saveSeconds: args.integer('save-seconds', 300, 1),
        patience: givenPatience(args),
        planned: await plan(args, definition),
      }),
      async (runtime, { planned, saveSeconds, patience }) => {
        const [asJson, quiet] = [args.flag('json'), args.flag('quiet')];
        const write = (line: string) => void (!quiet && tell(line));
        const stop = stopOnSignals(startedWith(args));
        const told = new Set<string>();
        const shown = trainingProgress(definition, { write, quiet });
        const onEvent = (event: LogEvent) => {
          const isFirst = event.event === 'start' || event.event === 'resume';
          if (event.event === 'recover') tell(`spanwise: ${String(event.note)}`);
          if (isFirst && !asJson)
            for (const note of event.notes as string[]) {
              if (told.has(note)) continue; // a run that lost its device begins again
              told.add(note);
              void print(`${oneLine(`note: ${note}`)}\n`).catch(() => undefined); // nobody reads: no reason to stop
            }
          if (event.event === 'forecast') write(forecastText(event as unknown as Forecast, runtime.info));
          shown.onEvent(event);
        };
        const { report, parameters } = await runTraining(runtime, planned, {
          storage: folderStorage(args.text('out')),
          saveSeconds,
          ...(patience !== undefined && { patience }),
          notes: startNotes(planned),
          signal: stop.signal,
          forecast: !quiet,
          reopen: openRuntime, // which ends with the process
          onEvent,
        })
          .catch(stop.rethrow)
          .finally(() => (shown.end(), stop.end()));
        const { best, steps, stopped } = report;
        const { recipe } = planned;
        const dir = args.text('out');
        if (asJson) await printJson({ device: runtime.info, parameters, recipe, ...report });
        else
          await print(
            `${steps > 0 ? costReport(runtime.info, parameters, report) : `nothing left to train: all ${recipe.epochs} epochs are done\n`}` +
              `${stopped === undefined ? '' : `stopped after epoch ${stopped} of ${recipe.epochs}: none better for ${patience} epochs\n`}` +
              `best epoch ${best.epoch}${best.f1 ? ` (${devText(best.f1, definition)})` : ''}; model in ${dir}, losses and scores by epoch in ${join(dir, 'curve.svg')}\n`,
          );
      },
    );
  },
};
