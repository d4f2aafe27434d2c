import { readFileSync } from 'node:fs';
import test from 'tape';
import { crops, expeditions, mention, type ShippedCorpus } from './corpora.ts';

/** The sentence as one string that white space cannot change, so that text and tokens compare. */
const squeezed = (text: string): string => text.replace(/\s+/g, '');

/** Checks that hold for every shipped corpus. */
function checkCorpus({ folder, splits, unseen, entityTypes, relations: kinds }: ShippedCorpus): void {
  test(`${folder}: the README table has the counts of the files`, (t) => {
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
        ...Object.keys(kinds).map((type) => ofType(relations, type)),
      ].map(String);
    });
    t.deepEqual(table, counted);
    for (const row of counted) t.notOk(row.includes('0'), `${row[0]}: every type has support`);
    t.ok(splits[0].rows.length >= 220 && splits[1].rows.length >= 30 && splits[2].rows.length >= 50, 'sizes');
    t.end();
  });

  test(`${folder}: types are known and relations join the types they are defined for`, (t) => {
    for (const { name, rows } of splits) {
      rows.forEach((row, i) => {
        const at = `${name} row ${i + 1}: ${row.tokens.join(' ')}`;
        for (const { type } of row.entities) if (!entityTypes.includes(type)) t.fail(`${at}: ${type}`);
        for (const { type, head, tail } of row.relations) {
          const allowed = kinds[type];
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

  test(`${folder}: no sentence occurs twice, in the splits or in unseen.txt`, (t) => {
    t.ok(unseen.length >= 8 && unseen.length <= 10, 'size of unseen.txt');
    const texts = splits.flatMap(({ rows }) => rows.map((row) => row.tokens.join('')));
    const all = [...texts, ...unseen.map(squeezed)];
    t.deepEqual(
      all.filter((text, i) => all.indexOf(text) !== i),
      [],
    );
    t.end();
  });

  test(`${folder}: about a third of the test entities are new`, (t) => {
    const [train, , held] = splits.map(({ rows }) =>
      rows.flatMap((row) => row.entities.map(({ type }, i) => `${type} ${mention(row, i)}`)),
    );
    const known = new Set(train);
    const share = held.filter((name) => !known.has(name)).length / held.length;
    t.ok(share > 0.25 && share < 0.4, `${(100 * share).toFixed(1)} % new`);
    t.end();
  });
}

for (const corpus of [expeditions, crops]) checkCorpus(corpus);
