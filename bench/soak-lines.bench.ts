/** `bench soak-lines`: 100,000 lines through `spanwise extract`, once in one go and once killed and gone on with. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { packageRoot } from '../src/cli/package-root.ts';
import { stream } from '../src/nn/random.ts';
import { joinWords, type Extraction } from '../src/tasks/extraction.ts';
import { GROUP } from '../src/tasks/streaming.ts';
import { makeDocument, onDevice, ownOptions, type Bench, type BenchCheck } from './harness.ts';
import { flat, processMemory, some, type ProcessMemory } from './process-memory.ts';
import { firstSentences, planTiny } from './soak.model.ts';
import { trainInto } from './training.ts';

const LINES = 100_000;
const SEED = 1;
/** What the model is trained with: it finds something in most lines. */
const EPOCHS = 4;
const RATE = 1e-2;
/** The second run is killed so many times. */
const KILLS = 3;
/** By this share of the lines V8 has given its heap a size: what is left after a collection, 17 MB, is there much earlier. */
const SETTLED = 0.4;
const SHOWN = 21;
const SAMPLE_MS = 250;

interface Sample extends ProcessMemory {
  line: number;
}

/** Lines of text: beginnings of sentences, some empty, some of several sentences; line n is the same in every run. */
function lineMaker(sentences: readonly { tokens: readonly string[] }[]): (n: number) => string {
  return (n) => {
    const random = stream(SEED, n);
    const part = (words: number): string =>
      joinWords(sentences[random.integer(sentences.length)].tokens.slice(0, words));
    const kind = random.integer(100);
    if (kind === 0) return '';
    if (kind === 1) return `${n}: ${part(100)} – ${part(100)} ${part(100)}`;
    return `${part(1 + random.integer(8))} ${n}`;
  };
}

/**
 * Runs `spanwise extract` from a line on, its results at the end of `out`.
 * @param killAt kill it as soon as so many lines of `out` are there
 * @returns what it held from time to time
 * @throws Error with what the command said where it fails
 */
async function extract(
  model: string,
  input: string,
  out: string,
  from: number,
  killAt = Infinity,
): Promise<Sample[]> {
  const args = ['extract', '--model', model, '--in', input, '--from-line', String(from)];
  const child = spawn(process.execPath, [join(packageRoot(), 'bin', 'spanwise.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const samples: Sample[] = [];
  let [line, said] = [from - 1, ''];
  const closed = new Promise<string>((resolve) =>
    child.on('close', (code, signal) => resolve(signal ?? String(code))),
  );
  const sampler = setInterval(() => samples.push({ line, ...processMemory(child.pid) }), SAMPLE_MS);
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  child.stdout.on('data', (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 10) line++;
    if (line >= killAt) child.kill('SIGKILL');
  });
  await pipeline(child.stdout, createWriteStream(out, { flags: 'a' }));
  const ended = await closed;
  clearInterval(sampler);
  if (ended !== (killAt === Infinity ? '0' : 'SIGKILL'))
    throw new Error(`bench soak-lines: extract from line ${from} ended with ${ended}: ${said}`);
  return samples.filter(({ residentBytes, line }) => residentBytes !== null && line >= from);
}

/** Cuts a file behind its last whole line. Returns how many whole lines it has. */
async function keepWholeLines(file: string): Promise<number> {
  let [lines, bytes, whole] = [0, 0, 0];
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    for (let i = chunk.indexOf(10); i >= 0; i = chunk.indexOf(10, i + 1))
      [lines, whole] = [lines + 1, bytes + i + 1];
    bytes += chunk.length;
  }
  if (whole < bytes) truncateSync(file, whole);
  return lines;
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Counts results, those that are about another line than theirs, and what was found. */
async function readResults(
  file: string,
  makeLine: (n: number) => string,
): Promise<{ lines: number; astray: number; entities: number; relations: number }> {
  const counts = { lines: 0, astray: 0, entities: 0, relations: 0 };
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Infinity })) {
    const { text, entities, relations } = JSON.parse(line) as Extraction;
    counts.lines++;
    if (text !== makeLine(counts.lines)) counts.astray++;
    counts.entities += entities.length;
    counts.relations += relations.length;
  }
  return counts;
}

function* linesOf(count: number, makeLine: (n: number) => string): Iterable<string> {
  for (let n = 1; n <= count; n++) yield `${makeLine(n)}\n`;
}

/** Runs that are killed, each gone on with from the lines that are there. Returns the lines from which they went on. */
async function extractInParts(
  ...[model, input, out, count, log]: [string, string, string, number, (line: string) => void]
): Promise<number[]> {
  const random = stream(SEED);
  // None with the last groups, which may be the end.
  const kills = Array.from({ length: KILLS }, () => 1 + random.integer(count - 2 * GROUP));
  const froms: number[] = [];
  let from = 1;
  for (const killAt of [...kills.sort((a, b) => a - b), Infinity]) {
    if (killAt < from) continue; // what came with the one before
    log(`${count} lines in parts, from ${from}`);
    await extract(model, input, out, from, killAt);
    froms.push(from);
    from = 1 + (await keepWholeLines(out));
  }
  return froms.slice(1);
}

export const soakLinesBench: Bench = {
  doc: '100,000 lines through extract: memory stays flat, order is kept, a killed run goes on to the same bytes',
  async run({ args, log }) {
    const count = ownOptions('soak-lines', args, { count: { value: 'N', doc: '' } }).integer(
      'count',
      LINES,
      4 * GROUP,
    );
    const corpus = firstSentences('soak-lines', 100);
    const makeLine = lineMaker(corpus.sentences);
    const folder = mkdtempSync(join(tmpdir(), 'spanwise-soak-'));
    const [model, input, whole, parts] = ['model', 'lines.txt', 'whole.jsonl', 'parts.jsonl'].map((name) =>
      join(folder, name),
    );
    try {
      const info = await onDevice(async (runtime) => {
        await trainInto(runtime, planTiny(corpus, EPOCHS, RATE), model, log);
        return runtime.info;
      });
      await pipeline(Readable.from(linesOf(count, makeLine)), createWriteStream(input));
      const started = performance.now();
      log(`${count} lines in one go`);
      const samples = await extract(model, input, whole, 1);
      const seconds = (performance.now() - started) / 1000;
      const resumedAt = await extractInParts(model, input, parts, count, log);
      const results = await readResults(whole, makeLine);
      const hashes = await Promise.all([whole, parts].map(sha256));
      const settled = samples.filter(({ line }) => line > SETTLED * count);
      const checks: BenchCheck[] = [
        flat(
          `resident bytes from line ${settled[0]?.line}`,
          settled.map(({ residentBytes }) => residentBytes),
        ),
        flat(
          'threads',
          settled.map(({ threads }) => threads),
        ),
        {
          claim: 'result n is about line n, for every line',
          holds: results.lines === count && results.astray === 0,
          measured: `${results.lines} results, ${results.astray} astray`,
        },
        {
          claim: `killed and gone on with by --from-line ${resumedAt.join(', ')}, the bytes are those of one run`,
          holds: resumedAt.length > 0 && hashes[0] === hashes[1],
          measured: hashes.map((hash) => hash.slice(0, 16)).join(' and '),
        },
      ];
      return makeDocument(
        'soak-lines',
        { info },
        some(samples, SHOWN).map((sample) => ({ ...sample })),
        checks,
        {
          ...results,
          ...{
            inputBytes: statSync(input).size,
            outputBytes: statSync(whole).size,
            sha256: hashes[0],
            seconds,
          },
        },
      );
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
};
