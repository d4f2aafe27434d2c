/** Compares what work takes with what it took: exact quantities, so that the tolerance is zero. */
import { InputError } from '../../kernels/errors.ts';
import { checkMeasured, type Measured, type Quantities } from './baseline.ts';

/** A quantity that is not what it was. */
export interface Moved {
  case: string;
  part: string;
  quantity: string;
  before: number;
  after: number;
}

export interface GateReport {
  /** Whether nothing moved, and the cases are those of the baseline. */
  passed: boolean;
  moved: readonly Moved[];
  /** Cases that the baseline has no figures of, and those of the baseline that were not measured. */
  added: readonly string[];
  missing: readonly string[];
  /** What a baseline that is taken over holds (`baselineText`). */
  measured: Measured;
  /** The same for people, a line each: what got worse, what got better, cases; none where it passed. */
  lines: readonly string[];
}

/** The names of both, each once. */
const namesOf = (a: object, b: object): string[] => [...new Set([...Object.keys(a), ...Object.keys(b)])];

const own = <T>(all: Readonly<Record<string, T>>, name: string, otherwise: T): T =>
  Object.hasOwn(all, name) ? all[name] : otherwise;

const movedIn = (name: string, part: string, before: Quantities, after: Quantities): Moved[] =>
  namesOf(before, after)
    .map((quantity) => ({
      ...{ case: name, part, quantity },
      ...{ before: own(before, quantity, 0), after: own(after, quantity, 0) },
    }))
    .filter((moved) => moved.before !== moved.after);

/** `12 -> 13 (+1, +8.33 %)`, digits in groups. */
function change({ before, after }: Moved): string {
  const shown = (value: number, digits = 15): string =>
    value.toLocaleString('en', { maximumSignificantDigits: digits });
  const sign = after > before ? '+' : '-';
  const by = Math.abs(after - before);
  const percent = before > 0 ? `, ${sign}${shown((100 * by) / before, 3)} %` : '';
  return `${shown(before)} -> ${shown(after)} (${sign}${shown(by)}${percent})`;
}

/**
 * Holds what is measured against a baseline, at 0 %: a quantity that rose is a loss, and one that fell fails too, as a
 * baseline that is too high hides the next loss. What is absent on one side counts as 0 there.
 * @param baseline of `parseBaseline`, or an earlier report's `measured`
 * @param measure what there is now: of `stepQuantities`, or counted in any other way
 * @throws InputError for a quantity that is no finite number of at least 0, and where nothing, or nothing of a case, was
 *   measured; what `measure` throws
 */
export async function gate(
  baseline: Measured,
  measure: () => Measured | Promise<Measured>,
): Promise<GateReport> {
  const known = checkMeasured(baseline, 'gate: the baseline');
  const measured = checkMeasured(await measure(), 'gate: what was measured');
  if (Object.keys(measured).length === 0)
    throw new InputError('gate: nothing was measured: there is no case');
  const empty = Object.entries(measured).find(([, parts]) =>
    Object.values(parts).every((all) => Object.keys(all).length === 0),
  );
  if (empty) throw new InputError(`gate: nothing was measured of the case ${JSON.stringify(empty[0])}`);
  const names = namesOf(known, measured);
  const added = names.filter((name) => !Object.hasOwn(known, name));
  const missing = names.filter((name) => !Object.hasOwn(measured, name));
  const moved = names
    .filter((name) => !added.includes(name) && !missing.includes(name))
    .flatMap((name) =>
      namesOf(known[name], measured[name]).flatMap((part) =>
        movedIn(name, part, own(known[name], part, {}), own(measured[name], part, {})),
      ),
    );
  const line = (one: Moved): string => `${one.case}: ${one.part}: ${one.quantity} ${change(one)}`;
  const worse = moved.filter(({ before, after }) => after > before);
  const better = moved.filter(({ before, after }) => after < before);
  const lines = [
    ...worse.map((one) => `worse: ${line(one)}`),
    ...better.map((one) => `better, to be taken over: ${line(one)}`),
    ...added.map((name) => `not in the baseline: ${name}`),
    ...missing.map((name) => `in the baseline alone: ${name}`),
  ];
  return { passed: lines.length === 0, moved, added, missing, measured, lines };
}
