/** What a command of `spanwise` is: its name, its options (parsing and help text come from one table), its action. */
import { parseArgs } from 'node:util';
import { InputError } from '../../kernels/errors.ts';

/** One `--name` of a command. */
export interface Option {
  /** What stands for the value in the help text, e.g. `N`; absent for a flag. */
  value?: string;
  /** The same, e.g. `DIR`, where the value is the path of a file or a folder. */
  path?: string;
  doc: string;
  required?: boolean;
}

export interface Command {
  /** As typed after `spanwise`: one word, or two such as `kernel run`. */
  name: string;
  /** One line for the list of commands. */
  summary: string;
  /**
   * The arguments without a name, as the help text shows them: one or more words, each required unless it is written in
   * brackets: `[NAME]`. Any number may stand for a last `[F…]`.
   */
  positional?: string;
  /** Which of them is the first path; those after it are paths too. None is when absent. */
  pathsFrom?: number;
  options: Readonly<Record<string, Option>>;
  /** Further lines of the help text. */
  notes?: string;
  /** Does it; the exit status is 0 unless it returns another. Errors: InputError is status 2, any other is 1. */
  run(args: Arguments): Promise<number | void>;
}

const placeholder = ({ value, path }: Option): string | undefined => value ?? path;

/** A flag that most commands have. */
export const json: Option = { doc: 'print one JSON document' };

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The values given to a command. Every error names the option and says where the help is. */
export class Arguments {
  readonly #command: Command;
  readonly #values: Readonly<Record<string, string | boolean | undefined>>;
  readonly #positionals: readonly string[];

  constructor(
    command: Command,
    values: Record<string, string | boolean | undefined>,
    positionals: readonly string[],
  ) {
    this.#command = command;
    this.#values = values;
    this.#positionals = positionals;
  }

  /** The first argument without a name, of a command that has one; empty where it may be absent and is. */
  get positional(): string {
    return this.#positionals[0] ?? '';
  }

  /** The arguments that follow it, of a command that takes several. */
  get rest(): readonly string[] {
    return this.#positionals.slice(1);
  }

  /** The paths of files and folders that were given, without the names of their options. */
  get paths(): string[] {
    const { options, pathsFrom = Infinity } = this.#command;
    const values = Object.entries(this.#values).filter(([name]) => options[name]?.path !== undefined);
    return [
      ...values.flatMap(([, value]) => (typeof value === 'string' ? [value] : [])),
      ...this.#positionals.slice(pathsFrom),
    ];
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  /** The value of an option, undefined where it is not given. */
  optional(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === 'string' ? value : undefined;
  }

  /** The value of an option that the table marks as required. */
  text(name: string): string {
    return this.optional(name) ?? this.fail(`--${name} is missing`);
  }

  /** A finite number of at least `min`. */
  number(name: string, fallback: number, min = -Infinity): number {
    const text = this.optional(name);
    if (text === undefined) return fallback;
    const value = text.trim() === '' ? NaN : Number(text);
    if (!Number.isFinite(value) || value < min)
      this.fail(`--${name} must be a number${min > -Infinity ? ` of at least ${min}` : ''}, got "${text}"`);
    return value;
  }

  /** A whole number of at least `min`. */
  integer(name: string, fallback: number, min = 0): number {
    const value = this.number(name, fallback);
    if (!Number.isSafeInteger(value) || value < min)
      this.fail(`--${name} must be a whole number of at least ${min}, got "${this.optional(name)}"`);
    return value;
  }

  oneOf<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const text = this.optional(name) ?? fallback;
    return (
      choices.find((choice) => choice === text) ??
      this.fail(`--${name} must be one of ${choices.join(', ')}, got "${text}"`)
    );
  }

  /** A JSON object; an empty one where the option is not given. */
  json(name: string): Record<string, unknown> {
    const value = this.#parsed(name) ?? {};
    return isObject(value) ? value : this.fail(`--${name} must be a JSON object, got ${this.text(name)}`);
  }

  /** One JSON object, or those of a list; none where the option is not given. */
  jsonList(name: string): Record<string, unknown>[] {
    const value = this.#parsed(name) ?? [];
    const all: unknown[] = Array.isArray(value) ? value : [value];
    return all.every(isObject)
      ? all
      : this.fail(`--${name} must be a JSON object or a list of them, got ${this.text(name)}`);
  }

  #parsed(name: string): unknown {
    const text = this.optional(name);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (error) {
      return this.fail(`--${name} is not JSON: ${(error as Error).message}`);
    }
  }

