import { readFileSync } from 'node:fs';
import test from 'tape';
import { isObject, parseJson } from '../../src/io/json.ts';
import { parseSchema } from '../../src/tasks/prompts/schema.ts';
import { readCorpus } from '../../src/tasks/corpus-file.ts';
import { cerem } from '../../src/tasks/prompts/cerem.ts';
import type { Sentence } from '../../src/tasks/dataset.ts';
import { crops, mention, overlaps } from './corpora.ts';

const { folder, splits, entityTypes, relations } = crops;
const rows = splits.flatMap((split) => split.rows);

/** Two characters in a row. */
const bigrams = ({ tokens }: Sentence): Set<string> =>
  new Set(tokens.slice(1).map((token, i) => tokens[i] + token));

test('crops: tokens are single characters, sentences 10 to 60 of them, and make the text', (t) => {
  for (const { name, rows: ofSplit } of splits) {
    const documents = readCorpus(cerem, `${folder}/${name}.json`).documents;
    ofSplit.forEach((row, i) => {
      const text = row.tokens.join('');
      if (documents[i].text !== text) t.fail(`${name} row ${i + 1}: the text is not the tokens: ${text}`);
      const bad = row.tokens.filter((token) => [...token].length !== 1 || /\s/.test(token));
      if (bad.length) t.fail(`${name}: ${text}: not characters: ${bad.join(' ')}`);
      if (row.tokens.length < 10 || row.tokens.length > 60) t.fail(`${name}: ${text}: ${row.tokens.length}`);
    });
  }
  t.pass('all rows read');
  t.end();
});

test('crops: entities of characters outside the BMP keep their text as documents', (t) => {
  const found = splits.flatMap(({ name, rows: ofSplit }) => {
    const documents = readCorpus(cerem, `${folder}/${name}.json`).documents;
    return ofSplit.flatMap((row, i) => {
      if (documents[i].text.length === row.tokens.length) return [];
      const { text, entities } = documents[i];
      const spelt = entities.map(({ start, end }) => text.slice(start, end));
      t.deepEqual(
        spelt,
        row.entities.map((_, e) => mention(row, e).replaceAll(' ', '')),
        text,
      );
      return [name];
    });
  });
  t.ok(found.includes('train') && found.includes('test'), `in ${found.join(', ')}`);
  t.end();
});

test('crops: digits of both widths occur', (t) => {
  const all = rows.map(({ tokens }) => tokens.join('')).join('');
  t.match(all, /[0-9]/, 'half-width');
  t.match(all, /[０-９]/, 'full-width');
  t.end();
});

test('crops: a crop inside a name is the only overlap, is its beginning and is what it damages', (t) => {
  const found = rows.flatMap((row) => overlaps(row).map((pair) => ({ row, pair })));
  for (const { row, pair } of found) {
    const [outer, inner] = pair.map((index) => row.entities[index]);
    const isDamage = row.relations.some(
      (r) => r.type === '危害作物' && r.head === pair[0] && r.tail === pair[1],
    );
    t.deepEqual(
      [outer.type, inner.type, inner.start === outer.start, isDamage],
      ['病虫害', '作物', true, true],
      mention(row, pair[0]),
    );
  }
  t.ok(found.length >= 20, `${found.length} overlaps`);
  t.end();
});

test('crops: a crop before a name that stands by itself elsewhere is annotated', (t) => {
  const named = (type: string) =>
    new Set(
      rows.flatMap((row) => row.entities.flatMap((e, i) => (e.type === type ? [mention(row, i)] : []))),
    );
  const [plants, ills] = [named('作物'), named('病虫害')];
  for (const row of rows) {
    const inside = new Set(overlaps(row).map(([outer]) => outer));
    row.entities.forEach((_, i) => {
      const name = mention(row, i);
      for (const plant of plants)
        if (name.startsWith(`${plant} `) && ills.has(name.slice(plant.length + 1)) && !inside.has(i))
          t.fail(`${name} in: ${row.tokens.join('')}`);
    });
  }
  t.pass('all rows read');
  t.end();
});

test('crops: no two sentences say nearly the same', (t) => {
  const sets = rows.map(bigrams);
  let closest = 0;
  sets.forEach((a, i) => {
    for (const b of sets.slice(i + 1)) {
      const shared = [...a].filter((pair) => b.has(pair)).length;
      closest = Math.max(closest, shared / (a.size + b.size - shared));
    }
  });
  t.ok(closest < 0.4, `of their pairs of characters, the two closest share ${closest.toFixed(2)}`);
  t.end();
});

test('crops: the schema asks for all that is annotated, and nothing else', (t) => {
  const json = parseJson(readFileSync(`${folder}/schema.json`, 'utf8'), 'schema.json');
  if (!isObject(json)) throw new Error('schema.json is not an object');
  const schema = parseSchema(json, 'schema.json');
  t.deepEqual(
    schema.entities.map(({ type }) => type),
    entityTypes,
  );
  const asked = schema.entities.flatMap((question) =>
    question.relations.map(({ type, object }) => [type, { heads: [question.type], tail: object }]),
  );
  t.deepEqual(Object.fromEntries(asked), relations);
  t.end();
});
