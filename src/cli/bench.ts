/**
 * `spanwise bench`: runs a benchmark and prints or writes its document. The benchmarks stand above this folder, in
 * bench/, and are built to a file of their own that is loaded here.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { InputError } from '../../kernels/errors.ts';
import { writeFileAtomic } from '../io/files.ts';
import { json, type Command } from './command.ts';
import { checkWritable } from './device.ts';
import { packageRoot } from './package-root.ts';
import { print, printJson, table } from './print.ts';
import { Progress } from './progress.ts';
import { recipeOptions } from './tables.ts';

export type BenchRow = Readonly<Record<string, unknown>>;

/** Something that a benchmark asserts of what it measured. */
export interface BenchCheck {
  claim: string;
  holds: boolean;
  measured: string;
}

/** What every benchmark gives (docs/spec.md#benchmarks). */
export interface BenchDocument {
  name: string;
  device: { name: string; driver: string; software: boolean; features: readonly string[] };
  /** null outside a git checkout. */
  commit: string | null;
  /** Whether tracked files differed from that commit. */
  dirty: boolean | null;
  date: string;
  versions: Readonly<Record<string, string>>;
  rows: readonly BenchRow[];
  checks: readonly BenchCheck[];
  /** Further tables and figures of one benchmark. */
  readonly [more: string]: unknown;
}

export interface BenchOptions {
  json: boolean;
  /** More shapes, more runs, where there are more. */
  full: boolean;
  /** The benchmark's own options, as typed. */
  args: string[];
  /** Folder of a corpus. */
  data?: string;
  /** Receives progress. */
  log: (line: string) => void;
}

export interface Bench {
  doc: string;
  /** Errors: InputError for bad options or data; any other for a device that fails or computes wrong results. */
  run(options: BenchOptions): Promise<BenchDocument>;
  /** What --out writes, of one that writes no JSON. */
  file?(document: BenchDocument): string;
  /** Whether it reads a corpus; `--data` is refused by the others. */
  readsData?: boolean;
}

/** The table of benchmarks, built from bench/index.ts. Errors: InputError in an installed package, which lacks it. */
async function loadBenches(): Promise<Readonly<Record<string, Bench>>> {
  const file = join(packageRoot(), 'dist', 'bench.js');
  if (!existsSync(file))
    throw new InputError('bench: the benchmarks are not in the package: run it in a checkout');
  return ((await import(pathToFileURL(file).href)) as { benches: Record<string, Bench> }).benches;
}

function cell(value: unknown): string {
  if (typeof value === 'number')
    return Number.isInteger(value)
      ? String(value)
      : Math.abs(value) < 1e-3
        ? value.toExponential(1)
        : value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(Math.abs(value)))));
  return value === undefined || value === null ? '' : String(value);
}

/** Whether a value fits a cell: objects and long lists are for the JSON alone. */
const fits = (value: unknown): boolean =>
  Array.isArray(value)
    ? value.length <= 8 && value.every((v) => typeof v !== 'object')
    : typeof value !== 'object' || value === null;

/** The columns of rows that a table has room for, and their cells as text. */
export function benchColumns(rows: readonly BenchRow[]): string[][] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].filter(
    (key) => key !== 'rounds' && rows.every((row) => fits(row[key])),
  );
  return [columns, ...rows.map((row) => columns.map((key) => cell(row[key])))];
}

/** A document as text: the device, the rows as an aligned table, the checks. */
export function benchText(document: BenchDocument): string {
  const { device, rows, checks } = document;
  const cells = benchColumns(rows);
  const verdicts = checks.map(
    ({ claim, holds, measured }) => `${holds ? 'holds' : 'FAILS'}: ${claim} (${measured})\n`,
  );
  return [
    `${document.name} on ${device.name}${device.software ? ' (a software device)' : ''}${device.driver && `, ${device.driver}`}\n\n`,
    table(cells),
    ...(verdicts.length > 0 ? ['\n', ...verdicts] : []),
  ].join('');
}