  fail(complaint: string): never {
    throw usageError(this.#command, complaint);
  }
}

const usageError = (command: Command, complaint: string): InputError =>
  new InputError(`${command.name}: ${complaint} (see: spanwise ${command.name} --help)`);

/**
 * Parses what follows a command's name.
 * @returns 'help' where --help is among it
 * @throws InputError, one line, for an unknown option, one given twice, a missing value, a missing option, a surplus argument
 */
export function parseArguments(command: Command, argv: readonly string[]): Arguments | 'help' {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, option]) => [
      name,
      { type: placeholder(option) === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  let parsed: {
    values: Record<string, string | boolean | undefined>;
    positionals: string[];
    tokens: readonly { kind: string; name?: string }[];
  };
  try {
    parsed = parseArgs({
      args: [...argv],
      options: { ...options, help: { type: 'boolean', short: 'h' } },
      strict: true,
      allowPositionals: true,
      tokens: true,
    });
  } catch (error) {
    // Node's message goes on with advice about positional arguments after the first sentence.
    const complaint = (error as Error).message
      .split(/\. [A-Z]|\.?\n/)[0]
      .replace(/'(.*)' argument is ambiguous/, "'$1' lacks its value; one that begins with a dash: $1=-1");
    throw usageError(command, complaint.charAt(0).toLowerCase() + complaint.slice(1));
  }
  if (parsed.values.help === true) return 'help';
  const names = parsed.tokens.flatMap(({ kind, name }) =>
    kind === 'option' && name !== undefined ? [name] : [],
  );
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw usageError(command, `--${twice} is given twice`);
  const words = command.positional?.split(' ') ?? [];
  const missing = words.slice(parsed.positionals.length).find((word) => !word.startsWith('['));
  const most = command.positional?.endsWith('…]') ? Infinity : words.length;
  if (missing !== undefined) throw usageError(command, `${missing} is missing`);
  if (parsed.positionals.length > most)
    throw usageError(command, `unexpected argument "${parsed.positionals[most]}"`);
  for (const [name, option] of Object.entries(command.options)) {
    const given = parsed.values[name];
    if (option.required && given === undefined)
      throw usageError(command, `--${name} ${placeholder(option)} is missing`);
    if (given === '') throw usageError(command, `--${name} is empty`);
  }
  return new Arguments(command, parsed.values, parsed.positionals);
}

/** The help text of one command. */
export function commandHelp(command: Command): string {
  const entries = Object.entries(command.options).map(([name, option]) => ({
    text: [`--${name}`, placeholder(option) ?? []].flat().join(' '),
    option,
  }));
  const synopsis = [
    `spanwise ${command.name}`,
    ...(command.positional ? [command.positional] : []),
    ...entries.map(({ text, option }) => (option.required ? text : `[${text}]`)),
  ].join(' ');
  const width = Math.max(0, ...entries.map(({ text }) => text.length));
  const lines = entries.map(({ text, option }) => `  ${text.padEnd(width)}  ${option.doc}`);
  return [
    synopsis,
    '',
    `${command.summary}.`,
    ...(lines.length > 0 ? ['', ...lines] : []),
    ...(command.notes ? ['', command.notes] : []),
    '',
  ].join('\n');
}
