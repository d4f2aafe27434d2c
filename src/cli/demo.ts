/** `spanwise demo NAME`: trains what a definition's demo says from random weights, scores it, extracts, reports. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readTextFile, writeFileAtomic } from '../io/files.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { corpusExtra, readSplits, type Splits } from '../tasks/corpus-file.ts';
import type { Corpus, Definition, Demo, Evaluated } from '../tasks/definition.ts';
import type { Extraction } from '../tasks/extraction.ts';
import { folderStorage, openFolder } from '../tasks/folder.ts';
import type { TypedScores } from '../tasks/metrics.ts';
import { LoadedModel } from '../tasks/model.ts';
import { definitions } from '../tasks/registry.ts';
import { smallEncoder } from '../tasks/small-encoder.ts';
import type { TrainingRecipe } from '../tasks/training/recipe.ts';
import type { TrainingReport } from '../tasks/training/run.ts';
import { planTraining, refuseModel, runTraining } from '../tasks/training/train.ts';
import { json, type Arguments, type Command } from './command.ts';
import { withDevice } from './device.ts';
import { packageRoot } from './package-root.ts';
import { percent, print, printJson, table } from './print.ts';
import { costReport, costRows } from './report.ts';
import { givenRecipe, recipeOptions } from './tables.ts';
import { trainingProgress } from './training-progress.ts';

/** Extractions that a demo prints. */
const SHOWN = 6;

interface Prepared extends Required<Splits<Corpus>> {
  /** The corpus's own, of a definition that has one. */
  extra: unknown;
  /** Plain texts that no split holds; the test split's own where there are none. */
  unseen: string[];
}

/** The corpus of a folder. Errors: InputError as the readers', and where a chosen folder holds a model. */
async function prepare(
  definition: Definition,
  folder: string,
  out: readonly string[] | undefined,
): Promise<Prepared> {
  for (const dir of out ?? []) await refuseModel(folderStorage(dir), 'choose another --out, or none');
  const splits = readSplits(definition, folder, ['train', 'dev', 'test']);
  const extra = corpusExtra(definition, folder, splits.train);
  const unseen = join(folder, 'unseen.txt');
  const lines = existsSync(unseen) ? readTextFile(unseen, 'text').split('\n') : [];
  const own = lines.filter((line) => line.trim() !== '');
  return { ...splits, extra, unseen: own.length > 0 ? own : definition.texts(splits.test).slice(0, SHOWN) };
}

interface Trained {
  recipe: TrainingRecipe;
  parameters: number;
  report: TrainingReport;
  /** Of the best epoch's model on the test split. */
  test: Evaluated;
}

/** Trains one model into `out` and scores it on the test split. */
async function trainOne(
  runtime: Runtime,
  definition: Definition,
  { train, dev, test, extra }: Prepared,
  config: Demo['variants'][number]['config'],
  recipe: Record<string, number>,
  out: string,
  say: (line: string) => void,
): Promise<Trained> {
  runtime.memory.resetPeak();
  const planned = planTraining(definition, {
    ...{ train, dev, extra, recipe },
    config: { encoder: smallEncoder, ...config },
  });
  definition.check(test, planned.config, 'scored');
  const shown = trainingProgress(definition, { write: say });
  const { report, parameters } = await runTraining(runtime, planned, {
    storage: folderStorage(out),
    saveSeconds: 60,
    onEvent: shown.onEvent,
  }).finally(shown.end);
  const best = await loadBest(runtime, out);
  const evaluation = await best.evaluate(test);
  best.release();
  return { recipe: planned.recipe, parameters, report, test: evaluation };
}

async function loadBest(runtime: Runtime, dir: string): Promise<LoadedModel> {
  const { definition, load } = await openFolder(dir);
  return new LoadedModel(definition, await load(runtime));
}

/** Scores and, where there are several models, costs: a column a model, and one of all stages `together`. */
function results(
  { scores }: Definition,
  variants: Demo['variants'],
  trained: readonly Trained[],
  together: Evaluated | undefined,
): string {
  const tests = [...trained.map(({ test }) => test), ...(together ? [together] : [])];
  const rows = Object.entries(scores).flatMap(([key, name]) => {
    const all = tests.map((test) => (test as unknown as Record<string, TypedScores | undefined>)[key]);
    if (all.every((found) => !found)) return [];
    const cells = (of: 'p' | 'r' | 'f1') => all.map((found) => (found ? percent(found.micro[of]) : ''));
    return [
      [`${name} F1`, ...cells('f1')],
      ['  precision', ...cells('p')],
      ['  recall', ...cells('r')],
    ];
  });
  if (trained.length === 1) return table([['test', ''], ...rows]);
  const costs = trained.map(({ parameters, report }) => new Map(costRows(parameters, report)));
  const names = [...new Set(costs.flatMap((of) => [...of.keys()]))];
  return table([
    ['test', ...variants.map(({ name }) => name), ...(together ? ['together'] : [])],
    ...rows,
    ...names.map((name) => [name, ...costs.map((of) => of.get(name) ?? '')]),
  ]);
}