const { seed: _oneSeed, ...recipe } = recipeOptions();
/** What several benchmarks have. */
const shared = Object.fromEntries(
  Object.entries(recipe).map(([name, { value, doc }]) => [name, { value, doc: `trainings: ${doc}` }]),
);
/** Options that only some benchmarks have; each checks those it is given. */
const own: Command['options'] = {
  only: {
    value: 'NAME,…',
    doc: 'kernels, stsn: these rows alone; models: these systems; fuzz: these readers',
  },
  tokens: { value: 'L,…', doc: 'sia: these lengths alone; table6, table7: this one' },
  peers: { value: 'NAME,…', doc: 'peers: these alone' },
  baseline: { path: 'F', doc: 'gate: what is compared with' },
  time: { doc: 'gate: also times kernels and trainings in turn with those of an old checkout' },
  against: {
    path: 'REV|DIR',
    doc: 'gate: the old checkout, a revision or a folder (the last change of the baseline)',
  },
  update: { doc: 'gate: takes over what is measured as the baseline; engines: into the README' },
  cases: { value: 'NAME,…', doc: 'peers, host, gate: these cases alone' },
  in: { path: 'F', doc: 'report: a document of another benchmark; more of them, F, may follow' },
  seeds: { value: 'N,…', doc: 'stsn, cerem, models: one training for each seed; fuzz: that of the inputs' },
  encoder: { path: 'DIR', doc: 'stsn, models: a pretrained encoder' },
  vocab: { path: 'F', doc: 'stsn: a vocabulary, for random weights' },
  config: { path: 'F', doc: 'stsn, table6, table7: model configuration, possibly partial' },
  variants: { value: 'NAME,…', doc: 'cerem: these models alone' },
  windows: { value: 'N,…', doc: 'cerem: a training for each longest scale (6)' },
  relations: { value: 'NAME,…', doc: 'cerem: only rows with these relations and no others' },
  longest: { value: 'N', doc: 'cerem: only texts of up to N characters' },
  rows: {
    value: 'N',
    doc: 'cerem: only the first N training rows, and N/2 of each other split; fuzz: inputs a reader',
  },
  count: { value: 'N', doc: 'kills, soak-cycles, soak-lines: so many kills, cycles, lines' },
  minutes: { value: 'N', doc: 'soak-hour: how long (60)' },
  ...shared,
};

export const bench: Command = {
  name: 'bench',
  summary: 'Measures: `spanwise bench` lists the benchmarks',
  positional: '[NAME] [F…]',
  pathsFrom: 1,
  options: {
    json,
    out: { path: 'F', doc: 'also write the JSON document (report: the HTML) to this file' },
    full: { doc: 'more shapes and more runs, where there are more' },
    data: {
      path: 'DIR',
      doc: 'stsn, soak, cerem, models: a corpus, *train.json and *dev.json and *test.json',
    },
    ...own,
  },
  notes:
    'Every side is checked against float64 before it is timed. Exit status 1 where what the benchmark asserts does\n' +
    'not hold. bench/README.md says what each one measures.',
  async run(args) {
    const benches = await loadBenches();
    if (args.positional === '') {
      const list = Object.entries(benches).map(([name, { doc }]) => ({ name, doc }));
      if (args.flag('json')) await printJson(list);
      else await print(table(list.map(({ name, doc }) => [name, doc])));
      return 0;
    }
    const found = Object.hasOwn(benches, args.positional) ? benches[args.positional] : undefined;
    if (!found)
      throw new InputError(
        `bench: there is no benchmark "${args.positional}" (there are: ${Object.keys(benches).join(', ')})`,
      );
    if (args.optional('data') !== undefined && !found.readsData)
      args.fail(`--data does not go with ${args.positional}`);
    const out = args.optional('out');
    if (out !== undefined) checkWritable(out, args);
    const progress = new Progress();
    const document = await found
      .run({
        json: args.flag('json'),
        full: args.flag('full'),
        args: [
          ...Object.keys(own).flatMap((name) => {
            const value = args.optional(name);
            if (args.flag(name)) return [`--${name}`];
            return value === undefined ? [] : [`--${name}=${value}`];
          }),
          ...args.rest,
        ],
        data: args.optional('data'),
        log: (line) => progress.show(`${args.positional}: ${line}`),
      })
      .finally(() => progress.clear());
    if (out !== undefined)
      writeFileAtomic(out, found.file?.(document) ?? `${JSON.stringify(document, null, 2)}\n`);
    if (args.flag('json')) await printJson(document);
    else await print(benchText(document));
    return document.checks.every(({ holds }) => holds) ? 0 : 1;
  },
};
