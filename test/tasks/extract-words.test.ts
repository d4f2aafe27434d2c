/** Extraction from text that comes in words, and from plain text by a checkpoint's own rule; models of both families. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { Json } from '../../src/io/json.ts';
import { Lines } from '../../src/io/lines.ts';
import { loadModel } from '../../src/node.ts';
import type { OnBad } from '../../src/tasks/bad-rows.ts';
import { WordRows } from '../../src/tasks/corpus/words.ts';
import { extraction, inWords, type Words } from '../../src/tasks/extraction.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import type { Row } from '../../src/tasks/streaming.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';
import { inputError, temporaryFolder } from './runs.ts';
import { sharedRuntime } from '../runtime.ts';

const runtime = sharedRuntime();

/** The model of the STSN fixture with another key `words`. */
function modelWith(words: unknown): string {
  const dir = join(temporaryFolder(), 'model');
  cpSync('test/fixtures/stsn/both', dir, { recursive: true });
  const config = JSON.parse(readFileSync(join(dir, 'config.json'), 'utf8')) as Json;
  writeFileSync(join(dir, 'config.json'), JSON.stringify({ ...config, words }));
  return dir;
}

/** The words of the fixture's batch, without the one that nobody sees. */
const rows = (
  JSON.parse(readFileSync('test/fixtures/stsn/batch.json', 'utf8')) as { tokens: string[] }[]
).map(({ tokens }) => tokens.filter((token) => token !== '\u200b'));

test('text in words: results count words, ids stay', async (t) => {
  const model = await loadModel(runtime, 'test/fixtures/stsn/both', stsn);
  const asked = rows.map((tokens, i) => ({ tokens, id: `d${i}` }));
  const [none, plain, ...found] = await model.extract([{ tokens: [] }, 'Mira met', ...asked]);
  found.forEach(({ id, tokens, text }, i) =>
    t.deepEqual([id, tokens, text], [asked[i].id, rows[i], rows[i].join(' ')]),
  );
  const entities = found.flatMap((result, i) => result.entities.map((entity) => ({ ...entity, i })));
  t.ok(entities.length > 0, 'the fixture finds something');
  t.ok(
    entities.every(({ i, text, start, end }) => end > start && text === rows[i].slice(start, end).join(' ')),
  );
  t.deepEqual(none, { text: '', tokens: [], entities: [], relations: [] }, 'no words, no entities');
  t.deepEqual(Object.keys(plain), ['text', 'entities', 'relations'], 'plain text beside it');
  t.deepEqual(await model.extract(asked[0]), found[0], 'one alone');
  model.release();
});

test("plain text by the checkpoint's rule gives what its words give", async (t) => {
  const model = await loadModel(runtime, modelWith({ rule: 'penn' }), stsn);
  const inWords = await model.extract(rows.map((tokens) => ({ tokens })));
  const inText = await model.extract(rows.map((tokens) => tokens.join(' ')));
  rows.forEach((tokens, i) => {
    const before = (word: number) => tokens.slice(0, word).join(' ').length + Number(word > 0);
    t.deepEqual(
      inText[i].entities,
      inWords[i].entities.map((entity) => ({
        ...entity,
        start: before(entity.start),
        end: before(entity.start) + entity.text.length,
      })),
    );
    t.deepEqual(inText[i].relations, inWords[i].relations);
  });
  t.deepEqual(
    (JSON.parse(String((await model.files())['config.json'])) as Json).words,
    { rule: 'penn', whole: [] },
    'kept',
  );
  model.release();
  const wrong = modelWith({ rule: 'ptb' });
  t.match(
    await inputError(() => loadModel(runtime, wrong, stsn)),
    /config\.json: words: "rule" must be one of basic, penn/,
  );
});

test('CEREM: entities by the words that they touch', async (t) => {
  const model = await loadModel(runtime, 'test/fixtures/cerem/per-scale', cerem);
  const options = { schema: { entities: [{ type: 'Place', prompt: 'place', relations: [] }], template: '' } };
  const asked = { tokens: ['lagos', "'", 'harbour'], id: 3 };
  const [found] = await model.extract([asked], options as never);
  t.deepEqual([found.id, found.tokens], [3, asked.tokens]);
  t.ok(found.entities.every(({ start, end }) => start >= 0 && end > start && end <= 3));
  t.deepEqual(
    inWords(asked, [
      { start: 0, end: 3 },
      { start: 2, end: 7 },
      { start: 8, end: 15 },
    ]),
    [
      { start: 0, end: 1 },
      { start: 0, end: 2 },
      { start: 2, end: 3 },
    ],
  );
  t.deepEqual(extraction('x', [], []), { text: 'x', entities: [], relations: [] });
  model.release();
});

