/** Extraction from text that comes in words, and from plain text by a checkpoint's own rule; models of both families. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'tape';
import type { Json } from '../../src/io/json.ts';
import { loadModel, openRuntime } from '../../src/node.ts';
import { parseWords } from '../../src/tasks/corpus/words.ts';
import { extraction, inWords } from '../../src/tasks/extraction.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import { stsn } from '../../src/tasks/spans/stsn.ts';
import { inputError, temporaryFolder } from './runs.ts';

const runtime = await openRuntime({ defaultLimits: true, poison: true });
test.onFinish(() => runtime.close());

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

test('rows of words', (t) => {
  const text = '[{"tokens": ["a", "b"], "id": 1, "entities": 5}, {"tokens": [], "orig_id": "x"}]';
  t.deepEqual(parseWords(text, 'in.json'), [
    { tokens: ['a', 'b'], id: 1 },
    { tokens: [], id: 'x' },
  ]);
  t.deepEqual(parseWords('{"tokens": ["a"]}\n\n{"tokens": ["b"]}\n', 'in.jsonl').length, 2);
  t.deepEqual(parseWords('', 'in.json'), []);
  for (const [content, message] of [
    ['[{"tokens": ["a", 5]}]', /^InputError: in\.json: row 1: tokens\[1\] is 5, not a string$/],
    ['[{"text": "a"}]', /in\.json: row 1: tokens is missing/],
    ['[["a"]]', /in\.json: row 1: .*is \["a"\], not an object/],
    ['Anna met Bo', /in\.json: line 1: not JSON/],
  ] as const)
    t.throws(() => parseWords(content, 'in.json'), message);
  t.end();
});
