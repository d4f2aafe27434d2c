/** `spanwise extract`: text lines in, one line of JSON with entities and relations out for each. */
import { readFileChecked, writeFileAtomic } from '../io/files.ts';
import { decodeUtf8 } from '../io/utf8.ts';
import type { Runtime } from '../gpu/runtime.ts';
import { loadCerem } from '../tasks/cerem/checkpoint.ts';
import { effortNotes, extractDocuments } from '../tasks/cerem/extract.ts';
import { extraction, type Extraction } from '../tasks/extraction.ts';
import { loadStsn } from '../tasks/stsn/checkpoint.ts';
import { extract } from '../tasks/stsn/extract.ts';
import type { Arguments, Command } from './command.ts';
import { checkWritable, withDevice } from './device.ts';
import {
  batchOption,
  chosenSchema,
  maxSubjectsOption,
  modelOption,
  overlapOption,
  predictOptions,
  readModelKind,
  readStsnConfig,
  refuseOptions,
  schemaOption,
} from './model.ts';
import { print } from './print.ts';
import { Progress } from './progress.ts';
import { effortText } from './report.ts';

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

/** What a model extracts from every line, and lines about it for standard error. */
interface Extracted {
  results: Extraction[];
  remarks: string[];
}

/** Extraction by one kind of model, once its options and config are checked. `file` names the lines in errors. */
type Extractor = (runtime: Runtime, lines: readonly string[], file: string) => Promise<Extracted>;

function stsnExtractor(args: Arguments, dir: string, progress: Progress): Extractor {
  refuseOptions(args, ['schema', 'overlap', 'max-subjects'], 'CEREM');
  const policy = args.oneOf('policy', ['all', 'flat'], 'all');
  const { batchSize } = predictOptions(args);
  readStsnConfig(dir);
  return async (runtime, lines, file) => {
    const { model, tokenizer } = loadStsn(runtime, dir);
    const results = await extract(model, tokenizer, lines, file, {
      policy,
      batchSize,
      progress: (done, total) => progress.show(`extract: ${done} of ${total} lines`),
    });
    return { results, remarks: [] };
  };
}

function ceremExtractor(args: Arguments, dir: string, progress: Progress): Extractor {
  refuseOptions(args, ['policy'], 'STSN');
  const options = predictOptions(args);
  const schema = chosenSchema(args, dir);
  return async (runtime, lines, file) => {
    const { model, tokenizer } = loadCerem(runtime, dir);
    const { documents, report } = await extractDocuments(
      model,
      tokenizer,
      lines.map((text) => ({ text })),
      schema,
      (i) => `${file}: line ${i + 1}`,
      {
        ...options,
        progress: (stage, done, total) => progress.show(`extract: ${stage}, ${done} of ${total} inputs`),
      },
    );
    return {
      results: documents.map(({ text, entities, relations }) => extraction(text, entities, relations)),
      remarks: [effortText(report), ...effortNotes(report).map((note) => `note: ${note}`)],
    };
  };
}

const extractors = { stsn: stsnExtractor, cerem: ceremExtractor };

export const extractCommand: Command = {
  name: 'extract',
  summary: 'Extracts entities and relations from text: lines in, JSON lines out',
  options: {
    model: modelOption,
    in: { value: 'FILE', doc: 'text, one sentence or document a line (default: standard input)' },
    out: { value: 'FILE', doc: 'where to write (default: standard output)' },
    policy: { value: 'all|flat', doc: 'STSN: all entities (default), or without overlaps, the best first' },
    schema: schemaOption,
    overlap: overlapOption,
    'max-subjects': maxSubjectsOption,
    batch: batchOption,
  },
  notes:
    'Each line gives {"text", "entities": [{"type","text","start","end","score"}],\n' +
    '"relations": [{"type","head","tail","score"}]}; offsets are UTF-16 code units of the line, end exclusive;\n' +
    'head and tail index the entities. CEREM: an entity with "objectOnly": true is there because a relation points\n' +
    'to it; no entity prompt found it. Events: triggers are entities, arguments relations from them. What it took\n' +
    'goes to standard error.',
  async run(args) {
    const [dir, input, output] = [args.text('model'), args.optional('in'), args.optional('out')];
    const schema = args.optional('schema');
    if (output !== undefined) checkWritable(output);
    const file = input ?? 'standard input';
    const progress = new Progress();
    const { results, remarks } = await withDevice(
      [input, ...(schema === undefined ? [] : [schema])],
      async () => {
        const extractor = extractors[readModelKind(dir)](args, dir, progress);
        const bytes = input === undefined ? await readStandardInput() : readFileChecked(input, 'text');
        return { extractor, lines: linesOf(decodeUtf8(bytes, file)) };
      },
      (runtime, { extractor, lines }) => extractor(runtime, lines, file).finally(() => progress.clear()),
    );
    const text = results.map((result) => `${JSON.stringify(result)}\n`).join('');
    if (output === undefined) await print(text);
    else writeFileAtomic(output, text);
    for (const remark of remarks) process.stderr.write(`${remark}\n`);
  },
};