async function* chunks(...parts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) yield typeof part === 'string' ? new TextEncoder().encode(part) : part;
}

const wordRows = (text: string, onBad?: OnBad): WordRows =>
  new WordRows(new Lines(chunks(text), 'in'), 'in', onBad);

async function allRows(rows: WordRows, most = 2): Promise<Row[]> {
  const all: Row[] = [];
  for (let some = await rows.next(most); some.length > 0; some = await rows.next(most)) all.push(...some);
  return all;
}

test('rows of words', async (t) => {
  const text =
    '[{"tokens": ["a", "b"], "id": 1, "entities": 5}, {"tokens": [], "orig_id": "x"}, {"tokens": ["c"]}]';
  const rows = [
    { asked: { tokens: ['a', 'b'], id: 1 } },
    { asked: { tokens: [], id: 'x' } },
    { asked: { tokens: ['c'] } },
  ];
  t.deepEqual(await allRows(wordRows(text)), rows);
  t.deepEqual(await allRows(wordRows(`\ufeff\n${text.replaceAll(', {', ',\n{')}`)), rows, 'on several lines');
  const lines = wordRows('\n{"tokens": ["a"]}\r\n\n{"tokens": ["b"], "id": 5}');
  const read = await allRows(lines);
  t.deepEqual(
    read.map(({ asked }) => (asked as Words).tokens),
    [[], ['a'], [], ['b']],
    'a row for every line',
  );
  t.deepEqual(await allRows(wordRows('')), []);

  for (const written of [text, '{"tokens": ["a", "b"], "id": 1}\n{}\n{"tokens": ["c"]}\n']) {
    const later = wordRows(written);
    t.equal(await later.skip(2), 2);
    t.deepEqual(await allRows(later), rows.slice(2), 'what is passed over is not read');
    t.equal(await wordRows(written).skip(9), 3, 'there are no more');
  }
});

test('rows that cannot be read', async (t) => {
  for (const [content, message] of [
    ['[{"tokens": ["a", 5]}]', /^in: row 1: tokens\[1\] is 5, not a string$/],
    ['[{"text": "a"}]', /^in: row 1: tokens is missing/],
    ['[["a"]]', /^in: row 1: .*is \["a"\], not an object/],
  ] as const) {
    t.match(await inputError(() => allRows(wordRows(content))), message);
    const [only] = await allRows(wordRows(content, 'skip'));
    t.match(only.error ?? '', message);
  }
  t.match(await inputError(() => allRows(wordRows('Anna met Bo', 'skip'))), /^in: line 1: not JSON/);
  t.match(await inputError(() => allRows(wordRows('[{"tokens": []},\n{]', 'skip'))), /^in: line 2: not JSON/);

  for (const first of ['{"tokens": [', ' {"tokens": ["a"]}'])
    t.deepEqual(
      (await allRows(wordRows(`${first}\n{"tokens": ["b"]}\n{"tokens": ["c"]}`, 'skip'))).map(
        ({ asked }) => (asked as Words).tokens,
      ),
      [first.startsWith(' ') ? ['a'] : [], ['b'], ['c']],
      'a first row like any other',
    );

  const lines = '{"tokens": []}\n{"tokens": ["a"\n{"tokens": ["a", 5]}\n{"tokens": ["b"]}';
  t.match(await inputError(() => allRows(wordRows(lines))), /^in: line 2: not JSON/);
  const skipped = await allRows(wordRows(lines, 'skip'));
  t.deepEqual(
    skipped.map(({ asked }) => (asked as Words).tokens),
    [[], [], [], ['b']],
  );
  t.match(skipped[1].error ?? '', /^in: line 2: not JSON/);
  t.match(skipped[2].error ?? '', /^in: row 3: tokens\[1\] is 5, not a string$/);
});
