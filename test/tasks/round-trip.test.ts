/** A thousand documents through every format and back: what it holds comes back as it was, and the rest is counted. */
import test from 'tape';
import type { Entity } from '../../src/tasks/dataset.ts';
import { formats } from '../../src/tasks/corpus/formats/index.ts';
import type { Format } from '../../src/tasks/corpus/formats/format.ts';
import { readRows } from '../../src/tasks/corpus/read.ts';
import { reduceRows } from '../../src/tasks/corpus/reduce.ts';
import { Counts, type Files, type Row } from '../../src/tasks/corpus/row.ts';
import { schemes } from '../../src/tasks/corpus/tags.ts';
import { splitWords } from '../../src/tasks/text/words.ts';
import { madeRows } from './documents-made.ts';

const COUNT = 1000;
const rows = madeRows(11, COUNT);

interface Facts {
  entities: string[];
  relations: string[];
}
type Annotated = Pick<Row, 'entities' | 'relations'>;

/** Entities and relations in an order of their own. */
function facts({ entities, relations }: Annotated): Facts {
  const said = (i: number): string => `${entities[i].type} ${entities[i].start}-${entities[i].end}`;
  return {
    entities: entities.map((_, i) => said(i)).sort(),
    relations: relations.map(({ type, head, tail }) => `${said(head)} ${type} ${said(tail)}`).sort(),
  };
}

/** What is left of a row where only some of its entities are, `moved` to where they are then. */
function only(row: Annotated, moved: (entity: Entity) => Entity | undefined): Annotated {
  const kept = row.entities.map((entity) => moved(entity));
  const index = kept.map((entity, i) => (entity ? kept.slice(0, i).filter((e) => e).length : -1));
  return {
    entities: kept.filter((entity) => entity !== undefined),
    relations: row.relations
      .filter(({ head, tail }) => kept[head] && kept[tail])
      .map(({ type, head, tail }) => ({ type, head: index[head], tail: index[tail] })),
  };
}

/** The row by characters: tokens, where there is no text, with a blank between them. */
function byCharacter(row: Row): Annotated & { text: string } {
  const { tokens } = row;
  if (!tokens) return { ...row, text: row.text! };
  const text = row.text ?? tokens.join(' ');
  const starts: number[] = [];
  let at = 0;
  for (const token of tokens) {
    starts.push(text.indexOf(token, at));
    at = starts[starts.length - 1] + token.length;
  }
  const found = only(row, ({ type, start, end }) => ({
    type,
    start: starts[start],
    end: starts[end - 1] + tokens[end - 1].length,
  }));
  return { ...found, text };
}

/** The row by tokens: without some, the words of its text, of which entities may cut the first and the last. */
function byToken(row: Row): Annotated & { tokens: string[] } {
  if (row.tokens) return { ...row, tokens: row.tokens };
  const words = splitWords(row.text!);
  const found = only(row, ({ type, start, end }) => {
    const [first, last] = [words.findIndex((w) => w.start === start), words.findIndex((w) => w.end === end)];
    return first < 0 || last < 0 ? undefined : { type, start: first, end: last + 1 };
  });
  return { ...found, tokens: words.map(({ start, end }) => row.text!.slice(start, end)) };
}

/** Without what overlaps something that starts before it, or with it and is longer. */
function flattened(row: Annotated): Annotated {
  const kept: Entity[] = [];
  for (const e of [...row.entities].sort((a, b) => a.start - b.start || b.end - a.end))
    if (!kept.some((k) => k.start < e.end && e.start < k.end)) kept.push(e);
  return only(row, (entity) => (kept.includes(entity) ? entity : undefined));
}

/** What a format is known to hold, said once more and by other means than the formats themselves. */
const known: Record<
  string,
  { unit: 'token' | 'character'; text?: true; lacks?: readonly ('overlaps' | 'relations' | 'ids')[] }
