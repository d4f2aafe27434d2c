/** Extraction from a stream: no further ahead than a group, the same results, errors in their places. */
import test from 'tape';
import type { Extraction } from '../../src/tasks/extraction.ts';
import type { Definition, Loaded } from '../../src/tasks/definition.ts';
import { extraction, type Asked } from '../../src/tasks/extraction.ts';
import { extractStream, textRows, type Row, type Rows } from '../../src/tasks/streaming.ts';
import { Lines } from '../../src/io/lines.ts';
import { inputError } from './runs.ts';
import { InputError } from '../../kernels/errors.ts';

/** A definition that finds nothing, refuses what holds "bad" and notes how much it is asked at once. */
const finder = (groups: number[]): Definition =>
  ({
    extract: (_: unknown, asked: readonly Asked[], what: (i: number) => string) => {
      groups.push(asked.length);
      const results = asked.map((one, i) => ({
        ...extraction(one, [], []),
        ...(typeof one === 'string' && one.includes('bad') && { error: `${what(i)}: refused` }),
      }));
      return Promise.resolve({ results, effort: { prompts: asked.length, seconds: 0.5 } });
    },
  }) as unknown as Definition;

/** Numbered rows, and how many of them have been read. */
function numbered(count: number, text: (i: number) => string = (i) => `line ${i}`) {
  const rows = {
    read: 0,
    async next(most: number): Promise<Row[]> {
      const from = rows.read;
      rows.read = Math.min(count, from + most);
      return Array.from({ length: rows.read - from }, (_, i) => ({ asked: text(from + i + 1) }));
    },
    async skip(most: number): Promise<number> {
      return (await rows.next(most)).length;
    },
  };
  return rows;
}

const run = async (rows: Rows, options: object = {}) => {
  const groups: number[] = [];
  const results: Extraction[] = [];
  const write = async (some: Extraction[]) => void results.push(...some);
  const streamed = await extractStream(
    finder(groups),
    {} as Loaded,
    rows,
    (row) => `row ${row}`,
    write,
    options,
  );
  return { streamed, groups, texts: results.map(({ text }) => text), results };
};

test('a stream: a writer that stalls holds the reader up', async (t) => {
  const rows = numbered(100_000);
  let [written, most, ahead] = [0, 0, 0];
  let resume: (() => void) | undefined;
  const stalled = new Promise<void>((resolve) => (resume = resolve));
  const done = extractStream(finder([]), {} as Loaded, rows, String, async (results) => {
    ahead = Math.max(ahead, rows.read - written);
    if (written === 0) await stalled;
    most = Math.max(most, results.length);
    written += results.length;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  t.equal(rows.read, 512, 'one group is read, however long the writer takes');
  resume?.();
  t.equal((await done).rows, 100_000);
  t.deepEqual([written, most, ahead], [100_000, 512, 512], 'and never more than one');
});

test('a stream: every row in order, from any row on', async (t) => {
  const texts = Array.from({ length: 7 }, (_, i) => `line ${i + 1}`);
  const whole = await run(numbered(7), { group: 3 });
  t.deepEqual(whole.texts, texts);
  t.deepEqual(whole.groups, [3, 3, 1]);
  t.deepEqual(whole.streamed, { rows: 7, refused: 0, complaints: [], effort: { prompts: 7, seconds: 1.5 } });
  for (const from of [1, 2, 4, 7, 8, 20])
    t.deepEqual(
      (await run(numbered(7), { group: 3, from })).texts,
      texts.slice(from - 1),
      `from row ${from}`,
    );
  t.deepEqual((await run(numbered(0))).groups, []);
});

test('a stream: rows without a result', async (t) => {
  const bad = numbered(100, (i) => (i % 2 === 0 ? `bad ${i}` : `good ${i}`));
  const { streamed, results } = await run(bad, { group: 8, from: 11 });
  t.equal(streamed.refused, 45);
  t.equal(streamed.complaints.length, 20, 'the others are counted alone');
  t.deepEqual(
    streamed.complaints.slice(0, 2),
    ['row 12: refused', 'row 14: refused'],
    'numbered as in the input',
  );
  t.equal(results[1].error, 'row 12: refused');

  const unreadable: Row[] = [{ asked: { tokens: ['a'] } }, { asked: { tokens: [] }, error: 'row 2: torn' }];
  const rows: Rows = { next: async () => unreadable.splice(0), skip: async () => 0 };
  const { results: read } = await run(rows);
  t.deepEqual(read, [
    { text: 'a', tokens: ['a'], entities: [], relations: [] },
    { text: '', tokens: [], entities: [], relations: [], error: 'row 2: torn' },
  ]);

  let given = 0;
  const torn: Rows = {
    next: async () => {
      if (given++ > 0) throw new InputError('row 2: torn');
      return [{ asked: 'line 1' }];
    },
    skip: async () => 0,
  };
  const written: Extraction[] = [];
  const write = async (some: Extraction[]) => void written.push(...some);
  t.match(
    await inputError(() => extractStream(finder([]), {} as Loaded, torn, String, write)),
    /row 2: torn/,
  );
  t.equal(written.length, 1, 'what came before is written');
});

test('a line that is no text', async (t) => {
  const long = 'x'.repeat(2 ** 21 + 1);
  const chunks = async function* () {
    yield new TextEncoder().encode(`a\n${long}\n${long.slice(1)}\nb\n`);
  };
  const what = (row: number) => `f: line ${row}`;
  const error = 'f: line 2: a text of 2097153 characters; more than 2097152 are not read as one';
  const rows = await textRows(new Lines(chunks(), 'f'), what).next(9);
  const more = textRows(new Lines(chunks(), 'f'), what, 'stop');
  // Lines come in groups of a quarter of a million characters.
  const all = [...rows];
  t.deepEqual(all[0], { asked: 'a' });
  t.deepEqual(all[1], { asked: 'x'.repeat(80), error });
  t.equal(await inputError(async () => [await more.next(9), await more.next(9)]), error);
  const from = textRows(new Lines(chunks(), 'f'), what);
  await from.skip(1);
  t.equal((await from.next(1))[0].error, error, 'its number counts from the first');
});
