/** Named values that a caller may set: one table gives the types, the command line's flags and their help. */
import { InputError } from '../../kernels/errors.ts';
import type { Json } from '../io/json.ts';
import { onBadChoices } from './bad-rows.ts';

interface Described {
  doc: string;
  /** What stands for the value in help: `N`, `FILE`. */
  value: string;
}

export type Option =
  | (Described & { kind: 'integer'; min: number })
  | (Described & { kind: 'choice'; choices: readonly string[] })
  /** Names with commas between them. */
  | (Described & { kind: 'list' })
  /** The content of a JSON file. Errors of `parse`: InputError naming `what` and the key. */
  | (Described & { kind: 'json'; parse(json: Json, what: string): unknown })
  /** Named values, which no command takes. */
  | (Described & { kind: 'object' })
  /** Another model: its folder on the command line, else what `loadModel` gives. */
  | (Described & { kind: 'model' });

/** `maxSubjects` → `max-subjects`: a key as the command line writes it. */
export const flagOf = (key: string): string => key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** What may be given under a key, and how that is said. */
function demandOf(option: Option): [fits: (value: unknown) => boolean, what: string] {
  switch (option.kind) {
    case 'integer':
      return [
        (value) => Number.isSafeInteger(value) && (value as number) >= option.min,
        `a whole number of at least ${option.min}`,
      ];
    case 'choice':
      return [(value) => option.choices.includes(value as string), `one of ${option.choices.join(', ')}`];
    case 'list':
      return [(value) => Array.isArray(value), 'a list'];
    case 'json':
    case 'object':
      return [(value) => typeof value === 'object', 'an object'];
    case 'model':
      return [(value) => typeof value === 'object', 'a loaded model'];
  }
}

const isFunction = (value: unknown): boolean => typeof value === 'function';

/** What every model can be asked with, beside its own options. */
const common: Readonly<Record<string, ReturnType<typeof demandOf>>> = {
  batchSize: demandOf({ kind: 'integer', min: 1, value: '', doc: '' }),
  progress: [isFunction, 'a function'],
  onJudged: [isFunction, 'a function'],
  onBad: demandOf({ kind: 'choice', choices: onBadChoices, value: '', doc: '' }),
  threshold: [(value) => typeof value === 'number' && value >= 0 && value <= 1, 'a number from 0 to 1'],
};

/** Errors: InputError naming the key that there is not, or whose value is not what the tables say. Undefined says nothing. */
export function checkValues(table: Readonly<Record<string, Option>>, given: object): void {
  const own = Object.entries(table).map(([key, option]) => [key, demandOf(option)] as const);
  const demands = { ...common, ...Object.fromEntries(own) };
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(demands, key))
      throw new InputError(`there is no option "${key}" (there are: ${Object.keys(demands).join(', ')})`);
    const [fits, what] = demands[key];
    if (!fits(value)) throw new InputError(`option "${key}" must be ${what}, got ${JSON.stringify(value)}`);
  }
}