> = {
  spert: { unit: 'token', text: true },
  text: { unit: 'character' },
  dygie: { unit: 'token' },
  conll: { unit: 'token', text: true, lacks: ['overlaps', 'relations'] },
  brat: { unit: 'character' },
  doccano: { unit: 'character' },
  'label-studio': { unit: 'character' },
  spacy: { unit: 'character', lacks: ['relations', 'ids'] },
  gliner: { unit: 'token' },
  w2ner: { unit: 'token', lacks: ['relations'] },
  uie: { unit: 'token', text: true },
  hf: { unit: 'token', lacks: ['overlaps', 'relations'] },
};

function through(
  given: readonly Row[],
  format: Format,
  options = {},
): { back: Row[]; losses: Counts; notes: string[] } {
  const losses = new Counts();
  const written: string | Files = format.write(reduceRows(given, format, 'given', losses), losses, options);
  const { items, notes } = readRows(written, format.name, {}, 'document', (row) => row);
  return { back: items, losses, notes };
}

/** Lists of large values, one by one as JSON: tape's own comparison of a thousand takes seconds. */
function same(
  t: test.Test,
  actual: readonly unknown[],
  expected: readonly unknown[],
  name = 'the same',
): void {
  const other = expected.findIndex((value, i) => JSON.stringify(value) !== JSON.stringify(actual[i]));
  if (other >= 0 || actual.length !== expected.length)
    t.deepEqual(actual[other], expected[other], `${name}: ${other}`);
  t.ok(other < 0 && actual.length === expected.length, name);
}

const total = (list: readonly Annotated[], of: 'entities' | 'relations'): number =>
  list.reduce((sum, row) => sum + row[of].length, 0);

test('the documents have what is hard', (t) => {
  const all = rows.map(byCharacter);
  const pairs = all.flatMap(({ entities }) =>
    entities.flatMap((a) => entities.filter((b) => b !== a).map((b) => [a, b])),
  );
  t.equal(rows.length, COUNT);
  t.ok(
    all.some(({ text, entities }) =>
      entities.some((e) => /[\ud800-\udfff]/.test(text.slice(e.start, e.end))),
    ),
  );
  t.ok(
    pairs.some(([a, b]) => a.start < b.start && b.end < a.end),
    'nested',
  );
  t.ok(
    pairs.some(([a, b]) => a.end === b.start),
    'touching',
  );
  t.ok(
    pairs.some(([a, b]) => a.start < b.start && b.start < a.end && a.end < b.end),
    'crossing',
  );
  t.ok(
    pairs.some(([a, b]) => a.start === b.start && a.end === b.end),
    'two types on one span',
  );
  t.ok(total(rows, 'relations') > COUNT / 2);
  t.end();
});

for (const [name, { unit, text, lacks = [] }] of Object.entries(known))
  test(`${name}: written and read`, (t) => {
    const format = formats.find((one) => one.name === name)!;
    const ofText = format.kind !== 'json';
    const { back, losses, notes } = through(rows, format);
    const expected = rows.map((row) => {
      const inUnit = unit === 'token' ? byToken(row) : byCharacter(row);
      const flat = lacks.includes('overlaps') ? flattened(inUnit) : inUnit;
      return lacks.includes('relations') ? { ...inUnit, ...flat, relations: [] } : { ...inUnit, ...flat };
    });
    t.equal(back.length, rows.length, 'as many documents');
    if (name === 'dygie') expected.forEach((row) => asDygie(row));
    same(t, back.map(facts), expected.map(facts), 'entities and relations');
    const content = (row: Annotated): unknown =>
      (row as unknown as Record<string, unknown>)[unit === 'token' ? 'tokens' : 'text'];
    same(t, back.map(content), expected.map(content), unit === 'token' ? 'tokens' : 'texts');
    same(
      t,
      back.map(({ id }) => id),
      rows.map(({ id }) => (lacks.includes('ids') ? undefined : ofText ? String(id) : id)),
      'ids, numbers as numbers',
    );
    if (text)
      same(
        t,
        back.map((row) => row.text ?? row.tokens!.join(' ')),
        rows.map((row) => row.text ?? row.tokens!.join(' ')),
        'texts beside the tokens',
      );
    const lost = losses.notes().map((note) => note.split(/: (?=\d+$)/)) as [string, string][];
    const counted = (of: RegExp): number =>
      lost.filter(([what]) => of.test(what)).reduce((sum, [, n]) => sum + Number(n), 0);
    t.equal(
      counted(/^entities/),
      total(rows, 'entities') - total(back, 'entities'),
      'entities that are lost',
    );
    t.equal(
      counted(/^relations(?!.*become)/),
      total(rows, 'relations') - total(back, 'relations'),
      'relations',
    );
    t.equal(
      counted(/^ids/),
      lacks.includes('ids') ? COUNT : ofText ? rows.filter(({ id }) => typeof id === 'number').length : 0,
      'ids',
    );
    t.equal(
      counted(/^divisions/),
      unit === 'character' ? rows.filter(({ tokens }) => tokens).length : 0,
      'tokens',
    );
    t.deepEqual(
      notes.filter((note) => !note.startsWith('read as')),
      [],
      'nothing to complain of',
    );
    t.end();
  });

