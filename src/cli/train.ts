/** `spanwise train`: a checkpoint folder from annotated texts. */
import { json, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { print, printJson } from './print.ts';
import { costReport } from './report.ts';
import { ceremTrainer } from './train/cerem.ts';
import { devText, trainingProgress } from './train/progress.ts';
import { recipeOptions } from './train/recipe.ts';
import { sourceOptions } from './train/source.ts';
import { stsnTrainer } from './train/stsn.ts';
import type { Trainer } from './train/trainer.ts';

const trainers = { stsn: stsnTrainer, cerem: ceremTrainer } satisfies Record<string, Trainer>;
const names = Object.keys(trainers) as (keyof typeof trainers)[];

export const trainCommand: Command = {
  name: 'train',
  summary: 'Trains a model on annotated texts',
  options: {
    model: { value: 'NAME', doc: names.join(' or '), required: true },
    data: {
      value: 'FILE',
      doc: 'training data: SpERT-style JSON; cerem: any corpus of documents',
      required: true,
    },
    dev: {
      value: 'FILE',
      doc: 'data that choose the best epoch (stsn: mean of NER and RE+ micro F1; cerem: mean of what the schema asks for)',
    },
    ...sourceOptions,
    out: {
      value: 'DIR',
      doc: 'checkpoint folder; best model there, state to resume from in DIR/last',
      required: true,
    },
    resume: { doc: 'continue the run in --out, bit for bit' },
    'save-seconds': { value: 'N', doc: 'also save within an epoch, at most this often (300)' },
    ...recipeOptions,
    ...Object.assign({}, ...names.map((name) => trainers[name].options)),
    json,
  },
  notes:
    'Writes DIR/log.jsonl: a line at the start and after every epoch. Without --encoder, --config and --vocab a small model starts from random weights.',
  async run(args) {
    const name = args.oneOf('model', names, 'stsn');
    const trainer = trainers[name];
    for (const other of names)
      for (const option of Object.keys(trainers[other].options))
        if (!(option in trainer.options) && args.optional(option) !== undefined)
          args.fail(`--${option} goes with --model ${other}`);
    const files = [
      args.text('data'),
      ...['dev', 'config', 'vocab', ...trainer.files].flatMap((option) => args.optional(option) ?? []),
    ];
    await withDevice(
      files,
      () => ({ ...trainer.prepare(args), saveSeconds: args.integer('save-seconds', 300, 1) }),
      async (runtime, { train, recipe, saveSeconds }) => {
        const shown = trainingProgress(
          trainer.shown,
          (line) => void (process.stderr.isTTY && process.stderr.write(`${line}\n`)),
        );
        const { report, parameters } = await train(runtime, {
          out: args.text('out'),
          resume: args.flag('resume'),
          saveSeconds,
          onEvent: shown.onEvent,
        }).finally(shown.end);
        const { best, notes, steps } = report;
        if (args.flag('json')) await printJson({ device: runtime.info, parameters, recipe, ...report });
        else
          await print(
            `${notes.map((note) => `note: ${note}\n`).join('')}` +
              `${steps > 0 ? costReport(runtime.info, parameters, report) : `nothing left to train: all ${recipe.epochs} epochs are done\n`}` +
              `best epoch ${best.epoch}${best.f1 ? ` (${devText(best.f1, trainer.shown)})` : ''}; model in ${args.text('out')}\n`,
          );
      },
    );
  },
};
