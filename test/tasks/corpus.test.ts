import { readFileSync } from 'node:fs';
import test from 'tape';
import type { Sentence } from '../../src/tasks/dataset.ts';
import { readSpertFile } from '../../src/tasks/dataset-file.ts';

const folder = 'corpora/expeditions';
const splitNames = ['train', 'dev', 'test'] as const;
const splits = splitNames.map((name) => ({ name, rows: readSpertFile(`${folder}/${name}.json`) }));
const entityTypes = ['Person', 'Organization', 'Place', 'Instrument'];
const relationArguments: Record<string, { heads: string[]; tail: string }> = {
  Works_For: { heads: ['Person'], tail: 'Organization' },
  Based_In: { heads: ['Organization'], tail: 'Place' },
  Located_In: { heads: ['Place'], tail: 'Place' },
  Uses: { heads: ['Person', 'Organization'], tail: 'Instrument' },
};

/** The sentence as one string that white space cannot change, so that text and tokens compare. */
const squeezed = (text: string): string => text.replace(/\s+/g, '');

/** The words of an entity. */
const mention = (row: Sentence, index: number): string =>
  row.tokens.slice(row.entities[index].start, row.entities[index].end).join(' ');

/** Entity pairs of a row that share a token, the wider one first. */
function overlaps(row: Sentence): [number, number][] {
  const pairs: [number, number][] = [];
  row.entities.forEach((a, i) => {
    row.entities.forEach((b, j) => {
      const isWider = a.end - a.start > b.end - b.start || (a.end - a.start === b.end - b.start && i < j);
      if (i !== j && isWider && a.start < b.end && b.start < a.end) pairs.push([i, j]);
    });
  });
  return pairs;
}

test('the README table has the counts of the files', (t) => {
  const table = readFileSync(`${folder}/README.md`, 'utf8')
    .split('\n')
    .filter((line) => /^\| (train|dev|test) /.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
  const counted = splits.map(({ name, rows }) => {
    const ofType = (list: { type: string }[], type: string) => list.filter((x) => x.type === type).length;
    const entities = rows.flatMap((row) => row.entities);
    const relations = rows.flatMap((row) => row.relations);
    return [
      name,
      rows.length,
      rows.reduce((sum, row) => sum + row.tokens.length, 0),
      ...entityTypes.map((type) => ofType(entities, type)),
      ...Object.keys(relationArguments).map((type) => ofType(relations, type)),
    ].map(String);
  });
  t.deepEqual(table, counted);
  for (const row of counted) t.notOk(row.includes('0'), `${row[0]}: every type has support`);
  t.ok(splits[0].rows.length >= 220 && splits[1].rows.length >= 30 && splits[2].rows.length >= 50, 'sizes');
  t.end();
});

test('types are known and relations join the types they are defined for', (t) => {
  for (const { name, rows } of splits) {
    rows.forEach((row, i) => {
      const at = `${name} row ${i + 1}: ${row.tokens.join(' ')}`;
      for (const { type } of row.entities) if (!entityTypes.includes(type)) t.fail(`${at}: ${type}`);
      for (const { type, head, tail } of row.relations) {
        const allowed = relationArguments[type];
        const isRight =
          allowed?.heads.includes(row.entities[head].type) && allowed.tail === row.entities[tail].type;
        if (!isRight) t.fail(`${at}: ${mention(row, head)} ${type} ${mention(row, tail)}`);
      }
      const listed = row.relations.map(({ type, head, tail }) => `${type} ${head} ${tail}`);
      if (new Set(listed).size !== listed.length) t.fail(`${at}: a relation is listed twice`);
    });
  }
  t.pass('all rows read');
  t.end();
});

test('tokens are single words or punctuation marks, and sentences 6 to 25 words', (t) => {
  for (const { name, rows } of splits) {
    for (const { tokens } of rows) {
      const text = `${name}: ${tokens.join(' ')}`;
      const bad = tokens.filter((token) => !/^([A-Za-z0-9]+|[^A-Za-z0-9\s])$/.test(token));
      if (bad.length) t.fail(`${text}: not split: ${bad.join(' ')}`);
      const words = tokens.filter((token) => /\w/.test(token)).length;
      if (words < 6 || words > 25) t.fail(`${text}: ${words} words`);
    }
  }
  t.pass('all rows read');
  t.end();
});

test('spans cover whole names', (t) => {
  const lowerCased = new Set(splits.flatMap(({ rows }) => rows.flatMap((row) => row.tokens)));
  for (const { name, rows } of splits) {
    for (const row of rows) {
      row.entities.forEach((entity, i) => {
        const words = mention(row, i);
        const complaint = `${name}: "${words}" (${entity.type}) in: ${row.tokens.join(' ')}`;
        const shape = entity.type === 'Instrument' ? /^[a-z]+( [a-z]+)*$/ : /^[A-Z].*[a-z]$/;
        if (!shape.test(words) || entity.end - entity.start > 5) t.fail(complaint);
        // A capitalised word just before belongs to the name, unless it opens the sentence and is a common word.
        const before = row.tokens[entity.start - 1] ?? '';
        const isCommon = entity.start === 1 && lowerCased.has(before.toLowerCase());
        if (/^[A-Z]/.test(before) && !isCommon && !overlaps(row).length)
          t.fail(`${complaint}: "${before}" left out`);
      });
    }
  }
  t.pass('all rows read');
  t.end();
});

test('the only overlaps are places at the end of an organization, at most ten', (t) => {
  const found = splits.flatMap(({ rows }) =>
    rows.flatMap((row) => overlaps(row).map((pair) => ({ row, pair }))),
  );
  for (const { row, pair } of found) {
    const [outer, inner] = pair.map((index) => row.entities[index]);
    t.deepEqual(
      [outer.type, inner.type, inner.end],
      ['Organization', 'Place', outer.end],
      mention(row, pair[0]),
    );
    const isBased = row.relations.some(
      (r) => r.type === 'Based_In' && r.head === pair[0] && r.tail === pair[1],
    );
    t.ok(isBased, 'and based in it');
  }
  t.ok(found.length > 0 && found.length <= 10, `${found.length} overlaps`);
  t.end();
});

test('no sentence occurs twice, in the splits or in unseen.txt', (t) => {
  const unseen = readFileSync(`${folder}/unseen.txt`, 'utf8').trim().split('\n');
  t.ok(unseen.length >= 8 && unseen.length <= 10, 'size of unseen.txt');
  const texts = splits.flatMap(({ rows }) => rows.map((row) => row.tokens.join('')));
  const all = [...texts, ...unseen.map(squeezed)];
  t.deepEqual(
    all.filter((text, i) => all.indexOf(text) !== i),
    [],
  );
  t.end();
});

test('about a third of the test entities are new', (t) => {
  const [train, , held] = splits.map(({ rows }) =>
    rows.flatMap((row) => row.entities.map(({ type }, i) => `${type} ${mention(row, i)}`)),
  );
  const known = new Set(train);
  const share = held.filter((name) => !known.has(name)).length / held.length;
  t.ok(share > 0.25 && share < 0.4, `${(100 * share).toFixed(1)} % new`);
  t.end();
});