/** DyGIE++ names the ends of relations by their spans: one of two types there is as good as the other. */
function asDygie(row: Annotated): void {
  const first = (i: number): number =>
    row.entities.findIndex((e) => e.start === row.entities[i].start && e.end === row.entities[i].end);
  row.relations = row.relations
    .map(({ type, head, tail }) => ({ type, head: first(head), tail: first(tail) }))
    .filter(({ head, tail }) => head !== tail);
}

for (const tags of schemes)
  test(`conll and hf in ${tags}`, (t) => {
    for (const name of ['conll', 'hf']) {
      const format = formats.find((one) => one.name === name)!;
      const { back, notes } = through(rows, format, { tags });
      const expected = rows.map((row) => ({ ...flattened(byToken(row)), relations: [] }));
      same(t, back.map(facts), expected.map(facts), name);
      if (name === 'conll')
        t.deepEqual(notes, [`read as CoNLL columns: 2 columns, ${tags.toUpperCase()} tags`]);
      else t.deepEqual(notes, ['read as Hugging Face token classification JSON']);
    }
    t.end();
  });

test('tacred: a row a pair of entities', (t) => {
  const format = formats.find((one) => one.name === 'tacred')!;
  const { back, losses } = through(rows, format);
  const expected = rows.map(byToken).filter(({ entities }) => entities.length > 1);
  same(t, back.map(facts), expected.map(facts));
  same(
    t,
    back.map(({ tokens }) => tokens),
    expected.map(({ tokens }) => tokens),
  );
  t.equal(losses.of('sentences without a pair of entities'), COUNT - back.length);
  t.equal(
    losses.of('entities without another in their sentence'),
    rows.map(byToken).filter(({ entities }) => entities.length === 1).length,
  );
  t.end();
});

test('tacred: what it cannot say is counted', (t) => {
  const format = formats.find((one) => one.name === 'tacred')!;
  const [ilse, ship] = ['P', 'S'].map((type, start) => ({ type, start, end: start + 1 }));
  const relation = (type: string, head: number, tail: number) => ({ type, head, tail });
  const row: Row = {
    place: 'row 1',
    tokens: ['Ilse', 'Tern'],
    entities: [ilse, ship, { ...ilse }],
    relations: [
      ...[relation('sails', 0, 1), relation('sails', 2, 1)],
      ...[relation('no_relation', 0, 1), relation('same', 0, 2)],
    ],
  };
  const { back, losses } = through([row], format);
  t.deepEqual([back[0].entities, back[0].relations], [[ilse, ship], [relation('sails', 0, 1)]]);
  t.deepEqual(losses.notes(), [
    'entities that are there twice: 1',
    'relations of the type no_relation, which says that there is none: 1',
    'relations between the two of an entity that is there twice: 1',
    'relations that are there twice: 1',
  ]);
  const twice = { ...row, entities: [ilse, { ...ilse }], relations: [] };
  t.deepEqual(through([row, twice], format).back.length, 1, 'one entity alone');
  t.end();
});