/** A text, and below it a line for each of its entities and relations. */
function extractionLines({ text, entities, relations }: Extraction): string {
  const found = entities.map((e) => `  ${e.type}: ${e.text} [${e.start}, ${e.end})  ${e.score.toFixed(2)}`);
  const related = relations.map(
    (r) => `  ${entities[r.head].text} —${r.type}→ ${entities[r.tail].text}  ${r.score.toFixed(2)}`,
  );
  const nothing = found.length > 0 ? [] : ['  (nothing found)'];
  return [text, ...nothing, ...found, ...related].map((line) => `${line}\n`).join('');
}

async function run(args: Arguments, definition: Definition, demo: Demo): Promise<void> {
  const { title } = definition;
  const { variants } = demo;
  const folder = args.optional('data') ?? join(packageRoot(), 'corpora', demo.corpus);
  const out = args.optional('out') ?? join('runs', `demo-${definition.name}`);
  const folders = variants.map((variant) => join(out, variant.folder));
  const recipe = { ...(demo.recipe as Record<string, number>), ...givenRecipe(args, definition) } as Record<
    string,
    number
  >;
  const asJson = args.flag('json');
  const say = (text: string): Promise<void> => (asJson ? Promise.resolve() : print(text));
  await withDevice(
    () => prepare(definition, folder, args.optional('out') === undefined ? undefined : folders),
    async (runtime, prepared) => {
      const { info } = runtime;
      const count = definition.texts(prepared.train).length;
      await say(
        `Training ${title} from random weights on ${count} texts of ${folder}\n` +
          `on ${info.name}${info.software ? ', a software device' : ''}; * marks the best epoch on dev.\n`,
      );
      const trained: Trained[] = [];
      for (const [i, { name, config }] of variants.entries()) {
        await say(variants.length > 1 ? `\n${name}:\n` : '\n');
        const write = (line: string) => void say(`${line}\n`);
        trained.push(await trainOne(runtime, definition, prepared, config, recipe, folders[i], write));
      }
      const models: LoadedModel[] = [];
      for (const dir of demo.stages ? folders : folders.slice(0, 1))
        models.push(await loadBest(runtime, dir));
      const [best] = models;
      const options = demo.stages?.(models);
      const together = options && (await best.evaluate(prepared.test, options));
      await say(`\n${results(definition, variants, trained, together)}\n`);
      if (together) {
        for (const [i, { test }] of trained.entries())
          for (const line of definition.remarks(test)) await say(`${variants[i].name}: ${line}\n`);
        await say('\n');
      }
      if (variants.length > 1) await say('One seed each: another one moves an F1 by a few points.\n\n');
      await say(
        `From texts it has not seen${demo.stages ? '' : variants.length > 1 ? `, ${variants[0].name}` : ''}:\n\n`,
      );
      const extracted = await best.extract(prepared.unseen, options);
      for (const result of extracted.slice(0, SHOWN)) await say(`${extractionLines(result)}\n`);
      if (trained.length === 1) await say(`${costReport(info, trained[0].parameters, trained[0].report)}\n`);
      const [subject, curves] =
        folders.length > 1 ? ['The models are', 'their curves'] : ['The model is', 'its curve'];
      await say(
        `${subject} in ${folders.join(' and ')}; ${curves}, losses and scores by epoch, in ` +
          `${folders.map((dir) => join(dir, 'curve.svg')).join(' and ')}.\n`,
      );
      const svg = definition.attention && join(out, 'attention.svg');
      if (svg) {
        const text = prepared.unseen[0];
        const drawn = demo.drawn ? await loadBest(runtime, folders[demo.drawn]) : best;
        const map = await definition.attention!(drawn, {
          text,
          prompt: definition.prompt?.(prepared.extra) ?? '',
        });
        writeFileAtomic(svg, map.svg);
        await say(`${svg} shows what attends to what in\n${text}\n`);
      }
      if (asJson)
        await printJson({
          device: info,
          recipe: trained[0].recipe,
          models: trained.map(({ parameters, test, report }, i) => ({
            ...{ name: variants[i].name, parameters, test, report, model: folders[i] },
          })),
          ...(together && { together }),
          extracted,
          ...(svg && { attention: svg }),
        });
    },
  );
}

const commandOf = (definition: Definition, demo: Demo): Command => ({
  name: `demo ${definition.name}`,
  summary: demo.summary,
  options: {
    data: {
      path: 'DIR',
      doc: `a folder with *train.json, *dev.json, *test.json${definition.extra ? ` and perhaps ${definition.extra.file}` : ''}; the shipped corpus when absent`,
    },
    out: { path: 'DIR', doc: `where what it makes goes (runs/demo-${definition.name})` },
    ...recipeOptions([definition]),
    json,
  },
  notes: `Unless told otherwise: ${Object.entries(demo.recipe)
    .map(([key, value]) => `${key} ${String(value)}`)
    .join(', ')}.`,
  run: (args) => run(args, definition, demo),
});

/** A demo for each definition that has one. */
export const demos: readonly Command[] = definitions.flatMap((definition) =>
  definition.demo ? [commandOf(definition, definition.demo)] : [],
);
