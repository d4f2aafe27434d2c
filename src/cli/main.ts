/** `spanwise`: finds the command, runs it, turns every outcome into an exit status (docs/spec.md#command-line). */
import { InputError } from '../../kernels/errors.ts';
import { attentionCommand } from './attention.ts';
import { bench } from './bench.ts';
import { compareCommand } from './compare.ts';
import { convertCommand } from './convert.ts';
import { commandHelp, parseArguments, type Command } from './command.ts';
import { demos } from './demo.ts';
import { doctor } from './doctor.ts';
import { evaluateCommand } from './eval.ts';
import { exportCommand } from './export.ts';
import { extractCommand } from './extract.ts';
import { kernelList, kernelRun } from './kernel.ts';
import { kernelExport } from './kernel-export.ts';
import { kernelShow } from './kernel-show.ts';
import { print, table } from './print.ts';
import { tell } from './printable.ts';
import { streams, withStreams, type Streams } from './streams.ts';
import { traceCommand } from './trace.ts';
import { trainCommand } from './train.ts';
import { tune } from './tune.ts';
import { verify } from './verify.ts';
import { version } from './versions.ts';

export const commands: readonly Command[] = [
  doctor,
  verify,
  ...demos,
  trainCommand,
  extractCommand,
  evaluateCommand,
  compareCommand,
  convertCommand,
  traceCommand,
  attentionCommand,
  exportCommand,
  bench,
  tune,
  kernelList,
  kernelShow,
  kernelRun,
  kernelExport,
];

function generalHelp(): string {
  const list = commands.map(({ name, summary }) => [`  ${name}`, summary]);
  return [
    'spanwise COMMAND [OPTIONS]',
    '',
    table(list),
    'spanwise COMMAND --help tells more of a command; spanwise --version prints the version.',
    'Exit status: 0 success, 2 bad usage or bad input, 1 anything else.',
    'SPANWISE_DEVICE=software chooses the software device; SPANWISE_DEBUG=1 shows the stack of an unexpected error.',
    '',
  ].join('\n');
}

/** The commands that `words` begin with: one, all of a group such as `kernel`, or none. */
function find(words: readonly string[]): Command[] {
  const exact = commands.find(({ name }) => name.split(' ').every((word, i) => word === words[i]));
  return exact ? [exact] : commands.filter(({ name }) => words[0] && name.startsWith(`${words[0]} `));
}

async function main(argv: readonly string[]): Promise<number> {
  const [first] = argv;
  if (first === '--version' || first === 'version') {
    await print(`${version}\n`);
    return 0;
  }
  const asksHelp = first === undefined || ['help', '--help', '-h'].includes(first);
  const words = asksHelp ? argv.slice(1) : argv;
  if (words.length === 0) {
    await print(generalHelp());
    return 0;
  }
  const found = find(words);
  if (found.length === 0) throw new InputError(`unknown command "${words[0]}" (see: spanwise help)`);
  if (asksHelp || (found.length > 1 && ['--help', '-h'].includes(words[1]))) {
    await print(found.map(commandHelp).join('\n'));
    return 0;
  }
  if (found.length > 1) {
    const rest = found.map(({ name }) => name.slice(words[0].length + 1)).join(', ');
    const got = words[1] === undefined ? '' : `, got "${words[1]}"`;
    throw new InputError(`${words[0]}: must be followed by one of ${rest}${got}`);
  }
  const [command] = found;
  const args = parseArguments(command, argv.slice(command.name.split(' ').length));
  if (args === 'help') {
    await print(commandHelp(command));
    return 0;
  }
  return (await command.run(args)) ?? 0;
}

/** Reports a failure in one line; returns the exit status. */
export function fail(error: unknown): number {
  // The reader of our output went away (`spanwise … | head`), which is no failure of ours.
  if ((error as NodeJS.ErrnoException | null)?.code === 'EPIPE') return 0;
  const message = error instanceof Error ? error.message : String(error);
  const bad = error instanceof InputError;
  // Messages that are not of bad input may go on with details.
  tell(`spanwise: ${bad ? message : message.split('\n')[0]}`);
  if (!bad && process.env.SPANWISE_DEBUG === '1')
    streams().stderr.write(`${(error as Error)?.stack ?? ''}\n`);
  return bad ? 2 : 1;
}

/** Runs one command line, the words after `spanwise`, to its end; returns the exit status. */
export const spanwise = (argv: readonly string[], given: Streams): Promise<number> =>
  withStreams(given, () => main(argv).catch(fail));