test('duie: what its triples say', (t) => {
  const format = formats.find((one) => one.name === 'duie')!;
  const { back, losses } = through(rows, format);
  const spoken = ({ text, entities, relations }: Annotated & { text?: string }): string[] =>
    [
      ...new Set(
        relations.map(({ type, head, tail }) => {
          const said = ({ type: of, start, end }: Entity): string => `${of} ${text!.slice(start, end)}`;
          return `${said(entities[head])} ${type} ${said(entities[tail])}`;
        }),
      ),
    ].sort();
  // A triple of one name and one type at both ends has no two places.
  const two = (triple: string): boolean => !/^(.+) (?:leads|in|危害) \1$/su.test(triple);
  same(
    t,
    back.map(spoken),
    rows.map((row) => spoken(byCharacter(row)).filter(two)),
  );
  const related = (row: Annotated): number =>
    new Set(row.relations.flatMap(({ head, tail }) => [head, tail])).size;
  t.equal(
    losses.of('entities without a relation'),
    rows.reduce((sum, row) => sum + row.entities.length - related(row), 0),
  );
  t.end();
});

test('uie-prompts: what does not come back is counted', (t) => {
  const format = formats.find((one) => one.name === 'uie-prompts')!;
  // Two texts of one wording after one another would become one document.
  const apart = rows.filter((row, i) => i === 0 || byCharacter(row).text !== byCharacter(rows[i - 1]).text);
  const { back, losses } = through(apart, format);
  const withSome = apart.map(byCharacter).filter(({ entities }) => entities.length > 0);
  same(
    t,
    back.map(({ text }) => text),
    withSome.map(({ text }) => text),
  );
  t.equal(losses.of('texts without entities'), apart.length - withSome.length);
  let [all, lost] = [0, 0];
  back.forEach((row, i) => {
    const [own, found] = [withSome[i], row].map((of) => Object.values(facts(of)).flat() as string[]);
    all += own.length;
    lost += own.filter((fact) => !found.includes(fact)).length;
  });
  t.equal(losses.of('entities and relations whose prompts mean something else too'), lost);
  t.ok(lost < all / 20, `${lost} of ${all}`);
  t.end();
});

/** What is lost of a kind. */
const countedIn = (losses: Counts, of: RegExp): number =>
  losses.notes().reduce((sum, note) => sum + (of.test(note) ? Number(note.split(/: (?=\d+$)/)[1]) : 0), 0);

test('from each format into each other: what is not there is counted', (t) => {
  const chosen = formats.filter(({ name }) => name in known);
  const given = rows.slice(0, 120);
  const ids = (list: readonly Row[]): number => list.filter(({ id }) => id !== undefined).length;
  const numbers = (list: readonly Row[]): number => list.filter(({ id }) => typeof id === 'number').length;
  for (const one of chosen) {
    const middle = through(given, one).back;
    for (const other of chosen) {
      const { back, losses } = through(middle, other);
      const lost = (of: RegExp): number => countedIn(losses, of);
      t.deepEqual(
        {
          rows: back.length,
          entities: total(back, 'entities') + lost(/^entities/),
          relations: total(back, 'relations') + lost(/^relations(?!.*become)/),
          // Formats that need ids make some up.
          ids: one.name === 'spacy' ? 0 : ids(back) + lost(/^ids(?!.*become)/),
          numbers:
            one.name === 'spacy' || other.name === 'spacy'
              ? numbers(middle)
              : numbers(back) + lost(/^ids that are numbers/),
        },
        {
          rows: middle.length,
          entities: total(middle, 'entities'),
          relations: total(middle, 'relations'),
          ids: ids(middle),
          numbers: numbers(middle),
        },
        `${one.name}, ${other.name}`,
      );
    }
  }
  t.end();
});

