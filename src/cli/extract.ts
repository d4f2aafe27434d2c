/** `spanwise extract`: text lines in, one line of JSON with entities and relations out for each. */
import { readFileChecked, writeFileAtomic } from '../io/files.ts';
import { decodeUtf8 } from '../io/utf8.ts';
import { parseWords } from '../tasks/corpus/words.ts';
import { joinWords, type Asked } from '../tasks/extraction.ts';
import { definitions } from '../tasks/registry.ts';
import { unknownNotes } from '../tasks/text/unknown.ts';
import { onBadChoices } from '../tasks/bad-rows.ts';
import type { Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { askedModel, batchOption, modelOption } from './model.ts';
import { print } from './print.ts';
import { Progress } from './progress.ts';
import { useOptions } from './tables.ts';
import { givenThreshold, thresholdOption } from './threshold.ts';

export async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

const textOf = (asked: Asked): string => (typeof asked === 'string' ? asked : joinWords(asked.tokens));

/** The lines of a text; the line ends, \n or \r\n, belong to none, and the last may be missing. */
function linesOf(text: string): string[] {
  const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
  if (lines[lines.length - 1] === '') lines.pop();
  return lines;
}

export const extractCommand: Command = {
  name: 'extract',
  summary: 'Extracts entities and relations from text: lines in, JSON lines out',
  options: {
    model: modelOption,
    in: { value: 'FILE', doc: 'text, one sentence or document a line (default: standard input)' },
    tokens: {
      doc: 'the input is JSON rows with "tokens" (a list, or one a line): words as they are, ids kept',
    },
    out: { value: 'FILE', doc: 'where to write (default: standard output)' },
    ...useOptions('extract'),
    threshold: thresholdOption,
    'on-bad': {
      value: onBadChoices.join('|'),
      doc: 'lines that the model cannot take: an empty result with "error" (skip, default), or none at all',
    },
    batch: batchOption,
  },
  notes:
    'Each line gives {"text", "entities": [{"type","text","start","end","score"}],\n' +
    '"relations": [{"type","head","tail","score"}]}; offsets are UTF-16 code units of the line, end exclusive; with\n' +
    '--tokens also "tokens" and "id", and offsets count tokens; head and tail index the entities. What it took goes to\n' +
    'standard error.' +
    definitions.map(({ title, extracted }) => (extracted ? `\n${title}: ${extracted}` : '')).join(''),
  async run(args) {
    const [input, output, inWords] = [args.optional('in'), args.optional('out'), args.flag('tokens')];
    if (output !== undefined) checkWritable(output);
    const file = input ?? 'standard input';
    const onBad = args.oneOf('on-bad', onBadChoices, 'skip');
    const progress = new Progress();
    const threshold = givenThreshold(args);
    const { results, remarks } = await withDevice(
      async () => {
        const asked = await askedModel(args, 'extract');
        const bytes = input === undefined ? await readStandardInput() : readFileChecked(input, 'text');
        const text = decodeUtf8(bytes, file);
        return { asked, given: inWords ? parseWords(text, file) : linesOf(text) };
      },
      async (runtime, { asked, given }) => {
        const { model, options } = await asked.load(runtime);
        const notes = unknownNotes(model.tokenizer, given.map(textOf)).map((note) => `note: ${note}`);
        const { results, remarks } = await model.definition
          .extract(model, given, (i) => `${file}: ${inWords ? 'row' : 'line'} ${i + 1}`, {
            ...options,
            ...(threshold !== undefined && { threshold }),
            onBad,
            progress: (what, done, total) => progress.show(`extract: ${what}, ${done} of ${total}`),
          })
          .finally(() => progress.clear());
        return { results, remarks: [...remarks, ...notes] };
      },
    );
    const text = results.map((result) => `${JSON.stringify(result)}\n`).join('');
    if (output === undefined) await print(text);
    else writeFileAtomic(output, text);
    const refused = results.flatMap(({ error }) => error ?? []);
    if (refused.length > 0)
      remarks.push(`note: lines without a result: ${refused.length} (${refused.join('; ')})`);
    for (const remark of remarks) process.stderr.write(`${remark}\n`);
  },
};
