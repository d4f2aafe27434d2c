/** `spanwise demo stsn`, which `npm start` runs: trains a small STSN from random weights, scores it, extracts, reports. */
import { join } from 'node:path';
import { checkLabels } from '../../tasks/dataset.ts';
import { readSplits } from '../../tasks/dataset-file.ts';
import type { Evaluation } from '../../tasks/stsn/evaluate.ts';
import { loadStsn, randomStsn } from '../../tasks/stsn/checkpoint.ts';
import { extract } from '../../tasks/stsn/extract.ts';
import { smallEncoder } from '../../tasks/small-encoder.ts';
import { completeConfig, smallStsn, vocabularyOf } from '../../tasks/stsn/setup.ts';
import { defaultRecipe, evaluateStsn, trainStsn, type Corpus } from '../../tasks/stsn/train.ts';
import { json, type Arguments, type Command } from '../command.ts';
import { withDevice } from '../device.ts';
import { packageRoot } from '../package-root.ts';
import { percent, print, printJson, table } from '../print.ts';
import { costReport } from '../report.ts';
import { shownOfStsn, trainingProgress } from '../train/progress.ts';
import { recipeOptions, stsnRecipe, stsnRecipeOptions } from '../train/recipe.ts';
import { refuseModelFolder } from '../train/source.ts';
import { extractionLines } from './extraction.ts';
import { SHOWN, unseenTexts } from './unseen.ts';

/** Fits 311 sentences in minutes on two CPU cores; higher than the paper's rate since nothing is pretrained. */
const demoRecipe = { ...defaultRecipe, epochs: 12, lr: 1e-3, batch: 8, seed: 1 };

interface Prepared {
  train: Corpus;
  dev: Corpus;
  test: Corpus;
  /** Plain sentences that no split holds; the test split's own where the corpus has none. */
  unseen: string[];
}

/** @param out a folder the user chose, which must not hold a model: only the demo's own is written over */
function prepare(folder: string, out: string | undefined): Prepared {
  if (out !== undefined) refuseModelFolder(out, 'or none');
  const { train, dev, test } = readSplits(folder, ['train', 'dev', 'test']);
  const unseen = unseenTexts(
    folder,
    test.sentences.map((s) => s.tokens.join(' ')),
  );
  return { train, dev, test, unseen };
}

/** Precision, recall and F1 of the three scores. */
function scores(e: Evaluation): string {
  const rows = (['ner', 're', 'rePlus'] as const).map((key) => {
    const { p, r, f1, support } = e[key].micro;
    return [
      { ner: 'NER', re: 'RE', rePlus: 'RE+' }[key],
      percent(p),
      percent(r),
      percent(f1),
      String(support),
    ];
  });
  return table([['test', 'P', 'R', 'F1', 'gold'], ...rows]);
}

async function run(args: Arguments): Promise<void> {
  const folder = args.optional('data') ?? join(packageRoot(), 'corpora', 'expeditions');
  const out = args.optional('out') ?? join('runs', 'demo-stsn');
  const recipe = stsnRecipe(args, demoRecipe);
  const asJson = args.flag('json');
  const say = (text: string): Promise<void> => (asJson ? Promise.resolve() : print(text));
  await withDevice(
    [folder],
    () => prepare(folder, args.optional('out')),
    async (runtime, { train, dev, test, unseen }) => {
      const tokenizer = vocabularyOf(train.sentences);
      const config = completeConfig(
        { ...smallStsn, encoder: smallEncoder },
        'config',
        train.sentences,
        tokenizer,
      );
      for (const corpus of [dev, test]) checkLabels(corpus.sentences, config, corpus.file);
      const model = randomStsn(runtime, config, recipe.seed);
      const parameters = model.parameters.count();
      await say(
        `Training an STSN of ${parameters} parameters from random weights on ${train.sentences.length} sentences ` +
          `(${config.entityTypes.length} entity types, ${config.relationTypes.length} relation types)\n` +
          `on ${runtime.info.name}${runtime.info.software ? ', a software device' : ''}; * marks the best epoch on dev.\n\n`,
      );
      const shown = trainingProgress(shownOfStsn, (line) => void say(`${line}\n`));
      const report = await trainStsn({
        ...{ model, tokenizer, train, dev, recipe, out },
        saveSeconds: 60,
        onEvent: shown.onEvent,
      }).finally(shown.end);
      model.parameters.release();
      const best = loadStsn(runtime, out);
      const evaluation = await evaluateStsn(best.model, best.tokenizer, test);
      await say(`\n${scores(evaluation)}\nFrom sentences it has not seen:\n\n`);
      const extracted = await extract(best.model, best.tokenizer, unseen, folder);
      for (const result of extracted.slice(0, SHOWN)) await say(`${extractionLines(result)}\n`);
      await say(`${costReport(runtime.info, parameters, report)}\nThe model is in ${out}.\n`);
      if (asJson)
        await printJson({
          device: runtime.info,
          parameters,
          recipe,
          test: evaluation,
          extracted,
          report,
          model: out,
        });
    },
  );
}

export const demoStsn: Command = {
  name: 'demo stsn',
  summary: 'Trains, scores and uses a small STSN on a small corpus; `npm start` runs it',
  options: {
    data: {
      value: 'DIR',
      doc: 'a folder with *train.json, *dev.json and *test.json; the shipped corpus when absent',
    },
    out: { value: 'DIR', doc: 'where the model goes (runs/demo-stsn)' },
    ...recipeOptions,
    ...stsnRecipeOptions,
    json,
  },
  notes: 'Unless told otherwise: 12 epochs, learning rate 1e-3, batch 8, seed 1.',
  run,
};
