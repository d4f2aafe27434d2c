import test from 'tape';
import { expeditions, mention, overlaps } from './corpora.ts';

const { splits } = expeditions;

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
