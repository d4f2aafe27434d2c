/**
 * `spanwise demo cerem`: trains a small CEREM from random weights with Segment Information Attention and one without,
 * sets scores and costs side by side, extracts with the first and draws its attention.
 */
import { join } from 'node:path';
import type { Runtime } from '../../gpu/runtime.ts';
import { writeFileAtomic } from '../../io/files.ts';
import type { Json } from '../../models/config.ts';
import { attentionMap } from '../../tasks/cerem/attention-map.ts';
import { attentionSvg } from '../../tasks/cerem/attention-svg.ts';
import { loadCerem, randomCerem, type LoadedCerem } from '../../tasks/cerem/checkpoint.ts';
import { readCorpusFolder, type CorpusFolder } from '../../tasks/cerem/corpus-folder.ts';
import { evaluateCerem, type CeremEvaluation } from '../../tasks/cerem/evaluate.ts';
import { extractDocuments } from '../../tasks/cerem/extract.ts';
import { scoreNames } from '../../tasks/cerem/scores.ts';
import { completeCeremConfig, vocabularyOf } from '../../tasks/cerem/setup.ts';
import {
  defaultCeremRecipe,
  trainCerem,
  type CeremRecipe,
  type CeremReport,
} from '../../tasks/cerem/train.ts';
import { extraction, type Extraction } from '../../tasks/extraction.ts';
import { smallEncoder } from '../../tasks/small-encoder.ts';
import { json, type Arguments, type Command } from '../command.ts';
import { withDevice } from '../device.ts';
import { packageRoot } from '../package-root.ts';
import { percent, print, printJson, table } from '../print.ts';
import { costRows } from '../report.ts';
import { shownOfCerem, trainingProgress } from '../train/progress.ts';
import { ceremRecipe, ceremRecipeOptions, recipeOptions } from '../train/recipe.ts';
import { refuseModelFolder } from '../train/source.ts';
import { extractionLines } from './extraction.ts';
import { SHOWN, unseenTexts } from './unseen.ts';

/** Two models learn 380 sentences within minutes on two CPU cores. */
const demoRecipe: CeremRecipe = { ...defaultCeremRecipe, epochs: 6, lr: 3e-3, batch: 16, seed: 1 };

/** A lower threshold than the paper's: a model that has read this little is never sure of a name it has not seen. */
const demoModel: Json = {
  scales: [2, 3, 4],
  heads: 4,
  headSize: 8,
  projections: 'shared',
  threshold: 0.3,
  encoder: { ...smallEncoder, hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1 },
};

/** The two models, which differ in nothing else. */
const variants = [
  { name: 'with segments', folder: 'segments', sia: true },
  { name: 'without', folder: 'plain', sia: false },
] as const;

interface Prepared extends CorpusFolder {
  unseen: string[];
}

/** @param out a folder the user chose, which must hold no model: only the demo's own are written over */
function prepare(folder: string, out: string | undefined): Prepared {
  if (out !== undefined)
    for (const variant of variants) refuseModelFolder(join(out, variant.folder), 'or none');
  const corpora = readCorpusFolder(folder);
  const unseen = unseenTexts(
    folder,
    corpora.test.documents.map(({ text }) => text),
  );
  return { ...corpora, unseen };
}

interface Trained {
  parameters: number;
  report: CeremReport;
  /** Of the best epoch's model. */
  test: CeremEvaluation;
}

/** Trains one model into `out` and scores it on the test split. */
async function trainOne(
  runtime: Runtime,
  { train, dev, test, schema }: CorpusFolder,
  sia: boolean,
  recipe: CeremRecipe,
  out: string,
  write: (line: string) => void,
): Promise<Trained> {
  runtime.memory.resetPeak();
  const tokenizer = vocabularyOf(train.documents, schema);
  const config = completeCeremConfig({ ...demoModel, sia }, 'config', tokenizer);
  const model = randomCerem(runtime, config, recipe.seed, { constant: recipe.mixInit });
  const parameters = model.parameters.count();
  const shown = trainingProgress(shownOfCerem, write);
  const report = await trainCerem({
    ...{ model, tokenizer, train, dev, schema, recipe, out },
    saveSeconds: 60,
    onEvent: shown.onEvent,
  }).finally(shown.end);
  model.parameters.release();
  const best = loadCerem(runtime, out);
  const evaluation = await evaluateCerem(best.model, best.tokenizer, test.documents, schema, {
    what: (i) => `${test.file}: row ${i + 1}`,
  });
  best.model.parameters.release();
  return { parameters, report, test: evaluation };
}

