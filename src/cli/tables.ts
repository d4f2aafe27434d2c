/** The definitions' tables as options of commands: flags and help out of them, plain data from what was given. */
import type { Definition, Types } from '../tasks/definition.ts';
import { readJsonFile } from '../tasks/folder.ts';
import { flagOf, type Option as TableOption } from '../tasks/options.ts';
import { definitions } from '../tasks/registry.ts';
import { complaint, type NumberField } from '../tasks/training/recipe.ts';
import type { Arguments, Command, Option } from './command.ts';

type Options = Command['options'];
type Table = Readonly<Record<string, TableOption & { commands?: readonly string[] }>>;

/** The definitions that have a key, with what each has under it. */
function owners<V>(
  tableOf: (definition: Definition) => Readonly<Record<string, V>>,
): Map<string, { names: string[]; values: V[] }> {
  const found = new Map<string, { names: string[]; values: V[] }>();
  for (const definition of definitions)
    for (const [key, value] of Object.entries(tableOf(definition))) {
      const entry = found.get(key) ?? { names: [], values: [] };
      entry.names.push(definition.name);
      entry.values.push(value);
      found.set(key, entry);
    }
  return found;
}

/** The names, as "one, other: ", before what not all definitions have. */
const prefix = (names: readonly string[]): string =>
  names.length === definitions.length ? '' : `${names.join(', ')}: `;

const defaultText = ({ default: value }: NumberField): string =>
  typeof value === 'function' ? 'see docs' : String(Math.round(value * 1e6) / 1e6);

/** The options of the recipes of some definitions; those of several are one, with every default. */
export function recipeOptions(of: readonly Definition[] = definitions): Options {
  const chosen = new Set(of.map(({ name }) => name));
  const options: Record<string, Option> = {};
  for (const [key, { names, values }] of owners((d) => (chosen.has(d.name) ? (d.recipe as Table_) : {}))) {
    const defaults = [...new Set(values.map(defaultText))];
    const told =
      defaults.length === 1 ? defaults[0] : values.map((v, i) => `${names[i]} ${defaultText(v)}`).join(', ');
    const before = names.length === of.length ? '' : `${names.join(', ')}: `;
    const value = values[0].integer ? 'N' : 'X';
    options[flagOf(key)] = { value, doc: `${before}${values[0].doc} (${told})` };
  }
  return options;
}
type Table_ = Readonly<Record<string, NumberField>>;

/** What the options say of a recipe. Errors: usage errors that name the option. */
export function givenRecipe<T extends Types>(
  args: Arguments,
  { recipe }: Definition<T>,
): { [K in keyof T['recipe']]?: number } {
  const given: Record<string, number> = {};
  for (const [key, field] of Object.entries(recipe as Table_)) {
    const text = args.optional(flagOf(key));
    if (text === undefined) continue;
    given[key] = text.trim() === '' ? NaN : Number(text);
    const problem = complaint(given[key], field);
    if (problem) args.fail(`--${flagOf(key)} ${problem}, got "${text}"`);
  }
  return given as { [K in keyof T['recipe']]?: number };
}

const tableFor =
  (command: string) =>
  (definition: Definition): Table =>
    Object.fromEntries(
      Object.entries(definition.options as Table).filter(
        ([, { commands }]) => commands?.includes(command) ?? true,
      ),
    );

/** The options that some definition's models take in a command. */
export function useOptions(command: string): Options {
  return Object.fromEntries(
    [...owners(tableFor(command))].map(([key, { names, values }]) => {
      const { kind, value, doc } = values[0];
      const shown = kind === 'json' || kind === 'model' ? { path: value } : { value };
      return [flagOf(key), { ...shown, doc: `${prefix(names)}${doc}` }];
    }),
  );
}

/** Fails where an option is given that only other definitions have. */
export function refuseOthers(
  args: Arguments,
  definition: Definition,
  tableOf: (definition: Definition) => Readonly<Record<string, unknown>>,
  goesWith: (names: string[]) => string,
): void {
  const own = tableOf(definition);
  for (const [key, { names }] of owners(tableOf))
    if (!(key in own) && args.optional(flagOf(key)) !== undefined)
      args.fail(`--${flagOf(key)} goes with ${goesWith(names)}`);
}

/**
 * What the options of a command say of how a definition's models are used; `model` options are left to the caller.
 * Errors: usage errors that name the option; InputError for files that cannot be read.
 */
export function givenUse(args: Arguments, definition: Definition, command: string): Record<string, unknown> {
  const titles = (names: string[]): string =>
    `${names.map((name) => definitions.find((d) => d.name === name)?.title).join(' and ')} models`;
  refuseOthers(args, definition, tableFor(command), titles);
  const given: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(tableFor(command)(definition))) {
    const flag = flagOf(key);
    const text = args.optional(flag);
    if (text === undefined) continue;
    if (option.kind === 'integer') given[key] = args.integer(flag, option.min, option.min);
    if (option.kind === 'choice') given[key] = args.oneOf(flag, option.choices, text);
    if (option.kind === 'json') given[key] = option.parse(readJsonFile(text, flag), text);
  }
  if (args.optional('batch') !== undefined) given.batchSize = args.integer('batch', 1, 1);
  return given;
}

/** Names of the definitions, as `--model` of `train` takes them. */
export const names = definitions.map(({ name }) => name);
