/** `bench gate`: what kernels and training steps take, exactly, against a baseline that is kept in the repository. */
import { existsSync } from 'node:fs';
import { InputError } from '../kernels/errors.ts';
import { baselineText, BaselineVersionError, parseBaseline, type Measured } from '../src/gate/baseline.ts';
import { gate, type GateReport } from '../src/gate/gate.ts';
import { readTextFile, writeFileAtomic } from '../src/io/files.ts';
import { kernelQuantities } from './gate.cases.ts';
import { stepQuantities } from './gate.steps.ts';
import { makeDocument, ownOptions, type Bench, type BenchCheck } from './harness.ts';

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

/** The baseline of a file. To be replaced, it may be of another version, or not be there: then it has nothing. */
function readBaseline(file: string, update: boolean): Measured {
  if (update && !existsSync(file)) return {};
  try {
    return parseBaseline(readTextFile(file, 'baseline'), file);
  } catch (error) {
    if (update && error instanceof BaselineVersionError) return {};
    throw error;
  }
}

export const gateBench: Bench = {
  doc: 'what kernels and training steps take, exactly, against a baseline: fails where a quantity moved',
  async run({ args, log }) {
    const own = ownOptions('gate', args, { baseline: { value: 'F', doc: '' }, update: { doc: '' } });
    const file = own.optional('baseline');
    if (file === undefined) throw new InputError('bench gate: --baseline F is missing');
    const update = own.flag('update');
    const baseline = readBaseline(file, update);
    const report = await gate(baseline, async () => {
      log('planning kernels');
      const kernels = kernelQuantities();
      log('planning steps');
      return { ...kernels, ...(await stepQuantities()) };
    });
    if (update) writeFileAtomic(file, baselineText(report.measured));
    const { moved, added, missing } = report;
    return makeDocument('gate', { info: { ...planned, features: [] } }, [], checksOf(report, file, update), {
      moved,
      added,
      missing,
    });
  },
};
