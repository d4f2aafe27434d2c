/** `spanwise extract`: text lines in, one line of JSON with entities and relations out for each. */
import { readFileChecked, writeFileAtomic } from '../io/files.ts';
import { decodeUtf8 } from '../io/utf8.ts';
import { loadStsn } from '../tasks/stsn/checkpoint.ts';
import { extract } from '../tasks/stsn/extract.ts';
import type { Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import { modelOption, readModelConfig } from './model.ts';
import { print } from './print.ts';
import { Progress } from './progress.ts';

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
    in: { value: 'FILE', doc: 'text, one sentence a line (default: standard input)' },
    out: { value: 'FILE', doc: 'where to write (default: standard output)' },
    policy: { value: 'all|flat', doc: 'all entities (default), or without overlaps, the best first' },
  },
  notes:
    'Each line gives {"text", "entities": [{"type","text","start","end","score"}],\n' +
    '"relations": [{"type","head","tail","score"}]}; offsets are UTF-16 code units of the line, end exclusive;\n' +
    'head and tail index the entities.',
  async run(args) {
    const [dir, input, output] = [args.text('model'), args.optional('in'), args.optional('out')];
    const policy = args.oneOf('policy', ['all', 'flat'], 'all');
    if (output !== undefined) checkWritable(output);
    const file = input ?? 'standard input';
    const progress = new Progress();
    const results = await withDevice(
      [input],
      async () => {
        readModelConfig(dir);
        const bytes = input === undefined ? await readStandardInput() : readFileChecked(input, 'text');
        return linesOf(decodeUtf8(bytes, file));
      },
      async (runtime, lines) => {
        const { model, tokenizer } = loadStsn(runtime, dir);
        return extract(model, tokenizer, lines, file, {
          policy,
          progress: (done, total) => progress.show(`extract: ${done} of ${total} lines`),
        }).finally(() => progress.clear());
      },
    );
    const text = results.map((result) => `${JSON.stringify(result)}\n`).join('');
    if (output === undefined) await print(text);
    else writeFileAtomic(output, text);
  },
};
