/** `spanwise convert`: annotated texts from one format into another. */
import { join } from 'node:path';
import { InputError } from '../../kernels/errors.ts';
import { makeFolder, namesIn, statsOf, writeFileAtomic } from '../io/files.ts';
import { decodeUtf8 } from '../io/utf8.ts';
import { corpusContent } from '../tasks/corpus-file.ts';
import { formatNamed, formats } from '../tasks/corpus/formats/index.ts';
import { readRows } from '../tasks/corpus/read.ts';
import { reduceRows } from '../tasks/corpus/reduce.ts';
import { Counts, type Files } from '../tasks/corpus/row.ts';
import { schemes } from '../tasks/corpus/tags.ts';
import type { Arguments, Command } from './command.ts';
import { checkWritable } from './device.ts';
import { readStandardInput } from './input.ts';
import { print } from './print.ts';
import { tell } from './printable.ts';
import { givenReading, readingOptions } from './reading.ts';

const names = formats.map(({ name }) => name).join(', ');

/** Errors: usage error for a file, and for a folder that holds annotations already, which would stay among the new ones. */
function checkFolder(args: Arguments, out: string | undefined): void {
  if (out === undefined) return args.fail('--out must name a folder: the format has several files');
  const stats = statsOf(out);
  if (!stats) return;
  if (!stats.isDirectory()) args.fail(`--out ${out} is a file: the format has several, in a folder`);
  if (namesIn(out).some((name) => name.endsWith('.ann'))) args.fail(`--out ${out} holds .ann files already`);
}

async function write(written: string | Files, out: string | undefined): Promise<void> {
  if (typeof written === 'string') {
    if (out === undefined) await print(written);
    else writeFileAtomic(out, written);
    return;
  }
  const there = statsOf(out!) ? namesIn(out!) : [];
  const held = Object.keys(written).find((name) => there.includes(name));
  if (held !== undefined) throw new InputError(`--out ${out} holds ${held} already`);
  makeFolder(out!);
  for (const [name, text] of Object.entries(written)) writeFileAtomic(join(out!, name), text);
}

export const convertCommand: Command = {
  name: 'convert',
  summary: 'Converts annotated texts from one format into another',
  options: {
    from: { value: 'FORMAT', doc: 'the format of the input (default: seen from its content)' },
    to: { value: 'FORMAT', doc: 'the format of the output', required: true },
    in: { path: 'PATH', doc: 'a file, or the folder of a format with several (default: standard input)' },
    out: { path: 'PATH', doc: 'where to write (default: standard output)' },
    tags: { value: schemes.join('|'), doc: 'tags of conll and hf (default bio)' },
    ...readingOptions,
  },
  notes: `Formats (docs/formats.md): ${names}.\nWhat a format cannot hold is counted on standard error.`,
  async run(args) {
    const [input, out] = [args.optional('in'), args.optional('out')];
    const format = formatNamed(args.text('to'));
    const from = args.optional('from');
    if (from !== undefined) formatNamed(from);
    const tags = args.oneOf('tags', schemes, 'bio');
    const options = { ...givenReading(args), ...(from !== undefined && { format: from }) };
    if (format.kind === 'folder') checkFolder(args, out);
    else if (out !== undefined) checkWritable(out, args);

    const file = input ?? 'standard input';
    const content = input === undefined ? decodeUtf8(await readStandardInput(), file) : corpusContent(input);
    const { items, notes } = readRows(content, file, options, 'document', (row) => row);
    const losses = new Counts();
    const written = format.write(reduceRows(items, format, file, losses), losses, { tags });
    await write(written, out);
    for (const note of [...notes, ...losses.notes(`lost in ${format.title}: `)]) tell(`note: ${note}`);
  },
};
