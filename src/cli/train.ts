/** `spanwise train`: a checkpoint folder from annotated sentences. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import type { Runtime } from '../gpu/runtime.ts';
import type { Json } from '../models/config.ts';
import type { Stsn } from '../models/stsn.ts';
import { checkLabels } from '../tasks/dataset.ts';
import { readSpertFile } from '../tasks/dataset-file.ts';
import { readEncoder, readJsonFile, type PretrainedEncoder } from '../tasks/checkpoint.ts';
import { loadStsn, randomStsn, stsnFromEncoder } from '../tasks/stsn/checkpoint.ts';
import { completeConfig, smallEncoder, smallStsn } from '../tasks/stsn/setup.ts';
import {
  canResume,
  defaultRecipe,
  savedRecipe,
  trainStsn,
  type Corpus,
  type LogEvent,
  type Recipe,
  type TrainReport,
} from '../tasks/stsn/train.ts';
import { loadTokenizer } from '../tasks/text/load.ts';
import type { Tokenizer } from '../tasks/text/tokenizer.ts';
import { buildVocab } from '../tasks/text/vocab.ts';
import { createWordPieceTokenizer } from '../tasks/text/wordpiece.ts';
import { json, type Arguments, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { percent, print, printJson } from './print.ts';
import { Progress } from './progress.ts';
import { costReport } from './report.ts';

/** Options that set the recipe; shared with the demo and the benches. */
export const recipeOptions: Command['options'] = {
  epochs: { value: 'N', doc: 'passes over the data (20)' },
  lr: { value: 'X', doc: 'peak learning rate (5e-5; from random weights 5e-4 to 1e-3 is better)' },
  batch: { value: 'N', doc: 'sentences a step (4)' },
  seed: { value: 'N', doc: 'seed of weights, order, negatives and dropout (0)' },
  'weight-decay': { value: 'X', doc: 'decoupled decay of all but biases and norms (0.01)' },
  warmup: { value: 'X', doc: 'share of the steps over which the rate warms up (0.1)' },
  dropout: { value: 'X', doc: "on the encoder's output (0.1)" },
  clip: { value: 'X', doc: 'largest gradient norm (1)' },
  'negative-spans': { value: 'N', doc: 'most negative spans a sentence (100)' },
  'negative-pairs': { value: 'N', doc: 'most pairs without a relation a sentence (100)' },
};

/** The recipe that the options ask for, `base` where they are silent. */
export function recipeFrom(args: Arguments, base: Recipe): Recipe {
  const recipe = {
    epochs: args.integer('epochs', base.epochs, 1),
    lr: args.number('lr', base.lr, 0),
    batch: args.integer('batch', base.batch, 1),
    seed: args.integer('seed', base.seed),
    weightDecay: args.number('weight-decay', base.weightDecay, 0),
    warmup: args.number('warmup', base.warmup, 0),
    dropout: args.number('dropout', base.dropout, 0),
    clip: args.number('clip', base.clip, 0),
    negativeSpans: args.integer('negative-spans', base.negativeSpans),
    negativePairs: args.integer('negative-pairs', base.negativePairs),
  };
  if (recipe.dropout >= 1) args.fail(`--dropout must be below 1, got ${recipe.dropout}`);
  if (recipe.clip === 0) args.fail('--clip must be above 0, got 0');
  if (recipe.warmup > 1) args.fail(`--warmup must be at most 1, got ${recipe.warmup}`);
  if (recipe.seed > 0xffffffff) args.fail(`--seed must be below 2^32, got ${recipe.seed}`);
  return recipe;
}

/** A vocabulary of the training words, for models that start from random weights. */
export function vocabularyOf({ sentences }: Corpus): Tokenizer {
  const words = sentences.flatMap((s) => s.tokens);
  return createWordPieceTokenizer({ vocab: buildVocab(words, { doLowerCase: false }), doLowerCase: false });
}

/** Errors: InputError where `out` holds a model or a run, which a new one would write over. */
export function refuseModelFolder(out: string, otherwise: string): void {
  if (existsSync(join(out, 'config.json')) || canResume(out))
    throw new InputError(`${out}: already holds a model; choose another --out, ${otherwise}`);
}

/** Shows training on a terminal's status line, and every finished epoch as a line of `write`. */
export function trainingProgress(write: (line: string) => void): {
  onEvent: (event: LogEvent) => void;
  end(): void;
} {
  const progress = new Progress();
  return {
    onEvent(e) {
      const fixed = (value: unknown) => Number(value).toFixed(3);
      if (e.event === 'step')
        progress.show(`epoch ${e.epoch}, step ${e.step} of ${e.steps}, loss ${fixed(e.loss)}`);
      if (e.event !== 'epoch') return;
      progress.clear();
      const dev = e.dev as { ner: number; rePlus: number } | undefined;
      const scores = dev ? `  dev NER F1 ${percent(dev.ner)}  RE+ F1 ${percent(dev.rePlus)}` : '';
      write(
        `epoch ${e.epoch}  loss ${fixed(e.loss)} (tag ${fixed(e.tag)}, span ${fixed(e.span)}, ` +
          `relation ${fixed(e.relation)})${scores}${e.best ? '  *' : ''}  ${Number(e.seconds).toFixed(1)} s`,
      );
    },
    end: () => progress.clear(),
  };
}

