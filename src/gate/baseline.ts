/** What work takes, counted and not timed, and the file that such counts are kept in. */
import { InputError } from '../../kernels/errors.ts';
import { isObject, parseObject, repeatedKey, type Json } from '../io/json.ts';

/** Counts by name, each a finite number of at least 0; what is absent is 0. Less is better of every one. */
export type Quantities = Readonly<Record<string, number>>;

/** What is measured: by case (a model's step, a kernel at a shape), by part of it (a kernel, a pass), by quantity. */
export type Measured = Readonly<Record<string, Readonly<Record<string, Quantities>>>>;

/** Of the file and of what the quantities mean: figures of another version cannot be compared. */
export const BASELINE_VERSION = 1;

/** An older baseline, whose figures mean something else: it is measured anew. */
export class BaselineVersionError extends InputError {}

/** `value` as an object of what `parse` gives. */
function entries<T>(
  value: unknown,
  what: string,
  parse: (value: unknown, what: string) => T,
): Record<string, T> {
  if (!isObject(value)) throw new InputError(`${what} must be an object`);
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [name, parse(inner, `${what}.${JSON.stringify(name)}`)]),
  );
}

function quantity(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0)
    throw new InputError(`${what} must be a finite number of at least 0, got ${String(value)}`);
  return value;
}

/** Checks what is measured, or read. Errors: InputError that names `what` and where in it. */
export const checkMeasured = (value: unknown, what: string): Measured =>
  entries(value, what, (parts, of) => entries(parts, of, (all, part) => entries(all, part, quantity)));

/**
 * The figures of a baseline's file.
 * @throws InputError naming `what` and the line or key, for a text that is no baseline; BaselineVersionError, one of them,
 *   for one of an older version
 */
export function parseBaseline(text: string, what: string): Measured {
  const json: Json = parseObject(text, what);
  if (typeof json.version !== 'number' || !isObject(json.cases))
    throw new InputError(
      `${what}: not a baseline: it must have a number as "version" and an object as "cases"`,
    );
  if (json.version !== BASELINE_VERSION) {
    const versions = `${what}: a baseline of version ${json.version}, and this is ${BASELINE_VERSION}`;
    if (json.version > BASELINE_VERSION) throw new InputError(`${versions}: it is of a newer Spanwise`);
    throw new BaselineVersionError(`${versions}: measure all cases anew with --update`);
  }
  const repeated = repeatedKey(text);
  if (repeated)
    throw new InputError(`${what}: line ${repeated.line}: ${JSON.stringify(repeated.key)} is there twice`);
  const unknown = Object.keys(json).find((key) => key !== 'version' && key !== 'cases');
  if (unknown !== undefined) throw new InputError(`${what}: unknown key ${JSON.stringify(unknown)}`);
  return checkMeasured(json.cases, `${what}: "cases"`);
}

const named = (name: string, value: string): string => `${JSON.stringify(name)}: ${value}`;

/** Lines between braces, or braces alone. */
const block = (lines: readonly string[], indent: string): string =>
  lines.length > 0 ? `{\n${lines.map((line) => `${indent}  ${line}`).join(',\n')}\n${indent}}` : '{}';

/** The text of a baseline's file: a line for each part, so that a change of one is a change of a line. Zeros are left out. */
export function baselineText(measured: Measured): string {
  const cases = Object.entries(measured).map(([name, parts]) => {
    const lines = Object.entries(parts).map(([part, all]) => {
      const counted = Object.entries(all).filter(([, value]) => value !== 0);
      return named(part, `{ ${counted.map(([key, value]) => named(key, String(value))).join(', ')} }`);
    });
    return named(name, block(lines, '    '));
  });
  return `${block([named('version', String(BASELINE_VERSION)), named('cases', block(cases, '  '))], '')}\n`;
}
