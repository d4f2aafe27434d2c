/** `spanwise extract`: text lines in, one line of JSON with entities and relations out for each, as they come. */
import { jsonErrorOffset } from '../io/json.ts';
import { Lines } from '../io/lines.ts';
import { onBadChoices } from '../tasks/bad-rows.ts';
import { WordRows } from '../tasks/corpus/words.ts';
import { joinWords, type Asked, type Extraction } from '../tasks/extraction.ts';
import { definitions } from '../tasks/registry.ts';
import { extractStream, textRows, type Streamed } from '../tasks/streaming.ts';
import { UnknownWords } from '../tasks/text/unknown.ts';
import type { Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { openInput } from './input.ts';
import { askedModel, batchOption, modelOption, precisionOption } from './model.ts';
import { withOutput } from './output.ts';
import { tell } from './printable.ts';
import { Progress } from './progress.ts';
import { useOptions } from './tables.ts';
import { givenThreshold, thresholdOption } from './threshold.ts';

const textOf = (asked: Asked): string => (typeof asked === 'string' ? asked : joinWords(asked.tokens));

/** Whether a line of text looks as if it were a part of a JSON document. */
const isJson = (line: string): boolean =>
  /^\s*[[{]\s*$/.test(line) || (/^\s*[[{]/.test(line) && jsonErrorOffset(line) === -1);

/** Lines without a result, in a note. */
function refusedNotes({ refused, complaints }: Streamed): string[] {
  if (refused === 0) return [];
  const more = refused > complaints.length ? `; and ${refused - complaints.length} more` : '';
  return [`lines without a result: ${refused} (${complaints.join('; ')}${more})`];
}

export const extractCommand: Command = {
  name: 'extract',
  summary: 'Extracts entities and relations from text: lines in, JSON lines out',
  options: {
    model: modelOption,
    in: { path: 'FILE', doc: 'text, one sentence or document a line (default, and -: standard input)' },
    tokens: {
      doc: 'the input is JSON rows with "tokens" (a list, or one a line): words as they are, ids kept',
    },
    'from-line': {
      value: 'N',
      doc: 'line to begin with (with --tokens: row), to go on after a break (default 1)',
    },
    out: { path: 'FILE', doc: 'where to write, at the end (default: standard output, as results come)' },
    ...useOptions('extract'),
    threshold: thresholdOption,
    'on-bad': {
      value: onBadChoices.join('|'),
      doc: 'lines that the model cannot take: an empty result with "error" (skip, default), or none from there on',
    },
    batch: batchOption,
    precision: precisionOption,
  },
  notes:
    'Each line gives {"text", "entities": [{"type","text","start","end","score"}],\n' +
    '"relations": [{"type","head","tail","score"}]}; offsets are UTF-16 code units of the line, end exclusive; with\n' +
    '--tokens also "tokens" and "id", and offsets count tokens; head and tail index the entities. Notes go to standard\n' +
    'error. Lines are answered in order, as many at a time as there are, up to 512: memory does not grow with\n' +
    'the input (docs/scale.md).' +
    definitions.map(({ title, extracted }) => (extracted ? `\n${title}: ${extracted}` : '')).join(''),
  async run(args) {
    const [input, output, inWords] = [args.optional('in'), args.optional('out'), args.flag('tokens')];
    if (output !== undefined) checkWritable(output, args);
    const onBad = args.oneOf('on-bad', onBadChoices, 'skip');
    const from = args.integer('from-line', 1, 1);
    const progress = new Progress();
    const threshold = givenThreshold(args);
    await withDevice(
      async () => ({ asked: await askedModel(args, 'extract'), source: openInput(input, 'text') }),
      async (runtime, { asked, source: { name, chunks } }) => {
        const { model, options } = await asked.load(runtime);
        const { definition, tokenizer } = model;
        const lines = new Lines(chunks, name);
        const what = (row: number) => `${name}: ${inWords ? 'row' : 'line'} ${row}`;
        const rows = inWords ? new WordRows(lines, name, onBad) : textRows(lines, what, onBad);
        const unknown = new UnknownWords(tokenizer, model.model.config.words);
        let [answered, json] = [0, 0];
        const streamed = await withOutput(output, (write) =>
          extractStream(
            definition,
            model,
            rows,
            what,
            (results: Extraction[]) => {
              answered += results.length;
              return write(results.map((result) => `${JSON.stringify(result)}\n`).join(''));
            },
            {
              from,
              onGroup(group) {
                for (const one of group) {
                  unknown.add(textOf(one));
                  if (typeof one === 'string' && isJson(one)) json++;
                }
              },
              options: {
                ...options,
                ...(threshold !== undefined && { threshold }),
                onBad,
                progress: (what: string, done: number, total: number) =>
                  progress.show(`extract: ${answered} lines; ${what}, ${done} of ${total} of the next`),
              },
            },
          ).finally(() => progress.clear()),
        );
        const asText =
          json === 0
            ? []
            : [
                `lines that are JSON, read as text: ${json}; --tokens reads rows with "tokens", else give the texts alone`,
              ];
        const beyond = from > 1 && streamed.rows === 0 ? [`the input ends before line ${from}`] : [];
        const notes = [...beyond, ...asText, ...unknown.notes(), ...refusedNotes(streamed)].map(
          (note) => `note: ${note}`,
        );
        const effort = (streamed.rows > 0 && definition.effortLines?.(streamed.effort)) || [];
        [...effort, ...notes].forEach(tell);
      },
    );
  },
};