test('tokens and types that columns cannot hold are counted', (t) => {
  const conll = formats.find(({ name }) => name === 'conll')!;
  const written = (tokens: string[], type = 'P') => {
    const entities = [{ type, start: 0, end: tokens.length }];
    const { back, losses } = through([{ place: 'row 1', tokens, entities, relations: [] }], conll);
    return [back.map((row) => [row.tokens, row.entities.map((e) => e.type)]), losses.notes()];
  };
  t.deepEqual(written(['a', '-DOCSTART-', '-DOCSTART-s']), [
    [[['a', '-DOCSTART-', '-DOCSTART-s'], ['P']]],
    [],
  ]);
  t.deepEqual(written(['-DOCSTART-', 'a'])[1], [
    'sentences that begin with -DOCSTART-, which is passed over: 1',
  ]);
  t.deepEqual(written(['a', '\ud800'])[1], ['tokens with half a character, which no UTF-8 holds: 1']);
  t.deepEqual(written(['\ufeffa'])[1], ['byte order marks at the start: 1']);
  for (const [type, left] of [
    ['P\nQ', 'P Q'],
    ['P\tQ ', 'P Q'],
    [' ', '_'],
    ['\rP', 'P'],
  ])
    t.deepEqual(written(['a', 'b'], type), [
      [[['a', 'b'], [left]]],
      ['entities of types with a tab, a line break or blanks at their ends, which are left out: 1'],
    ]);
  const { items } = readRows('Ann B-P\rmet O\r\rBo B-P\r', 'a.conll', {}, 'document', (row) => row);
  t.deepEqual(
    items.map(({ tokens }) => tokens),
    [['Ann', 'met'], ['Bo']],
    'lines that end in a carriage return alone',
  );
  t.end();
});

test('ids and places that a format cannot hold are counted', (t) => {
  const given = ['b', 'a', ' c', 'd\ne', 7].map((id, i): Row => ({
    place: `row ${i + 1}`,
    id,
    tokens: ['Rain'],
    entities: [],
    relations: [],
  }));
  const outcome = (name: string, some: readonly Row[]): unknown[] => {
    const { back, losses } = through(
      some,
      formats.find((one) => one.name === name)!,
    );
    return [back.map(({ id }) => id), losses.notes().filter((note) => !note.startsWith('divisions'))];
  };
  t.deepEqual(outcome('conll', given), [
    ['b', 'a', undefined, undefined, '7'],
    ['ids with a line break or blanks at their ends: 2', 'ids that are numbers, which become text: 1'],
  ]);
  t.deepEqual(outcome('brat', [given[0], given[1], given[4]]), [
    ['7', 'a', 'b'],
    [
      'ids that are numbers, which become text: 1',
      'places of texts, which a folder has in the order of their names: 2',
    ],
  ]);
  t.deepEqual(outcome('brat', given)[1], ['ids that cannot name a file: 5']);
  for (const name of ['dygie', 'tacred']) {
    const two = given.map((row) => ({
      ...row,
      tokens: ['Rain', 'Rio'],
      entities: [0, 1].map((start) => ({ type: 'P', start, end: start + 1 })),
    }));
    t.deepEqual(outcome(name, two), [given.map(({ id }) => id), []], `${name}: ids as they were`);
  }
  t.end();
});

test('from each format into each other, and back', (t) => {
  const plain = madeRows(12, 60).map(({ place, id, ...row }): Row => {
    const inTokens = byToken({ place, ...row });
    return { place, id, tokens: inTokens.tokens, ...flattened(inTokens), relations: [] };
  });
  const unitOf = ({ name }: Format) => known[name].unit;
  const chosen = formats.filter(({ name }) => name in known);
  for (const one of chosen)
    for (const other of chosen) {
      const name = `${one.name}, ${other.name}`;
      const middle = through(plain, one).back;
      const { back, losses } = through(middle, other);
      if (unitOf(one) === unitOf(other))
        same(t, through(back, one).back.map(facts), middle.map(facts), `${name}, ${one.name}`);
      else if (unitOf(other) === 'character') {
        const characters = (row: Row) => facts(byCharacter(row));
        same(t, back.map(characters), middle.map(characters), name);
      } else
        t.equal(
          total(back, 'entities') + losses.of('entities that are not made of whole words'),
          total(middle, 'entities'),
          name,
        );
    }
  t.end();
});
