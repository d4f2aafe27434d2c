/** `bench fuzz`: every reader of files on many inputs that are almost right. */
import { InputError } from '../kernels/errors.ts';
import {
  FLOOR_BYTES,
  LIMIT_MESSAGE,
  LIMIT_MS,
  LIMIT_RATIO,
  runCampaign,
  type Fault,
  type Outcome,
  type Target,
} from '../test/fuzz/campaign.ts';
import { targets } from '../test/fuzz/targets.ts';
import { makeDocument, ownOptions, parseSeeds, type Bench, type BenchCheck } from './harness.ts';

const COUNT = 100_000;
/** Other than that of `npm test`. */
const SEED = 2;
/** Faults that the document spells out. */
const SHOWN = 100;

const noDevice = {
  name: 'no device',
  vendor: '',
  architecture: '',
  driver: 'readers alone',
  software: false,
  features: [],
};

/** The readers that are named, all where none is. Errors: InputError for a name that there is not. */
function chosen(given: string | undefined): readonly Target[] {
  if (given === undefined) return targets;
  const names = targets.map(({ name }) => name);
  return given.split(',').map((name) => {
    const found = targets.find((target) => target.name === name);
    if (!found)
      throw new InputError(`bench fuzz: --only names "${name}", which is not one of ${names.join(', ')}`);
    return found;
  });
}

/** What is asserted of all inputs. */
export function fuzzChecks(outcomes: readonly Outcome[]): BenchCheck[] {
  const faults = outcomes.flatMap((outcome) => outcome.faults);
  const most = (of: (outcome: Outcome) => number): number => Math.max(...outcomes.map(of));
  const check = (kind: Fault['kind'], claim: string, measured: string): BenchCheck => {
    const count = faults.filter((fault) => fault.kind === kind).length;
    return { claim, holds: count === 0, measured: `${measured}${count > 0 ? `; ${count} do not` : ''}` };
  };
  return [
    check(
      'error',
      `every input is read, or refused with an InputError of one printable line of at most ${LIMIT_MESSAGE} characters`,
      `${most(({ longestMessage }) => longestMessage)} characters at most`,
    ),
    check('time', `within ${LIMIT_MS} ms`, `${most(({ slowestMs }) => slowestMs).toFixed(0)} ms at most`),
    check(
      'memory',
      `in ${LIMIT_RATIO} bytes of memory for each of its own and ${FLOOR_BYTES / 2 ** 20} MiB`,
      `${(most(({ mostBytes }) => mostBytes) / 2 ** 20).toFixed(1)} MiB at most`,
    ),
  ];
}

export const fuzzBench: Bench = {
  doc: 'every reader of files on 100,000 inputs that are almost right: no crash, no hang, a clear error each',
  async run({ args, log }) {
    const given = ownOptions('fuzz', args, {
      only: { value: 'NAME,…', doc: 'these readers alone' },
      seeds: { value: 'N', doc: 'of the inputs' },
      rows: { value: 'N', doc: 'inputs a reader' },
    });
    const readers = chosen(given.optional('only'));
    const seeds = parseSeeds('fuzz', given.optional('seeds') ?? String(SEED));
    if (seeds.length > 1) throw new InputError('bench fuzz: --seeds must be one number');
    const count = given.integer('rows', COUNT, 1);
    const outcomes: Outcome[] = [];
    for (const target of readers)
      outcomes.push(
        await runCampaign(target, {
          ...{ seed: seeds[0], count },
          progress: (done) => log(`${target.name}: ${done} of ${count} inputs`),
        }),
      );
    const rows = outcomes.map(({ faults, slowestMs, ms, ...outcome }) => ({
      ...outcome,
      ...{ slowestMs: Math.round(slowestMs), seconds: Math.round(ms / 1000), faults: faults.length },
    }));
    return makeDocument('fuzz', { info: noDevice }, rows, fuzzChecks(outcomes), {
      ...{ seed: seeds[0], faults: outcomes.flatMap(({ faults }) => faults).slice(0, SHOWN) },
    });
  },
};