interface Prepared {
  train: Corpus;
  dev: Corpus | undefined;
  recipe: Recipe;
  saveSeconds: number;
  notes: readonly string[];
  make(runtime: Runtime): { model: Stsn; tokenizer: Tokenizer };
}

/** Reads and checks everything that the options name, before a device is opened. */
function prepare(args: Arguments): Prepared {
  const out = args.text('out');
  const train: Corpus = { sentences: readSpertFile(args.text('data')), file: args.text('data') };
  const devFile = args.optional('dev');
  const dev = devFile === undefined ? undefined : { sentences: readSpertFile(devFile), file: devFile };
  const saveSeconds = args.integer('save-seconds', 300, 1);
  if (args.flag('resume')) {
    for (const option of ['encoder', 'config', 'vocab'])
      if (args.optional(option) !== undefined)
        args.fail(`--${option} does not go with --resume: the run has its model`);
    return {
      train,
      dev,
      recipe: recipeFrom(args, savedRecipe(out)),
      saveSeconds,
      notes: [],
      make: (runtime) => loadStsn(runtime, join(out, 'last')),
    };
  }
  refuseModelFolder(out, 'or continue it with --resume');
  const recipe = recipeFrom(args, defaultRecipe);
  const configFile = args.optional('config');
  const given: Json = configFile === undefined ? {} : readJsonFile(configFile, 'config');
  const folder = args.optional('encoder');
  const vocab = args.optional('vocab');
  if (folder !== undefined && vocab !== undefined)
    args.fail('--vocab does not go with --encoder, which has its own');
  const encoder: PretrainedEncoder | undefined = folder === undefined ? undefined : readEncoder(folder);
  const tokenizer = encoder?.tokenizer ?? (vocab === undefined ? vocabularyOf(train) : loadTokenizer(vocab));
  const defaults: Json = encoder
    ? { encoder: encoder.json }
    : { ...(configFile ? {} : smallStsn), encoder: smallEncoder };
  if (encoder && given.encoder !== undefined)
    throw new InputError(`${configFile}: "encoder" does not go with --encoder, whose own config counts`);
  const config = completeConfig(
    { ...defaults, ...given },
    configFile ?? 'config',
    train.sentences,
    tokenizer,
  );
  for (const corpus of [train, ...(dev ? [dev] : [])]) checkLabels(corpus.sentences, config, corpus.file);
  const make = (runtime: Runtime) => ({
    model: encoder
      ? stsnFromEncoder(runtime, config, encoder, recipe.seed)
      : randomStsn(runtime, config, recipe.seed),
    tokenizer,
  });
  return { train, dev, recipe, saveSeconds, notes: encoder?.notes ?? [], make };
}

/** F1 of the best epoch on dev, where this process scored it. */
function devScores({ best }: TrainReport): string {
  if (!best.dev) return '';
  const { ner, rePlus } = best.dev;
  return ` (dev NER F1 ${percent(ner.micro.f1)}, RE+ F1 ${percent(rePlus.micro.f1)})`;
}

export const trainCommand: Command = {
  name: 'train',
  summary: 'Trains a model on annotated sentences',
  options: {
    model: { value: 'NAME', doc: 'stsn', required: true },
    data: { value: 'FILE', doc: 'training sentences, SpERT-style JSON', required: true },
    dev: { value: 'FILE', doc: 'sentences that choose the best epoch (mean of NER and RE+ micro F1)' },
    encoder: { value: 'DIR', doc: 'pretrained BERT folder (config.json, model.safetensors, vocabulary)' },
    config: {
      value: 'FILE',
      doc: 'model configuration as in a checkpoint; labels default to those of the data',
    },
    vocab: { value: 'FILE', doc: 'vocab.txt or tokenizer.json; built from the training words when absent' },
    out: {
      value: 'DIR',
      doc: 'checkpoint folder; best model there, state to resume from in DIR/last',
      required: true,
    },
    resume: { doc: 'continue the run in --out, bit for bit' },
    'save-seconds': { value: 'N', doc: 'also save within an epoch, at most this often (300)' },
    ...recipeOptions,
    json,
  },
  notes:
    'Writes DIR/log.jsonl: a line at the start and after every epoch. Without --encoder, --config and --vocab a small model starts from random weights.',
  async run(args) {
    args.oneOf('model', ['stsn'] as const, 'stsn');
    const files = [
      args.text('data'),
      ...['dev', 'config', 'vocab'].flatMap((name) => args.optional(name) ?? []),
    ];
    await withDevice(
      files,
      () => prepare(args),
      async (runtime, { train, dev, recipe, saveSeconds, notes, make }) => {
        const { model, tokenizer } = make(runtime);
        const shown = trainingProgress(
          (line) => void (process.stderr.isTTY && process.stderr.write(`${line}\n`)),
        );
        const report = await trainStsn({
          ...{ model, tokenizer, train, dev, recipe, saveSeconds, notes },
          out: args.text('out'),
          resume: args.flag('resume'),
          onEvent: shown.onEvent,
        }).finally(shown.end);
        const parameters = model.parameters.count();
        if (args.flag('json')) await printJson({ device: runtime.info, parameters, recipe, ...report });
        else
          await print(
            `${report.notes.map((note) => `note: ${note}\n`).join('')}` +
              `${report.steps > 0 ? costReport(runtime.info, parameters, report) : `nothing left to train: all ${recipe.epochs} epochs are done\n`}` +
              `best epoch ${report.best.epoch}${devScores(report)}; model in ${args.text('out')}\n`,
          );
      },
    );
  },
};
