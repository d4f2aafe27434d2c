/** `bench gate`: what kernels and training steps take, exactly, against a baseline that is kept in the repository. */
import { InputError } from '../kernels/errors.ts';
import { readBaseline, writeBaseline } from '../src/gate/baseline-file.ts';
import { gate, type GateReport } from '../src/gate/gate.ts';
import { kernelCases, kernelQuantities } from './gate.cases.ts';
import { stepCases, stepQuantities, type StepCase } from './gate.steps.ts';
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

export const gateBench: Bench = {
  doc: 'what kernels and training steps take, exactly, against a baseline: fails where a quantity moved',
  async run({ args, log }) {
    const own = ownOptions('gate', args, {
      baseline: { value: 'F', doc: '' },
      cases: { value: 'NAME,…', doc: '' },
      update: { doc: '' },
    });
    const file = own.optional('baseline');
    if (file === undefined) throw new InputError('bench gate: --baseline F is missing');
    const update = own.flag('update');
    const { kernels, steps } = chosenCases(own.optional('cases'));
    const stems = [...kernels, ...steps].map(({ name }) => name);
    const isOther = (name: string): boolean => stems.every((stem) => !name.startsWith(`${stem}, `));
    const all = readBaseline(file, update);
    const some = own.optional('cases') !== undefined;
    const baseline = some ? Object.fromEntries(Object.entries(all).filter(([name]) => !isOther(name))) : all;
    const report = await gate(baseline, async () => {
      log('planning kernels');
      const ofKernels = kernelQuantities(kernels);
      log('planning steps');
      return { ...ofKernels, ...(await stepQuantities(steps)) };
    });
    if (update) writeBaseline(file, some ? { ...all, ...report.measured } : report.measured);
    const { moved, added, missing } = report;
    const rows = [rowOf('kernels', kernels, report), rowOf('training steps', steps, report)];
    const info = { ...planned, features: [] };
    return makeDocument('gate', { info }, rows, checksOf(report, file, update), { moved, added, missing });
  },
};
