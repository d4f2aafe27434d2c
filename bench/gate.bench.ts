/** `bench gate`: what kernels and training steps take, exactly, against a baseline that is kept in the repository. */
import { join } from 'node:path';
import { InputError } from '../kernels/errors.ts';
import { packageRoot } from '../src/cli/package-root.ts';
import { readBaseline, writeBaseline } from '../src/gate/baseline-file.ts';
import { gate, type GateReport } from '../src/gate/gate.ts';
import { kernelCases, kernelQuantities } from './gate.cases.ts';
import { withCheckout, type Checkout } from './gate.checkout.ts';
import { timedPasses } from './gate.passes.ts';
import {
  compareTimes,
  openSide,
  type TimedPass,
  type TimedTraining,
  type TimeRow,
  type Times,
} from './gate.time.ts';
import { stepCases, stepQuantities, timedTrainings, type StepCase } from './gate.steps.ts';
import type { FormCase } from './gpu-forms.cases.ts';
import { makeDocument, ownOptions, type Bench, type BenchCheck, type BenchRow } from './harness.ts';

const planned = { name: 'no device', vendor: '', architecture: '', driver: 'planned alone', software: false };

/** A line for each thing that is not as it was, or one for all that is. */
function checksOf({ lines, measured }: GateReport, file: string, update: boolean): BenchCheck[] {
  if (lines.length === 0)
    return [
      { claim: `nothing moved from ${file}`, holds: true, measured: `${Object.keys(measured).length} cases` },
    ];
  const verdict = update ? 'taken over' : 'take it over with --update if it is meant';
  return lines.map((claim) => ({ claim, holds: update, measured: verdict }));
}

/** Of what there are how many cases and quantities, and how many moved. */
function rowOf(of: string, cases: readonly { name: string }[], { measured, moved }: GateReport): BenchRow {
  const isOne = (name: string): boolean => cases.some((one) => name.startsWith(`${one.name}, `));
  const parts = Object.entries(measured).filter(([name]) => isOne(name));
  const quantities = parts.flatMap(([, all]) => Object.values(all).flatMap((part) => Object.keys(part)));
  return {
    of,
    cases: parts.length,
    quantities: quantities.length,
    moved: moved.filter((one) => isOne(one.case)).length,
  };
}

/** The cases of both kinds that are named, all where none is. Errors: InputError for a name that there is not. */
function chosenCases(given: string | undefined): { kernels: FormCase[]; steps: StepCase[] } {
  const [kernels, steps] = [kernelCases(), stepCases()];
  if (given === undefined) return { kernels, steps };
  const names = given.split(',');
  const all = [...kernels, ...steps].map(({ name }) => name);
  for (const name of names)
    if (!all.includes(name))
      throw new InputError(`bench gate: --cases names "${name}", which is not one of ${all.join(', ')}`);
  const chosen = ({ name }: { name: string }): boolean => names.includes(name);
  return { kernels: kernels.filter(chosen), steps: steps.filter(chosen) };
}

/** What is asserted of times: nothing is slower by more than its floor, and results are the same. */
function timeChecks({ rows }: Times, old: string): BenchCheck[] {
  const claims = { slower: `no slower than ${old}`, 'other results': `results are those of ${old}` } as const;
  const failed = rows.flatMap(({ case: name, verdict, ratio, low, high, floor }): BenchCheck[] => {
    if (verdict !== 'slower' && verdict !== 'other results') return [];
    const [by, from, to] = [ratio, low, high].map((value) => value?.toFixed(3));
    const measured =
      verdict === 'slower' ? `${by} times as long, ${from} to ${to}; floor ${percentOf(floor)}` : 'not timed';
    return [{ claim: `${name}: ${claims[verdict]}`, holds: false, measured }];
  });
  const floors = rows.flatMap(({ floor }) => (floor === undefined ? [] : [floor])).sort((a, b) => a - b);
  const counted = (verdict: TimeRow['verdict']): number =>
    rows.filter((row) => row.verdict === verdict).length;
  const range = floors.length > 0 ? ` of ${percentOf(floors[0])} to ${percentOf(floors.at(-1))}` : '';
  return [
    ...failed,
    {
      claim: `nothing else is slower than ${old} by more than it is than itself`,
      holds: rows.some(({ verdict }) => verdict !== 'not in the old'), // nothing timed shows nothing
      measured: `${counted('below the floor')} below their floors${range}, which are not judged, ${counted('faster')} faster, ${counted('not in the old')} not in the old`,
    },
  ];
}

const percentOf = (share = 0): string => `${(100 * share).toFixed(1)} %`;

/** Times passes and trainings of the old checkout and of this one. */
async function timeBoth(
  all: readonly (TimedPass | TimedTraining)[],
  old: Checkout,
  log: (line: string) => void,
): Promise<Times> {
  const libraries = { old: old.library, new: join(packageRoot(), 'dist', 'spanwise-node.js') };
  return compareTimes((which) => openSide(libraries[which]), all, { log });
}

export const gateBench: Bench = {
  doc: 'what kernels and training steps take, exactly, against a baseline: fails where a quantity moved',
  async run({ args, log }) {
    const own = ownOptions('gate', args, {
      baseline: { value: 'F', doc: '' },
      cases: { value: 'NAME,…', doc: '' },
      update: { doc: '' },
      time: { doc: '' },
      against: { value: 'REV|DIR', doc: '' },
    });
    const file = own.optional('baseline');
    if (file === undefined) throw new InputError('bench gate: --baseline F is missing');
    const update = own.flag('update');
    if (own.optional('against') !== undefined && !own.flag('time')) own.fail('--against goes with --time');
    const { kernels, steps } = chosenCases(own.optional('cases'));
    const stems = [...kernels, ...steps].map(({ name }) => name);
    const isOther = (name: string): boolean => stems.every((stem) => !name.startsWith(`${stem}, `));
    const some = own.optional('cases') !== undefined;
    const all = readBaseline(file, update, update && !some);
    const baseline = some ? Object.fromEntries(Object.entries(all).filter(([name]) => !isOther(name))) : all;
    const report = await gate(baseline, async () => {
      log('planning kernels');
      const ofKernels = kernelQuantities(kernels);
      log('planning steps');
      return { ...ofKernels, ...(await stepQuantities(steps)) };
    });
    if (update) writeBaseline(file, some ? { ...all, ...report.measured } : report.measured);
    const { moved, added, missing } = report;
    const exact = { checks: checksOf(report, file, update), more: { moved, added, missing } };
    if (!own.flag('time')) {
      const rows = [rowOf('kernels', kernels, report), rowOf('training steps', steps, report)];
      return makeDocument('gate', { info: { ...planned, features: [] } }, rows, exact.checks, exact.more);
    }
    return withCheckout(own.optional('against'), file, async (old) => {
      const passes = timedPasses(new Set(kernels.map(({ kernel }) => kernel)));
      const times = await timeBoth([...passes, ...timedTrainings(steps)], old, log);
      const info = times.device ?? { ...planned, features: [] };
      const rows = times.rows.map((row) => ({ ...row }));
      return makeDocument(
        'gate',
        { info },
        rows,
        [...exact.checks, ...timeChecks(times, old.name)],
        exact.more,
      );
    });
  },
};
