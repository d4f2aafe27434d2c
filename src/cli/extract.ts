/** `spanwise extract`: text lines in, one line of JSON with entities and relations out for each. */
import { readFileChecked, writeFileAtomic } from '../io/files.ts';
import { decodeUtf8 } from '../io/utf8.ts';
import type { Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { askedModel, batchOption, modelOption } from './model.ts';
import { print } from './print.ts';
import { Progress } from './progress.ts';
import { useOptions } from './tables.ts';
import { givenThreshold, thresholdOption } from './threshold.ts';

async function readStandardInput(): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

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
    out: { value: 'FILE', doc: 'where to write (default: standard output)' },
    ...useOptions('extract'),
    threshold: thresholdOption,
    batch: batchOption,
  },
  notes:
    'Each line gives {"text", "entities": [{"type","text","start","end","score"}],\n' +
    '"relations": [{"type","head","tail","score"}]}; offsets are UTF-16 code units of the line, end exclusive;\n' +
    'head and tail index the entities. CEREM: an entity with "objectOnly": true is there because a relation points\n' +
    'to it; no entity prompt found it. Events: triggers are entities, arguments relations from them. What it took\n' +
    'goes to standard error.',
  async run(args) {
    const [input, output] = [args.optional('in'), args.optional('out')];
    if (output !== undefined) checkWritable(output);
    const file = input ?? 'standard input';
    const progress = new Progress();
    const threshold = givenThreshold(args);
    const { results, remarks } = await withDevice(
      async () => {
        const asked = await askedModel(args, 'extract');
        const bytes = input === undefined ? await readStandardInput() : readFileChecked(input, 'text');
        return { asked, lines: linesOf(decodeUtf8(bytes, file)) };
      },
      async (runtime, { asked, lines }) => {
        const { model, options } = await asked.load(runtime);
        return model.definition
          .extract(model, lines, (i) => `${file}: line ${i + 1}`, {
            ...options,
            ...(threshold !== undefined && { threshold }),
            progress: (what, done, total) => progress.show(`extract: ${what}, ${done} of ${total}`),
          })
          .finally(() => progress.clear());
      },
    );
    const text = results.map((result) => `${JSON.stringify(result)}\n`).join('');
    if (output === undefined) await print(text);
    else writeFileAtomic(output, text);
    for (const remark of remarks) process.stderr.write(`${remark}\n`);
  },
};