/** Scores and costs, a column a model. */
function comparison(trained: readonly Trained[]): string {
  const scores = scoreNames.flatMap((name) => {
    const all = trained.flatMap(({ test }) => test[name]?.micro ?? []);
    if (all.length === 0) return [];
    return [
      [`${shownOfCerem.scores[name]} F1`, ...all.map(({ f1 }) => percent(f1))],
      ['  precision', ...all.map(({ p }) => percent(p))],
      ['  recall', ...all.map(({ r }) => percent(r))],
    ];
  });
  const costs = trained.map(({ parameters, report }) => new Map(costRows(parameters, report)));
  const names = [...new Set(costs.flatMap((rows) => [...rows.keys()]))];
  return table([
    ['test', ...variants.map(({ name }) => name)],
    ...scores,
    ...names.map((name) => [name, ...costs.map((rows) => rows.get(name) ?? '')]),
  ]);
}

/** What the model finds in the texts. */
async function extractAll(
  { model, tokenizer }: LoadedCerem,
  { unseen, schema }: Prepared,
  folder: string,
): Promise<Extraction[]> {
  const texts = unseen.map((text) => ({ text }));
  const { documents } = await extractDocuments(
    model,
    tokenizer,
    texts,
    schema,
    (i) => `${folder}: text ${i + 1}`,
  );
  return documents.map(({ text, entities, relations }) => extraction(text, entities, relations));
}

async function run(args: Arguments): Promise<void> {
  const folder = args.optional('data') ?? join(packageRoot(), 'corpora', 'crops');
  const out = args.optional('out') ?? join('runs', 'demo-cerem');
  const recipe = ceremRecipe(args, demoRecipe);
  const asJson = args.flag('json');
  const say = (text: string): Promise<void> => (asJson ? Promise.resolve() : print(text));
  await withDevice(
    [folder],
    () => prepare(folder, args.optional('out')),
    async (runtime, prepared) => {
      const { info } = runtime;
      await say(
        `Training two CEREMs from random weights on ${prepared.train.documents.length} texts ` +
          `(${prepared.schema.entities.length} types asked for)\n` +
          `on ${info.name}${info.software ? ', a software device' : ''}; * marks the best epoch on dev.\n`,
      );
      const trained: Trained[] = [];
      for (const { name, folder: own, sia } of variants) {
        await say(`\n${name}:\n`);
        const write = (line: string) => void say(`${line}\n`);
        trained.push(await trainOne(runtime, prepared, sia, recipe, join(out, own), write));
      }
      await say(
        `\n${comparison(trained)}\nOne seed each: another one moves an F1 by a few points.\n\n` +
          'From texts it has not seen, with segments:\n\n',
      );
      const models = variants.map((variant) => join(out, variant.folder));
      const best = loadCerem(runtime, models[0]);
      const extracted = await extractAll(best, prepared, folder);
      for (const result of extracted.slice(0, SHOWN)) await say(`${extractionLines(result)}\n`);

      const [text, { prompt }] = [prepared.unseen[0], prepared.schema.entities[0]];
      const map = await attentionMap(best.model, best.tokenizer, { prompt, text }, 'demo');
      const svg = join(out, 'attention.svg');
      writeFileAtomic(svg, attentionSvg(map));
      await say(`The models are in ${models.join(' and ')}; ${svg} shows what attends to what in\n${text}\n`);
      if (asJson)
        await printJson({
          device: info,
          recipe,
          models: trained.map(({ parameters, test, report }, i) => ({
            ...{ sia: variants[i].sia, parameters, test, report, model: models[i] },
          })),
          extracted,
          attention: svg,
        });
    },
  );
}

export const demoCerem: Command = {
  name: 'demo cerem',
  summary:
    'Trains, scores and uses a small CEREM with segments, beside one without, on a small Chinese corpus',
  options: {
    data: {
      value: 'DIR',
      doc: 'a folder with *train.json, *dev.json, *test.json and perhaps schema.json; the shipped corpus when absent',
    },
    out: { value: 'DIR', doc: 'where the models and the attention map go (runs/demo-cerem)' },
    ...recipeOptions,
    ...ceremRecipeOptions,
    json,
  },
  notes: 'Unless told otherwise: 6 epochs, learning rate 3e-3, batch 16, seed 1.',
  run,
};
